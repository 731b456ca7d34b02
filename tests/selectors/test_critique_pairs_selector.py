"""Pairs of a sample's attempts with the critique of each, as a critique-based reward model is asked with them."""

import pytest

from mmevolve.critics.written import Written
from mmevolve.models.scripted import Scripted
from mmevolve.selectors.critique_pairs import CritiquePairs
from mmevolve.text import split_steps
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

SAMPLE = Sample("s", "how many ?", ("a.png",), answer="2")


def judged(*rows):
    """Attempts by text, answer, score by the answer check, and what `gold` wrote of it."""
    tried = tuple(
        Trajectory(f"s/0/{i}", "s", "m", tuple(map(Step, split_steps(text))), answer)
        for i, (text, answer, _, _) in enumerate(rows)
    )
    said = [Critique(t.id, "answer", row[2]) for t, row in zip(tried, rows, strict=True)]
    said += [Critique(t.id, "gold", None, text=row[3]) for t, row in zip(tried, rows, strict=True)]
    return Group(SAMPLE, tried, tuple(said))


FOUR = judged(
    ("1 + 1 = 3\nanswer : 3", "3", 0.0, "wrong steps : 1"),
    ("1 + 1 = 2\nanswer : 2", "2", 1.0, "wrong steps : none"),
    ("1 + 1 = 2\nanswer : 2", "2", 1.0, "said again"),
    ("answer : 5", "5", 0.0, ""),
)


def test_right_stands_above_wrong_each_with_its_own_critique_and_prompt():
    """Of four attempts one says what another says, and one has no critique: one pair is left."""
    (row,) = CritiquePairs()([FOUR])
    assert (row.chosen, row.rejected) == ("wrong steps : none", "wrong steps : 1")
    assert (row.margin, row.source, row.scope) == (1.0, "s/0/1", "critique")
    writer = Written(Scripted(lambda *_: ""))
    assert row.prompt == writer.chat(SAMPLE, FOUR.trajectories[1]), "as the critic asks"
    assert row.rejected_prompt == writer.chat(SAMPLE, FOUR.trajectories[0])


def test_the_largest_differences_are_kept():
    three = judged(("a", None, 0.0, "x"), ("b", None, 0.4, "y"), ("c", None, 1.0, "z"))
    assert [(r.chosen, r.rejected, r.margin) for r in CritiquePairs(most=2)([three])] == [
        ("z", "x", 1.0),
        ("z", "y", 0.6),
    ]
    assert len(list(CritiquePairs()([three]))) == 3


def test_equal_scores_make_no_pair():
    assert list(CritiquePairs()([judged(("a", None, 0.0, "x"), ("b", None, 0.0, "y"))])) == []


def test_a_template_without_the_steps_is_refused():
    with pytest.raises(ValueError, match=r"prompt .question. has no field \{steps\}"):
        CritiquePairs(words="question")


def test_a_critic_that_said_nothing_is_named_and_one_attempt_without_its_words_is_left_out():
    with pytest.raises(KeyError, match="nobody"):
        list(CritiquePairs(critique="nobody")([FOUR]))
    few = Group(FOUR.sample, FOUR.trajectories, FOUR.critiques[:-3])  # gold wrote of the first attempt alone
    assert list(CritiquePairs()([few])) == []
