"""The arithmetic of the study of critique-based reward models."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from mmevolve.types import Critique, Group, Sample, Step, Trajectory


@pytest.fixture(scope="module")
def study():
    """The script, which imports its neighbours from their folder."""
    folder = str(Path(__file__).parents[1] / "eval" / "studies")
    sys.path.insert(0, folder)
    yield importlib.import_module("critique_reward")
    sys.path.remove(folder)


def longest(groups):
    """Scores an attempt by its length, and one of four letters not at all."""
    return {
        t.id: Critique(t.id, "reward", None if len(t.text) == 4 else float(len(t.text)))
        for g in groups
        for t in g.trajectories
    }


def group(name, *attempts):
    made = [Trajectory(f"{name}/0/{i}", name, "m", (Step(text),)) for i, (text, _) in enumerate(attempts)]
    truth = tuple(Critique(t.id, "truth", score) for t, (_, score) in zip(made, attempts, strict=True))
    return Group(Sample(name, "?"), tuple(made), truth)


def test_a_question_counts_the_share_of_its_pairs_that_are_ranked_right(study):
    """First: aa above a (right), not above aaa (wrong); second: a tie; third: one attempt is not scored."""
    groups = [
        group("one", ("aa", 1.0), ("a", 0.0), ("aaa", 0.0)),
        group("two", ("aa", 0.0), ("bb", -1.0)),
        group("three", ("aaaa", 1.0), ("a", 0.0)),
    ]
    assert study.judged(longest(groups), "reward", groups) == (
        {"one": 0.5, "two": 0.5, "three": 0.5},
        pytest.approx(1 / 3),
    )


def test_steps_that_critiques_call_wrong_are_counted_against_the_errors_that_are_there(study, monkeypatch):
    """Every critique says that step 1 is wrong and that there is no other error."""
    monkeypatch.setattr(study, "HELD", 12)
    groups = study.inserted(0)
    said = {t.id: Critique(t.id, "x", None, text="step 1 : wrong") for g in groups for t in g.trajectories}
    both, found, known = study.wrong_steps(said, groups)
    assert found == 2 * len(groups)
    assert known == -sum(score for g in groups for score in g.scores("truth"))
    assert 0 < both < min(found, known)


def test_held_out_answers_have_the_errors_that_the_truth_counts(study, monkeypatch):
    monkeypatch.setattr(study, "HELD", 12)
    groups = study.inserted(0)
    for g in groups:
        better, worse = g.scores("truth")
        assert -3 <= worse < better <= 0
    assert [g.trajectories for g in groups] != [g.trajectories for g in study.inserted(1)]
    assert len({g.sample.id for g in groups}) == len(groups) > 6


def test_the_page_says_the_shares_and_their_differences(study):
    def seed(**shares):
        kinds = [f"{arm}/{kind}" for arm, (*_, asked) in study.ARMS.items() for kind in asked]
        ranks = {k: {"q1": shares.get(k.split("/")[1], 0.5), "q2": shares.get(k.split("/")[1], 0.5)} for k in kinds}
        steps = {f"{name}: critique/{kind}": (2, 3, 5) for name in study.SETS for kind in ("generated", "compared")}
        return {
            "ranks": {name: ranks for name in study.SETS},
            "unranked": {"own: x": 0.25},
            "steps": steps,
            "cpu": 10.0,
        }

    found = [seed(generated=1.0), seed(generated=0.5)]
    table = study.accuracies(found)
    assert table[2].startswith("| answers with inserted errors | 4 | 75.0 | 50.0 | 50.0 |")
    assert study.step_f1s(found)[2] == "| answers with inserted errors | 0.500 | 0.500 |"
    gaps = study.differences(found)
    assert "| +25.0 (+25.0 to +25.0) |" in gaps[2]
    assert "not scored: own: x 25.0 %" in study.fine_print(found)[0]


def test_the_rule_alone_counts_the_steps_that_it_calls_wrong_and_has_no_score_for_what_it_cannot_read(study):
    def said(items):
        for (_, t), text in zip(
            items, ("step 1 : a ; wrong\nstep 2 : b ; wrong", "no errors .", "hm", ""), strict=True
        ):
            yield Critique(t.id, "reward", 5.0, text=text, error=None if text else "cut")

    items = [(Sample("q", "?"), Trajectory(f"q/0/{i}", "q", "m", (Step("x"), Step("y")))) for i in range(4)]
    found = list(study.Counted(said, "counted")(items))
    assert [c.score for c in found] == [-2.0, 0.0, None, None] and {c.critic for c in found} == {"counted"}
