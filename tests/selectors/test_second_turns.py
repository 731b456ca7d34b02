"""Rows for the turn after a review prompt."""

import pytest

from mmevolve.selectors.second_turns import SecondTurns
from mmevolve.text import assistant, user
from mmevolve.types import Critique, Demonstration, Group, Sample, Step, Trajectory

PICTURE = b"\x89PNG picture"
SAMPLE = Sample("s", "which ?", (PICTURE,), answer="B")


def group(*verdicts, revisions=(), sample=SAMPLE):
    """First attempts with these verdicts; `revisions` gives (attempt, verdict) of second turns."""
    made = [Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(f"first {i}"),)) for i in range(len(verdicts))]
    later = [
        Trajectory(f"{made[i].id}~1", sample.id, "m", (Step(f"second {i}"),), parent=made[i].id) for i, _ in revisions
    ]
    said = [*zip(made, verdicts, strict=True), *zip(later, [v for _, v in revisions], strict=True)]
    return Group(sample, (*made, *later), tuple(Critique(t.id, "answer", v) for t, v in said))


def turns(rows):
    """(first attempt, what is taught after it)."""
    return [(row.prompt[1]["content"][0]["text"], row.completion) for row in rows if len(row.prompt) > 1]


def test_the_first_attempt_and_the_review_stand_in_the_chat_and_the_picture_once():
    (row,) = SecondTurns(review="check")([group(1.0)])
    chat = (user("which ?", (PICTURE,)), assistant("first 0"), user("which ? check each step ."))
    assert row == Demonstration(chat, "first 0", 1.0, source="s/0/0")


def test_a_wrong_attempt_is_mended_by_a_right_one_and_a_right_one_kept():
    assert turns(SecondTurns()([group(0.0, 1.0)])) == [("first 0", "first 1"), ("first 1", "first 1")]


def test_without_a_right_attempt_or_a_verdict_nothing_is_taught():
    assert turns(SecondTurns()([group(0.0, None)])) == []


def test_up_to_most_right_attempts_follow_a_wrong_one():
    wrong = [pair for pair in turns(SecondTurns(most=2)([group(0.0, 1.0, 1.0, 1.0)])) if pair[0] == "first 0"]
    assert len(set(wrong)) == 2


def test_own_revisions_that_came_out_right():
    made = group(1.0, 0.0, 1.0, 0.0, revisions=[(0, 1.0), (1, 1.0), (2, 0.0), (3, 0.0)])
    assert turns(SecondTurns(kind="own")([made])) == [("first 0", "second 0"), ("first 1", "second 1")]


@pytest.mark.parametrize(
    ("keep", "kept", "mended"), [(None, 6, 3), (0.0, 0, 3), (0.5, 3, 3), (0.4, 2, 3), (0.9, 6, 1), (1.0, 6, 0)]
)
def test_the_share_of_rows_that_keep(keep, kept, mended):
    samples = [Sample(f"s{i}", "which ?", answer="B") for i in range(3)]
    found = turns(SecondTurns(keep=keep)([group(1.0, 1.0, 0.0, sample=s) for s in samples]))
    assert (sum(a == b for a, b in found), sum(a != b for a, b in found)) == (kept, mended)


def test_first_answers_are_taught_as_well_when_asked():
    rows = list(SecondTurns(first=True)([group(0.0, 1.0)]))
    assert [(len(r.prompt), r.completion) for r in rows] == [(3, "first 1"), (1, "first 1")] * 2


def test_the_order_of_questions_does_not_change_the_rows():
    groups = [group(1.0, 1.0, 0.0, sample=Sample(f"s{i}", "which ?", answer="B")) for i in range(6)]
    found = [list(SecondTurns(keep=0.4, most=2)(some)) for some in (groups, groups[::-1])]
    assert sorted(r.source for r in found[0]) == sorted(r.source for r in found[1])
