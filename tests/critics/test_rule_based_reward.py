"""Critic-V's reward of critiques, its judges, its pairs and its F1, with numbers worked by hand."""

import math
from itertools import permutations

import pytest

from mmevolve.critics.critique_judges import CritiqueRubric, MendedErrors, grade
from mmevolve.critics.error_oracle import ErrorOracle
from mmevolve.critics.oracle import Oracle
from mmevolve.critics.rule_based_reward import RuleBasedReward
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.metrics.error_f1 import ErrorF1
from mmevolve.models.scripted import Scripted
from mmevolve.prompts.error_list import Detection, Error, as_meta, jaccard, matched, parse
from mmevolve.selectors.ranked_pairs import RankedPairs
from mmevolve.text import split_steps
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

THREE = (
    Error(0, "perception", "the bar is blue", "the bar is red"),
    Error(1, "logic", "so it is taller", "so it is lower"),
    Error(3, "arithmetic", "2 + 2 = 4", "2 + 2 = 5"),
)
SAMPLE = Sample("c", "?", ("a.png",), meta={"errors": as_meta(THREE)})


def critique(text, index=0, sample=SAMPLE, stop="stop"):
    steps = tuple(map(Step, split_steps(text)))
    return Trajectory(f"{sample.id}/0/{index}", sample.id, "m", steps, stop_reason=stop)


class Judge:
    name, sees_image, sees_outcome = "judge", False, True

    def __init__(self, score):
        self.score = score

    def __call__(self, items):
        for _, t in items:
            yield Critique(t.id, "judge", self.score, error=None if self.score is not None else "asleep")


def scored(text, **settings):
    (said,) = RuleBasedReward(**settings)([(SAMPLE, critique(text))])
    return said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Step 2 (perception): the bar is blue", [(1, "perception", "the bar is blue")]),
        ("1. Step 2 - logic: no", [(1, "logic", "no")]),
        ("- **Step 2**: the bar is on the right", [(1, None, "the bar is on the right")]),
        ("step 1 : red circles : a1 = 1 ; wrong\nstep 2 : 1 + 1 = 2 ; right", [(0, None, "red circles : a1 = 1")]),
        ("Step 1: correct\nStep 2: incorrect. The bar is blue.", [(1, None, "The bar is blue.")]),
        ("wrong steps : 2 4", [(1, None, ""), (3, None, "")]),
        ("Step 2 (logic): a\nStep 2 (logic): b\nStep 2: c", [(1, "logic", "a"), (1, None, "c")]),
        ("1. the bar is blue\n2. there are four", [(None, None, "the bar is blue"), (None, None, "there are four")]),
        ("No errors.", []),
        ("all steps right", []),
        ("wrong steps : none", []),
        ("step 1 : 2 + 2 = 4 ; right", []),
    ],
)
def test_a_critique_is_read(text, found):
    assert parse(text) == tuple(Detection(*row) for row in found)


def test_a_step_that_is_written_anew_is_an_error_where_it_differs():
    steps = ["red circles : a1 = 1", "1 + 1 = 3"]
    text = "look 1 : red circles :  a1 = 1\nlook 2 : 1 + 1 = 2\nlook 3 : answer : 2"
    assert parse(text, steps) == (Detection(1, None, "1 + 1 = 2"), Detection(2, None, "answer : 2"))
    assert parse("\n".join(f"look {k} : {s}" for k, s in enumerate(steps, 1)), steps) == ()
    assert parse(text) is None


@pytest.mark.parametrize("text", ["", "the bar is blue", "12 apples", "answer : 4", "stepping stone"])
def test_what_lists_nothing_and_denies_nothing_is_no_critique(text):
    assert parse(text) is None


def test_the_papers_example():
    """|G| 3, |C| 4, 2 in common: 2 / (3 + 4 - 2) = 0.4; judge 8 of 10, alpha 0.1: 0.48 (1.2 on the paper's scale)."""
    text = "wrong steps : 1 2 3 5"
    assert scored(text).score == pytest.approx(0.4)
    assert scored(text, judge=Judge(0.8)).score == pytest.approx(0.48)
    assert scored(text, judge=Judge(0.8), alpha=1.0).score == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("wrong steps : 1 2 4", 1.0),
        ("No errors.", 0.0),
        ("Step 4: it is 4", 1 / 3),
        ("wrong steps : 3 5", 0.0),
        ("1. The bar is blue, not red\n2. 2 + 2 = 4", 2 / 3),  # without steps, by words
    ],
)
def test_the_overlap_is_that_of_matched_errors(text, score):
    assert scored(text).score == pytest.approx(score)


def test_a_match_may_want_the_kind_or_the_words():
    text = "Step 1 (logic): the bar is blue\nStep 2: something else"
    assert scored(text).score == pytest.approx(2 / 3)
    assert scored(text, match="kind").score == pytest.approx(1 / 4), "an open kind matches, another does not"
    assert scored(text, match="words").score == pytest.approx(1 / 4)


def test_nothing_wrong_and_nothing_said_is_full_overlap():
    clean = Sample("clean", "?", meta={"errors": []})
    both = [(clean, critique(text, i, clean)) for i, text in enumerate(("No errors.", "Step 1: red"))]
    assert [c.score for c in RuleBasedReward()(both)] == [1.0, 0.0]


def test_what_cannot_be_scored_has_a_reason_and_no_zero():
    bare = Sample("bare", "?")
    items = [
        (SAMPLE, critique("hm")),
        (SAMPLE, critique("Step 1: red", 1, stop="length")),
        (bare, critique("Step 1: red", 0, bare)),
    ]
    said = list(RuleBasedReward()(items))
    assert [c.score for c in said] == [None] * 3
    assert "cannot be read" in said[0].error and "cut" in said[1].error and "no known errors" in said[2].error
    assert "asleep" in scored("Step 1: red", judge=Judge(None)).error
    with pytest.raises(ValueError, match="scores 8, expected 0 to 1"):
        scored("Step 1: red", judge=Judge(8))


def test_a_matching_is_one_to_one_as_large_as_possible_and_agrees_with_trying_all():
    """Errors 0 and 1 both take detection 0, error 0 also 1: greedy from the left would lose one."""
    may = {(0, 0), (0, 1), (1, 0), (2, 3), (3, 3)}
    errors = [Error(i, "logic", "", "") for i in range(4)]
    said = [Detection(i) for i in range(4)]
    found = matched(errors, said, lambda e, d: (e.step, d.step) in may)
    assert found == [(0, 1), (1, 0), (2, 3)]
    best = max(sum((i, p) in may for i, p in enumerate(order)) for order in permutations(range(4)))
    assert len(found) == best


@pytest.mark.parametrize(("sizes", "value"), [((3, 4, 2), 0.4), ((0, 0, 0), 1.0), ((0, 2, 0), 0.0), ((5, 5, 5), 1.0)])
def test_jaccard(sizes, value):
    assert jaccard(*sizes) == value


def test_a_critique_that_says_what_should_stand_there_is_better():
    texts = ("Step 1: it should be: The bar is blue\nStep 4 (arithmetic): 2 + 2 = 4", "wrong steps : 1 2 4", "hm")
    said = list(MendedErrors()([(SAMPLE, critique(text, i)) for i, text in enumerate(texts)]))
    assert [c.score for c in said] == [pytest.approx(2 / 3), 0.0, None]
    reward = RuleBasedReward(judge=MendedErrors())
    first, second, third = (c.score for c in reward([(SAMPLE, critique(t, i)) for i, t in enumerate(texts)]))
    assert (first, second, third) == (pytest.approx(2 / 3 + 0.1 * 2 / 3), 1.0, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [("8", 8), ("8/10", 8), ("10 / 10", 10), ("Grade: 7.", 7), ("none", None), ("8.5", None), ("11", None)],
)
def test_a_grade_is_a_whole_number_up_to_ten(text, value):
    assert grade(text) == value


def test_a_rubric_judge_is_asked_again_a_bounded_number_of_times():
    asked = []

    def say(said, seed, index):
        asked.append(seed)
        return "8" if len(asked) == 2 else "hm"

    (said,) = CritiqueRubric(Scripted(say), retries=3)([(SAMPLE, critique("Step 1: red"))])
    assert (said.score, len(asked)) == (0.8, 2)
    asked[:] = [0, 0]
    (said,) = CritiqueRubric(Scripted(say), retries=3)([(SAMPLE, critique("Step 1: red"))])
    assert said.score is None and len(asked) == 6 and "no grade" in said.error


def test_all_strictly_ordered_pairs():
    texts = ("wrong steps : 1 2 4", "wrong steps : 1 2", "wrong steps : 1 4", "No errors.", "hm", "wrong steps : 1 2 4")
    attempts = tuple(critique(text, i) for i, text in enumerate(texts))
    said = tuple(RuleBasedReward()([(SAMPLE, t) for t in attempts]))
    assert [c.score for c in said] == [1.0, pytest.approx(2 / 3), pytest.approx(2 / 3), 0.0, None, 1.0]
    group = Group(SAMPLE, attempts, said)
    rows = list(RankedPairs()([group]))
    assert [(texts.index(r.chosen), texts.index(r.rejected)) for r in rows] == [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]
    assert [r.margin for r in rows] == pytest.approx([1 / 3, 1 / 3, 1.0, 2 / 3, 2 / 3])
    assert rows[3].source == attempts[1].id
    assert [r.margin for r in RankedPairs(most=2)([group])] == pytest.approx([1.0, 2 / 3])
    assert len(list(RankedPairs(least=0.5)([group]))) == 3


def test_step_f1_of_critiques():
    """G 3 steps: said {0, 1}: 2 hits; said {0, 2}: 1 hit; unread: none. 2 * 3 / (4 + 9) = 6/13."""
    clean = Sample("clean", "?", meta={"errors": []})
    attempts = tuple(critique(text, i) for i, text in enumerate(("wrong steps : 1 2", "wrong steps : 1 3", "hm")))
    good = (critique("No errors.", 0, clean), critique("Step 9: red", 1, clean))
    found = ErrorF1()([Group(SAMPLE, attempts), Group(clean, good), Group(Sample("bare", "?"), attempts)])
    assert found["error_f1"] == pytest.approx(6 / 14)  # the false alarm of the clean one is said too
    assert (found["error_precision"], found["error_recall"]) == (pytest.approx(3 / 5), pytest.approx(1 / 3))
    assert (found["false_alarm"], found["unread"], found["error_exact"]) == (0.5, 0.2, 0.2)
    assert found["error_recall_perception"] == pytest.approx(2 / 3) and found["error_recall_arithmetic"] == 0.0
    assert math.isnan(ErrorF1()([])["error_f1"])


def test_the_oracle_of_errors_does_not_blame_what_follows():
    (sample,) = shapes(n=1, families=("total",), seed=5)
    right = split_steps(gold(sample))
    first = right[0].rpartition(" ")
    lines = [f"{first[0]} {int(first[2]) + 1}", right[1]]
    a, b = (int(line.split()[-1]) for line in lines)
    lines += [f"{a} + {b} = {a + b}", f"answer : {a + b}"]
    t = Trajectory("t", sample.id, "m", tuple(map(Step, lines)))
    (own,), (all_,) = ErrorOracle()([(sample, t)]), Oracle()([(sample, t)])
    assert own.step_scores == (0.0, 1.0, 1.0, 1.0) and all_.step_scores == (0.0, 1.0, 0.0, 0.0)
    assert own.score == 0.0
