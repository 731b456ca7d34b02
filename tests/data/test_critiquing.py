"""Known errors in right solutions, and critiquing as a task."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from mmevolve.data.critiquing import (
    ShapeErrors,
    critique_lessons,
    critiquing,
    revision_lessons,
)
from mmevolve.data.nlvr import nlvr_questions
from mmevolve.data.shapes.dataset import gold, shapes, world_of
from mmevolve.data.shapes.errors import corrupted
from mmevolve.data.shapes.oracle import judge
from mmevolve.data.written_errors import WrittenErrors, changed
from mmevolve.models.scripted import Scripted, words_of
from mmevolve.prompts.error_list import KINDS, errors_of, parse
from mmevolve.text import split_steps
from mmevolve.types import Sample, Step

SAMPLES = shapes(n=56, seed=3)
SAID = KINDS[:4]


def statuses(sample, steps):
    scene, program = world_of(sample)
    return [v.status for v in judge([s.text for s in steps], program, scene)]


@pytest.mark.parametrize("count", range(6))
def test_the_steps_that_the_oracle_calls_wrong_are_those_with_an_inserted_error(count):
    for sample in SAMPLES:
        made = corrupted(sample, count, SAID, Random(count))
        wrong = [i for i, status in enumerate(statuses(sample, made.steps)) if status == "wrong"]
        assert [e.step for e in made.errors] == wrong, sample.id
        assert all(status != "unparsable" for status in statuses(sample, made.steps))
        assert len(made.errors) <= count and (count == 0 or made.errors)
        assert made.solution == gold(sample)
        for e in made.errors:
            assert made.steps[e.step].text == e.changed != e.original == made.originals[e.step]


def test_without_an_error_a_solution_is_the_gold_one():
    made = corrupted(SAMPLES[0], 0, SAID, Random(0))
    assert "\n".join(s.text for s in made.steps) == "\n".join(made.originals) == gold(SAMPLES[0])


@pytest.mark.parametrize("kind", SAID)
def test_an_error_is_of_the_kind_that_was_asked_for(kind):
    seen = 0
    for sample in SAMPLES:
        try:
            made = corrupted(sample, 5, [kind], Random(1))
        except ValueError:  # a question without such a step
            continue
        scene, program = world_of(sample)
        verdicts = judge([s.text for s in made.steps], program, scene)
        for e in made.errors:
            seen += 1
            fault = verdicts[e.step].fault
            assert e.kind == kind
            assert fault == ("perception" if kind in ("perception", "hallucinated object") else "logic")
            if kind == "hallucinated object":
                new = Counter(e.changed.split()) - Counter(e.original.split())
                assert any(not scene.at(word) for word in new if word[0] in "abcd" and word[1:].isdigit())
    assert seen > 20


def test_a_moved_region_leaves_the_words_and_is_recorded_as_boxes():
    made = corrupted(SAMPLES[0], 5, ["region"], Random(0))
    right = corrupted(SAMPLES[0], 0, ["region"], Random(0))
    assert [s.text for s in made.steps] == [s.text for s in right.steps]
    moved = [i for i, (a, b) in enumerate(zip(made.steps, right.steps, strict=True)) if a.region != b.region]
    assert moved and moved == [e.step for e in made.errors]
    assert {e.kind for e in made.errors} == {"region"} and made.errors[0].changed.startswith("[")


def test_a_question_that_cannot_take_an_error_of_a_kind_says_so():
    (place,) = shapes(n=1, families=("place",))
    with pytest.raises(ValueError, match="no step can take an error of the kinds"):
        corrupted(place, 2, ["arithmetic"], Random(0))
    with pytest.raises(ValueError, match="expected some of perception"):
        ShapeErrors(kinds=("typo",))


def test_a_critiquing_sample_shows_the_wrong_solution_and_is_answered_by_its_errors():
    made = critiquing(SAMPLES[:8], words="world_critique", form="looks", seed=4)
    again = critiquing(SAMPLES[7::-1], words="world_critique", form="looks", seed=4)
    assert made == again[::-1], "errors depend on the sample and the seed, not on the order"
    for sample, task in zip(SAMPLES, made, strict=False):
        errors = errors_of(task.meta)
        lines = task.question.splitlines()
        assert lines[0] == sample.question and lines[-1] == "critique each step ."
        assert lines[1:-1] == [f"step {k} : {text}" for k, text in enumerate(task.meta["steps"], 1)]
        assert {d.step for d in parse(task.answer, task.meta["steps"])} == {e.step for e in errors}
        assert parse(task.answer) is None, "without the steps nobody can tell"
        assert 1 <= len(errors) <= 5 and task.images == sample.images
        json.dumps(task.meta)


def test_a_share_of_the_solutions_stays_right():
    made = critiquing(SAMPLES, clean=1.0)
    assert all(errors_of(s.meta) == () and s.answer == "No errors." for s in made)
    some = critiquing(SAMPLES, clean=0.5)
    assert 10 < sum(not errors_of(s.meta) for s in some) < 46


def test_a_list_of_errors_is_read_back_with_step_and_kind():
    for task in critiquing(SAMPLES):
        assert {(d.step, d.kind) for d in parse(task.answer)} == {(e.step, e.kind) for e in errors_of(task.meta)}


def test_settings_without_sense_are_one_sentence():
    with pytest.raises(ValueError, match=r"no field \{steps\}"):
        critiquing(SAMPLES, words="question")
    with pytest.raises(ValueError, match="from 4 to 2 errors"):
        critiquing(SAMPLES, fewest=4, most=2)


def test_lessons_of_critic_and_reasoner_come_from_the_same_samples():
    tasks = critiquing(SAMPLES[:6], form="looks", words="world_critique", clean=0.3)
    lessons = critique_lessons(tasks)
    assert [row.completion for row in lessons] == [s.answer for s in tasks]
    assert words_of(lessons[0].prompt) == tasks[0].question
    told = revision_lessons(tasks, words="world_reflection")
    wrong = [s for s in tasks if errors_of(s.meta)]
    both = revision_lessons(tasks, words="world_reflection", first=True)
    assert both[::2] == told and [row.prompt for row in both[1::2]] == [row.prompt[:1] for row in told]
    assert [row.source for row in told] == [s.id for s in wrong]
    assert told[0].completion == wrong[0].meta["solution"]
    assert words_of(told[0].prompt).split("\n")[0] == wrong[0].meta["question"]
    assert wrong[0].answer in words_of(told[0].prompt) and told[0].prompt[1]["role"] == "assistant"
    assert revision_lessons(tasks, words="world_reflection", critiques=True) == [*lessons, *told]


# A model as inserter.

WORKED = [
    Sample(f"q{i}", "how many ?", ("a.png",), "4", meta={"solution": "two are red\ntwo are blue\nAnswer: 4"})
    for i in range(4)
]


def reply(*rows):
    return "Sure. " + json.dumps({"errors": [dict(zip(("step", "kind", "text"), row, strict=True)) for row in rows]})


def test_a_reply_that_does_what_was_asked_is_taken():
    steps = tuple(map(Step, ("two are red", "two are blue")))
    made = changed(reply((2, "perception", "three are blue")), steps, 1)
    assert [s.text for s in made.steps] == ["two are red", "three are blue"]
    (error,) = made.errors
    assert (error.step, error.kind, error.original, error.changed) == (
        1,
        "perception",
        "two are blue",
        "three are blue",
    )


@pytest.mark.parametrize(
    "said",
    [
        "no idea",
        "{" * 200,
        reply(),
        reply((3, "perception", "x")),
        reply((0, "perception", "x")),
        reply((1, "typo", "x")),
        reply((1, "perception", "Two  are red")),
        reply((True, "perception", "x")),
        reply((1, "perception", "x"), (1, "logic", "y")),
        '{"errors": [1]}',
    ],
)
def test_any_other_reply_is_refused(said):
    assert changed(said, tuple(map(Step, ("two are red", "two are blue"))), 1) is None


def test_a_model_that_never_complies_is_given_up_after_the_retries_and_counted(caplog):
    asked = []

    def say(said, seed, index):
        asked.append(seed)
        return "no" if "how many" in said else ""

    made = WrittenErrors(Scripted(say), retries=2)(WORKED, [1] * 4, [1, 2, 3, 4])
    assert made == [None] * 4 and len(asked) == 12 and len(set(asked)) == 12
    assert "12 replies could not be used" in caplog.text
    with pytest.raises(ValueError, match="no errors could be put into any of 4 solutions"):
        critiquing(WORKED, inserter=WrittenErrors(Scripted(say)))


def test_a_model_that_complies_at_the_second_try_makes_critiquing_samples(caplog):
    def say(said, seed, index):
        return reply((1, "perception", "three are red")) if seed % 2 else "let me think"

    inserter = WrittenErrors(Scripted(say), retries=8)
    tasks = critiquing(WORKED, inserter=inserter, most=1)
    assert len(tasks) == 4
    assert all(s.meta["steps"][0] == "three are red" for s in tasks)
    assert tasks[0].answer == "Step 1 (perception): it should be: two are red"
    assert "step 1 : three are red" in tasks[0].question
    assert split_steps(tasks[0].meta["solution"])[0] == "two are red"
    with pytest.raises(ValueError, match="no solution under meta"):
        critiquing(SAMPLES[:1], inserter=inserter)


def test_every_number_is_one_that_the_embedded_model_has_a_word_for():
    for sample in shapes(n=60, families=("two_hop", "removal"), seed=9):
        for count in (1, 5):
            made = corrupted(sample, count, SAID, Random(count))
            words = " ".join([*(s.text for s in made.steps), *made.originals]).split()
            assert all(0 <= int(w) <= 99 for w in words if w.lstrip("-").isdigit())


def test_nlvrs_boxes_take_errors_too():
    samples = nlvr_questions(path=str(Path(__file__).parents[1] / "fixtures" / "nlvr1"), n=28, split="train")
    for sample in samples:
        made = corrupted(sample, 3, SAID, Random(2))
        assert [e.step for e in made.errors] == [i for i, s in enumerate(statuses(sample, made.steps)) if s == "wrong"]
