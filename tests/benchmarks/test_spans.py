"""The place of the answer: that whose change changes what is read."""

from __future__ import annotations

import pytest

from mmevolve.benchmarks.read import EXTRACTORS
from mmevolve.benchmarks.score import Scored
from mmevolve.benchmarks.spans import spans
from mmevolve.types import Sample

PETS = Sample("q", "which?", (), "B", ("cat", "dog", "emu"))
FREE = Sample("q", "how many?", (), "3")
STEPS = Sample("q", "which are wrong?", meta={"steps": ["one", "two", "three"], "step_labels": [1, 0, 1]})


def found(rule, text, sample):
    read = EXTRACTORS[rule](text, sample)
    return [text[a:b] for a, b in spans(Scored(sample, 0, text, read, rule, "correct"))]


def place(rule, text, sample):
    return [a for a, _ in spans(Scored(sample, 0, text, EXTRACTORS[rule](text, sample), rule, "correct"))]


@pytest.mark.parametrize(
    ("rule", "text", "sample", "start", "said"),
    [
        ("own", "A dog is on the left, so the answer is (B).", PETS, 40, "B"),
        ("own", "It looks like a dog to me", PETS, 16, "dog"),
        ("stated", "First 3 and then 5.\nanswer : 3", FREE, 29, "3"),
        ("own", "2 + 1 = 3", FREE, 8, "3"),
        ("mmmu_choice", "Either (A) or (B). I say (B)", PETS, 26, "B"),
        ("yes_no", "No, there is none.", FREE, 0, "No"),
        ("scienceqa", "The answer is B. A cat is not there.", PETS, 14, "B"),
    ],
)
def test_the_place_that_decides_is_found(rule, text, sample, start, said):
    assert (found(rule, text, sample), place(rule, text, sample)) == ([said], [start])


def test_an_earlier_mention_of_the_same_is_not_the_place():
    text = "There are 3 red ones. The answer is 3. That took 7 steps."
    assert place("stated", text, FREE) == [36]


def test_each_judged_step_has_its_last_verdict_marked():
    text = "Step 1: wrong\nStep 1: correct\nStep 2: incorrect\nStep 3: right"
    assert found("step_verdicts", text, STEPS) == ["correct", "incorrect", "right"]
    assert place("step_verdicts", text, STEPS)[0] == 22


def test_where_nothing_was_read_or_no_place_decides_nothing_is_marked():
    assert spans(Scored(PETS, 0, None, None, "", "error")) == ()
    assert spans(Scored(PETS, 0, "who knows", None, "", "unparsed")) == ()
    assert found("whole", "", FREE) == []
    assert found("stated", r"answer : \boxed{}" + "\nanswer : 1,000", FREE) in ([], ["1,000"])
