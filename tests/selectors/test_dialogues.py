"""Rows that teach a model to read a conversation."""

import pytest

from mmevolve.selectors.dialogues import Dialogues
from mmevolve.text import assistant, user
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

PICTURE = b"\x89PNG picture"
SAMPLE = Sample("s", "which ?", (PICTURE,), answer="B")
ASKED = user("which ?", (PICTURE,))


def group(*attempts):
    """Attempts as (steps, which of them are wrong, whether the answer is right)."""
    made = [Trajectory(f"s/0/{i}", "s", "m", tuple(Step(x) for x in steps)) for i, (steps, _, _) in enumerate(attempts)]
    said = []
    for t, (steps, wrong, right) in zip(made, attempts, strict=True):
        said.append(Critique(t.id, "answer", float(right)))
        said.append(Critique(t.id, "oracle", float(not wrong), tuple(float(x not in wrong) for x in steps)))
    return Group(SAMPLE, tuple(made), tuple(said))


def test_every_attempt_is_a_first_answer_and_is_followed_by_another_whatever_their_verdicts():
    rows = list(Dialogues(review="check")([group(("a", "", True), ("b", "", False))]))
    review = user("which ? check each step .")
    assert [(row.prompt, row.completion) for row in rows] == [
        ((ASKED,), "a"),
        ((ASKED, assistant("a"), review), "b"),
        ((ASKED,), "b"),
        ((ASKED, assistant("b"), review), "a"),
    ]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (0, "which ? your answer is wrong . check each step ."),
        (1, "which ? your answer is wrong . first wrong step : x . check each step ."),
        (2, "which ? your answer is wrong . wrong steps : x\ny . check each step ."),
    ],
)
def test_feedback_takes_its_three_kinds_in_turn_and_is_followed_by_a_right_attempt(place, told):
    attempts = [(f"{i}xy", "xy", False) for i in range(3)]
    rows = list(Dialogues(words="world")([group(*attempts, ("r", "", True))]))
    (row,) = [
        r
        for r in rows
        if len(r.prompt) == 3 and "your answer is wrong" in str(r.prompt[2]) and str(place) in str(r.prompt[1])
    ]
    assert row.prompt == (ASKED, assistant(f"{place}\nx\ny"), user(told)) and row.completion == "r"


def test_a_right_attempt_that_repeats_a_named_step_does_not_follow():
    named = [("0x", "x", False), ("1x", "x", False), ("rx", "", True)]  # named are: nothing, the first wrong step
    told = [r for r in Dialogues(words="world")([group(*named)]) if "your answer is wrong" in str(r.prompt[-1])]
    assert [(r.prompt[1], r.completion) for r in told] == [(assistant("0\nx"), "r\nx")]


def test_a_single_attempt_and_one_cut_at_the_limit_teach_no_second_turn():
    (row,) = Dialogues()([group(("a", "", True))])
    assert row.prompt == (ASKED,)
    cut = group(("a", "", True), ("b", "", True))
    ended = Group(
        SAMPLE, (cut.trajectories[0], Trajectory("s/0/1", "s", "m", (Step("b"),), stop_reason="length")), cut.critiques
    )
    assert [r.completion for r in Dialogues()([ended])] == ["a"]


def test_a_critic_that_said_nothing_is_named():
    with pytest.raises(KeyError, match="verdicts"):
        list(Dialogues(require="verdicts")([group(("a", "", True))]))
    with pytest.raises(KeyError, match="step_verdicts"):
        list(Dialogues(steps="step_verdicts")([group(("a", "", True))]))
