from __future__ import annotations

import dataclasses
import math
import random

import numpy as np
import pytest

from mmevolve.answers.aggregate import detection, over_variants
from mmevolve.benchmarks.card import figure_words
from mmevolve.benchmarks.figures import Figures, chance, figures, interval, shares
from mmevolve.benchmarks.load import ITEM, VARIANT
from mmevolve.benchmarks.score import Scored
from mmevolve.benchmarks.spec import load_spec
from mmevolve.statistics import mean_interval, wilson
from mmevolve.types import Group, Sample, Step, Trajectory


@pytest.fixture
def spec(here):
    return load_spec("eval/benchmarks/four.yaml")


def scored(outcomes, *, read="x", **columns):
    """One response a row; columns are lists."""
    rows = []
    for i, outcome in enumerate(outcomes):
        meta = {"kind": "k", **{name: values[i] for name, values in columns.items()}}
        found = None if outcome in ("unparsed", "error") else read
        rows.append(Scored(Sample(f"q{i}", "?", answer="yes", meta=meta), 0, "text", found, "", outcome))
    return rows


def only(spec, name, rows, **words):
    return figures(dataclasses.replace(spec, figures=(name,), by=()), rows, **words)[0]


def test_accuracy_counts_unread_responses_as_wrong_and_bounds_say_what_if(spec):
    figure = only(spec, "accuracy", scored(["correct", "wrong", "unparsed", "error"]))
    assert (figure.value, figure.floor, figure.ceiling, figure.n) == (0.25, 0.25, 0.75, 4)


def test_the_interval_of_a_mean_is_that_of_the_statistics_room(spec):
    chances = random.Random(0)
    rows = scored([chances.choice(["correct", "wrong"]) for _ in range(60)], seed=[str(i // 4) for i in range(60)])
    for cluster, labels in (("item", None), ("seed", [s.sample.meta["seed"] for s in rows])):
        figure = only(dataclasses.replace(spec, cluster=cluster), "accuracy", rows)
        oracle = mean_interval([float(s.outcome == "correct") for s in rows], clusters=labels)
        assert (figure.value, figure.low, figure.high) == pytest.approx(
            (oracle.mean, oracle.low, oracle.high), abs=1e-12
        )
        assert figure.clusters == (60 if labels is None else 15)


def test_all_right_or_all_wrong_has_wilsons_interval_and_one_cluster_has_none(spec):
    figure = only(spec, "accuracy", scored(["wrong"] * 10))
    assert (figure.low, figure.high) == (0.0, wilson(0, 10).high)
    alone = only(dataclasses.replace(spec, cluster="kind"), "accuracy", scored(["correct", "wrong"]))
    assert (alone.low, alone.high, alone.clusters) == (None, None, 1)


def test_macro_is_the_mean_over_groups_of_the_accuracy_in_each(spec):
    rows = scored(["correct", "wrong", "wrong", "correct", "unparsed"], task=["a", "a", "a", "b", "b"])
    figure = only(spec, "macro of task", rows)
    assert figure.value == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert figure.ceiling == pytest.approx((1 / 3 + 1) / 2)


def test_worst_and_best_case_are_those_of_dynamath(spec):
    outcomes = ["correct", "correct", "correct", "wrong", "wrong", "wrong", "correct", "unparsed"]
    seeds = list("aabbccdd")
    oracle = over_variants([o == "correct" for o in outcomes], seeds)
    worst, best = (only(spec, f"{which} of seed", scored(outcomes, seed=seeds)) for which in ("worst", "best"))
    assert (worst.value, best.value) == (oracle.worst, oracle.best) == (0.25, 0.75)
    assert (worst.n, worst.floor, worst.ceiling) == (4, 0.25, 0.5)


def test_circular_counts_a_question_that_is_right_in_every_rotation(spec):
    rows = scored(
        ["correct", "correct", "correct", "wrong", "correct", "wrong"],
        **{ITEM: list("aabbcc"), VARIANT: [0, 1, 0, 1, 0, 1]},
    )
    circular = dataclasses.replace(spec, repeat="rotations", figures=("circular", "accuracy"), by=())
    first, vanilla = figures(circular, rows)
    assert (first.value, first.n) == (pytest.approx(1 / 3), 3)
    assert (vanilla.value, vanilla.n) == (1.0, 3)


def test_gain_is_with_less_without_and_leakage_is_what_the_language_model_did_not_know(spec):
    outcomes = ["correct", "wrong", "correct", "correct", "correct", "unparsed", "wrong", "wrong"]
    rows = scored(outcomes, **{ITEM: list("aabbccdd"), VARIANT: [0, 1] * 4})
    gain = only(spec, "gain", rows)
    assert gain.value == 0.75 - 0.25
    assert (gain.floor, gain.ceiling) == (0.75 - 0.5, 0.75 - 0.25)
    assert only(spec, "leakage", rows, base=0.2).value == pytest.approx(0.05)
    assert only(spec, "leakage", rows, base=0.4).value == 0.0
    named = dataclasses.replace(spec, figures=("accuracy", "leakage"), by=())
    assert [f.name for f in figures(named, rows)] == ["accuracy"]  # not without the language model's score


def test_f1_and_its_kin_are_those_of_pope(spec):
    chances = random.Random(1)
    said = [chances.choice(["yes", "yes", "no", None]) for _ in range(80)]
    gold = [chances.choice(["yes", "no"]) for _ in range(80)]
    rows = [
        Scored(
            Sample(f"q{i}", "?", answer=g), 0, "t", s, "", "unparsed" if s is None else "correct" if s == g else "wrong"
        )
        for i, (s, g) in enumerate(zip(said, gold, strict=True))
    ]
    oracle = detection(said, gold)
    for name, value in (
        ("f1", oracle.f1), ("precision", oracle.precision), ("recall", oracle.recall), ("yes_rate", oracle.yes_rate),
        ("accuracy", oracle.accuracy),
    ):  # fmt: skip
        figure = only(spec, name, rows)
        assert figure.value == pytest.approx(value)
        assert figure.floor <= figure.value <= figure.ceiling and figure.low < figure.value < figure.high
    nothing = [r for r in rows if r.read == "no" and r.sample.answer == "no"]
    undefined = only(spec, "f1", nothing)
    assert math.isnan(undefined.value) and undefined.low is None
    assert figure_words(undefined).startswith("not defined   no interval   no bounds   n ")


def test_step_f1_has_wrong_steps_as_the_positive_class_and_a_reply_without_verdicts_names_none(spec):
    spec = dataclasses.replace(spec, kind="critique", extract=("step_verdicts",), score="all_steps")

    def row(name, labels, read):
        sample = Sample(name, "?", meta={"steps": ["s"] * len(labels), "step_labels": labels})
        right = read is not None and list(read) == [not label for label in labels]
        return Scored(sample, 0, "t", read, "", "unparsed" if read is None else "correct" if right else "wrong")

    rows = [
        row("a", [1, 0, 0], (False, True, False)),  # one hit, one missed
        row("b", [1, 1], (True, False)),  # one false alarm
        row("c", [0, 1], None),  # unread: its wrong step is missed
    ]
    # hits 1, said 2, truly wrong 3
    assert only(spec, "f1", rows).value == pytest.approx(2 * 1 / (2 + 3))
    assert only(spec, "f1", rows).floor == pytest.approx(2 * 1 / (3 + 3))  # the unread reply names the right step
    assert only(spec, "f1", rows).ceiling == pytest.approx(2 * 2 / (3 + 3))
    assert only(spec, "precision", rows).value == 0.5
    assert only(spec, "recall", rows).value == pytest.approx(1 / 3)
    assert only(spec, "first_error", rows).value == pytest.approx(1 / 3)
    assert only(spec, "accuracy", rows).value == 0.0


def test_correction_is_fixed_less_broken(spec):
    outcomes = ["correct", "correct", "wrong", "wrong", "unparsed"]
    rows = scored(outcomes, right_before=[False, True, True, False, False])
    figure = only(spec, "correction", rows)
    # of three wrong before one is right after, of two right before one is wrong after
    assert figure.value == pytest.approx(1 / 3 - 1 / 2)
    assert figure.ceiling == pytest.approx(2 / 3 - 1 / 2)


def test_rows_apart_only_count_by_column_and_a_column_that_is_not_there_is_named(spec):
    spec = dataclasses.replace(spec, apart={"kind": "b"}, by=("kind",), figures=("accuracy",))
    found = {f.name: f.value for f in figures(spec, scored(["correct", "wrong", "wrong"], kind=list("aab")))}
    assert found == {"accuracy": 0.5, "accuracy, kind a": 0.5, "accuracy, kind b": 0.0}
    with pytest.raises(ValueError, match="sample 'q0' has no column 'king': its columns are"):
        figures(dataclasses.replace(spec, by=("king",)), scored(["wrong"]))
    with pytest.raises(ValueError, match="no response to count"):
        figures(spec, [])


def test_chance_is_the_mean_of_one_in_so_many_options(spec):
    rows = [Scored(Sample("a", "?", choices=("1", "2", "3", "4"), answer="A"), 0, "t", "A", "", "correct")]
    rows.append(Scored(Sample("b", "?", answer="x"), 0, None, None, "", "error"))
    assert chance(spec, rows) == 0.125
    assert chance(dataclasses.replace(spec, chance=0.5), rows) == 0.5
    assert chance(dataclasses.replace(spec, chance=None), rows) is None
    assert shares(rows) == {"correct": 0.5, "wrong": 0.0, "unparsed": 0.0, "error": 0.5}


def test_the_same_rows_give_the_same_interval_whatever_the_block():
    sums = np.array([[float(i % 3 == 0), 1.0] for i in range(50)])
    assert interval(sums, lambda x: x[..., 0] / x[..., 1]) == interval(sums, lambda x: x[..., 0] / x[..., 1])
    low, high = interval(sums, lambda x: x[..., 0] / x[..., 1], draws=2_000, seed=3)
    assert 0.15 < low < 17 / 50 < high < 0.5


def test_a_recipe_gets_every_figure_with_its_ends_and_the_unparsed_rate(spec):
    sample = Sample("q1", "?", choices=("cat", "dog"), answer="B", meta={"kind": "x"})
    said = [Trajectory(f"q1/0/{i}", "q1", "m", (Step(text),)) for i, text in enumerate(["dog", "no idea", "(A)"])]
    numbers = Figures(spec)([Group(sample, tuple(said))])
    assert numbers["accuracy"] == pytest.approx(1 / 3) and math.isnan(numbers["accuracy/low"])
    assert (numbers["unparsed"], numbers["chance"]) == (pytest.approx(1 / 3), 0.5)
