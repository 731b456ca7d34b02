"""Edits between turns, and accuracy, vote and oracle over turns, by hand."""

import math

import pytest

from mmevolve.metrics.over_turns import OverTurns
from mmevolve.metrics.turn_edits import TurnEdits, edit_ratio
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def group(name, *chains, against="B"):
    """Chains of (text, answer); an answer is right when it is the reference."""
    made = []
    for i, turns in enumerate(chains):
        parent = None
        for k, (text, answer) in enumerate(turns):
            own = f"{name}/0/{i}" + (f"~{k}" if k else "")
            made.append(Trajectory(own, name, "m", (Step(text),) if text else (), answer, parent=parent))
            parent = own
    said = tuple(Critique(t.id, "answer", float(t.answer == against)) for t in made)
    return Group(Sample(name, "which ?", answer=against), tuple(made), said)


def test_the_edit_ratio_is_the_distance_over_both_lengths():
    assert edit_ratio("kitten", "sitting") == 3 / 13
    assert (edit_ratio("same", "same"), edit_ratio("", "new"), edit_ratio("", "")) == (0.0, 1.0, 0.0)


def test_edits_between_turns_count_questions_alike():
    """s: 3/13 with another answer, and the same text; t: an empty second turn; u has no revision."""
    groups = [
        group("s", [("kitten", "A"), ("sitting", "B")], [("same", "1"), ("same", "1.0")]),
        group("t", [("new", None), ("", None)]),
        group("u", [("alone", "A")]),
    ]
    assert TurnEdits()(groups) == {
        "turn_edit_ratio": pytest.approx((3 / 26 + 1) / 2),
        "turn_unchanged": pytest.approx(0.25),
        "turn_same_answer": pytest.approx((0.5 + 1) / 2),
    }
    assert all(math.isnan(x) for x in TurnEdits()(groups[2:]).values())


def test_edits_against_the_turn_before_or_the_first():
    made = [group("s", [("abcd", "A"), ("abXX", "B"), ("abcd", "A")])]
    assert TurnEdits()(made)["turn_edit_ratio"] == pytest.approx(2 / 8)
    assert TurnEdits(against="first")(made) == {"turn_edit_ratio": 0.0, "turn_unchanged": 1.0, "turn_same_answer": 1.0}


def test_a_collapsed_policy_is_seen_whatever_its_accuracy():
    right = [group(f"s{i}", [("all well", "B"), ("all well", "B")]) for i in range(3)]
    assert TurnEdits()(right) == {"turn_edit_ratio": 0.0, "turn_unchanged": 1.0, "turn_same_answer": 1.0}


def test_each_turn_the_vote_and_the_oracle_by_hand():
    """s: A B B B (wrong, then right); t: B A C, then it ended, so that its fourth turn is its third."""
    groups = [
        group("s", [("1", "A"), ("2", "B"), ("3", "B"), ("4", "B")]),
        group("t", [("1", "B"), ("2", "A"), ("3", "C")]),
    ]
    assert OverTurns()(groups) == {
        "turn_acc@1": 0.5, "turn_vote@1": 0.5, "turn_oracle@1": 0.5,
        "turn_acc@2": 0.5, "turn_vote@2": 0.5, "turn_oracle@2": 1.0,  # both votes are split evenly
        "turn_acc@3": 0.5, "turn_vote@3": pytest.approx((1 + 1 / 3) / 2), "turn_oracle@3": 1.0,
        "turn_acc@4": 0.5, "turn_vote@4": pytest.approx((1 + 1 / 3) / 2), "turn_oracle@4": 1.0,
    }  # fmt: skip


def test_a_turn_without_an_answer_has_no_vote_and_chains_of_a_question_share_its_weight():
    groups = [group("s", [("1", None), ("2", "B")], [("1", "A"), ("2", None)]), group("t", [("1", "B"), ("2", "B")])]
    found = OverTurns()(groups)
    assert found["turn_vote@1"] == (0 + 1) / 2
    assert found["turn_vote@2"] == (0.5 + 1) / 2
    assert found["turn_acc@2"] == (0.5 + 1) / 2


def test_no_attempt_is_no_number_and_a_stray_revision_is_refused():
    assert OverTurns()([]) == {}
    made = group("s", [("1", "A"), ("2", "B")])
    stray = Group(made.sample, made.trajectories[1:], made.critiques[1:])
    for metric in (OverTurns(), TurnEdits()):
        with pytest.raises(ValueError, match=r"'s/0/0~1' revises 's/0/0', which is not among the 1 attempts"):
            metric([stray])
