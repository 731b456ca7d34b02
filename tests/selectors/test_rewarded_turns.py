"""RISE's rows by hand: which turns of a chain, under which chat, with which weight."""

import math
from dataclasses import replace

import pytest

from mmevolve.selectors.rewarded_turns import RewardedTurns
from mmevolve.text import assistant, user
from mmevolve.types import Critique, Demonstration, Group, Sample, Step, Trajectory

SAMPLE = Sample("s", "which ?", ("a.png",), answer="B")


def chain(*turns, sample=SAMPLE):
    """A chain whose turns each have candidates (text, answer, score); the first of a turn's best goes on."""
    made, said, parent = [], [], None
    for k, candidates in enumerate(turns):
        names = [f"{sample.id}/0/0~{k}.{j}" if k else f"{sample.id}/0/0" for j in range(len(candidates))]
        for name, (text, answer, score) in zip(names, candidates, strict=True):
            made.append(Trajectory(name, sample.id, "m", (Step(text),), answer, parent=parent))
            said.append(Critique(name, "answer", score))
        ranks = [(-1 if answer is None else score) if score is not None else -9 for _, answer, score in candidates]
        parent = names[ranks.index(max(ranks))]
    return Group(sample, tuple(made), tuple(said))


# Rewards along the best: 0, -1, 0, 1.
LONG = chain(
    [("one", "A", 0.0)],
    [("two", None, 0.0)],
    [("mute", None, 0.0), ("three", "C", 0.0), ("also", "D", 0.0)],
    [("wrong", "C", 0.0), ("four", "B", 1.0), ("late", "B", 1.0)],
)


def taught(part, given=LONG):
    return [(row.completion, pytest.approx(row.weight)) for row in part([given])]


def test_every_turn_of_the_best_weighs_by_its_reward():
    """exp(0 / 0.4) = 1, exp(-2.5) = 0.082085, exp(2.5) = 12.182494."""
    assert taught(RewardedTurns()) == [("one", 1.0), ("two", 0.082085), ("three", 1.0), ("four", 12.182494)]


def test_tau_spreads_the_weights():
    assert taught(RewardedTurns(tau=2.0, unparsed=-0.5)) == [
        ("one", 1.0), ("two", math.exp(-0.25)), ("three", 1.0), ("four", math.exp(0.5)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("criteria", "texts"),
    [
        ("all", ["one", "two", "three", "four"]),
        ("better", ["one", "three", "four"]),
        ("best", ["one", "three", "four"]),
        ("success", ["four"]),
    ],
)
def test_which_turns_make_rows(criteria, texts):
    assert [text for text, _ in taught(RewardedTurns(criteria=criteria))] == texts


def test_better_than_the_turn_before_and_not_worse_than_any_are_two_things():
    """Rewards 0, -1, -0.5 (a critic of shades): the third is better than the second and worse than the first."""
    made = chain([("a", "A", 0.0)], [("b", "C", -1.0)], [("c", "D", -0.5)], [("d", "E", -0.5)], [("e", "F", 0.0)])
    assert [text for text, _ in taught(RewardedTurns(criteria="better"), made)] == ["a", "c", "e"]
    assert [text for text, _ in taught(RewardedTurns(criteria="best"), made)] == ["a", "e"]


def test_a_row_has_the_turns_before_it_in_sight_and_learns_its_own_alone():
    rows = list(RewardedTurns(review="check")([LONG]))
    again = user("which ? check each step .")
    asked = user("which ?", ("a.png",))
    assert rows[0] == Demonstration((asked,), "one", 1.0, source="s/0/0")
    assert rows[2].prompt == (asked, assistant("one"), again, assistant("two"), again)
    assert rows[3].source == "s/0/0~3.1"
    assert list(RewardedTurns(review="check", window=2)([LONG]))[2].prompt == (asked, assistant("two"), again)


def test_a_chain_ends_with_its_first_right_turn():
    made = chain([("one", "A", 0.0)], [("two", "B", 1.0)], [("three", "C", 0.0)])
    assert [text for text, _ in taught(RewardedTurns(), made)] == ["one", "two"]
    assert [text for text, _ in taught(RewardedTurns(), chain([("one", "B", 1.0)]))] == ["one"]


def test_repeats_cut_and_unjudged_turns_are_no_rows():
    same = chain([("one", "A", 0.0)], [("one", "A", 0.0)], [("two", "B", 1.0)])
    assert [text for text, _ in taught(RewardedTurns(), same)] == ["one", "two"]
    assert [text for text, _ in taught(RewardedTurns(dedup=False), same)] == ["one", "one", "two"]
    first, *rest = LONG.trajectories
    cut = replace(LONG, trajectories=(replace(first, stop_reason="length"), *rest))
    assert [text for text, _ in taught(RewardedTurns(), cut)] == ["two", "three", "four"]
    assert taught(RewardedTurns(), chain([("one", "A", None)])) == []
    unjudged = chain([("a", "A", 0.0)], [("b", "B", None), ("c", "C", 0.0)])
    assert [text for text, _ in taught(RewardedTurns(), unjudged)] == ["a", "c"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tau": 0.0}, r"tau is 0.0, expected 0.02 or more: a right turn weighs exp\(1 / tau\)"),
        ({"window": 0}, r"window is 0, expected 2 or more: a turn and the one before"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        RewardedTurns(**settings)


def test_a_question_without_two_turns_and_a_stray_turn_are_refused():
    with pytest.raises(ValueError, match=r"attempt 's/0/0' at sample 's' has no second turn, expected one or more"):
        list(RewardedTurns()([chain([("one", "A", 0.0)])]))
    stray = replace(LONG, trajectories=LONG.trajectories[1:])
    with pytest.raises(ValueError, match=r"'s/0/0~1.0' revises 's/0/0', which is not among the 7 attempts"):
        list(RewardedTurns()([stray]))
