import pytest

from mmevolve.samplers.attempts import attempt, kind_of
from mmevolve.types import Reply, Sample

SAMPLE = Sample("s", "how many ?", answer="4")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("red circles : a1 b2 = 2", "perception"),
        ("the red circle : a1", "perception"),
        ("a1 : red circle", "perception"),
        ("2 + 3 = 5", "reasoning"),
        ("5 > 2 : yes", "reasoning"),
        ("so there are two more", "reasoning"),
        ("answer : 5", "answer"),
        ("Answer: C", "answer"),
        ("So, the final answer is 5.", "answer"),
        ("Therefore, the answer is (B)", "answer"),
        ("answering needs a look : a1", "perception"),
    ],
)
def test_steps_are_typed_by_their_form(line, kind):
    assert kind_of(line) == kind


def test_a_reply_becomes_typed_steps_and_an_answer():
    reply = Reply("circles : a1 = 1\n\n 1 + 3 = 4 \nanswer : 4", "m@2", "stop", (5, 6, 0), (-0.1, -0.2, -0.3))
    made = attempt(SAMPLE, reply, id="s/3/1", round=3, sampling={"temperature": 0.7})
    assert [(s.text, s.kind) for s in made.steps] == [
        ("circles : a1 = 1", "perception"),
        ("1 + 3 = 4", "reasoning"),
        ("answer : 4", "answer"),
    ]
    assert (made.id, made.sample_id, made.author, made.round, made.answer) == ("s/3/1", "s", "m@2", 3, "4")
    assert (made.stop_reason, made.token_ids, made.logprobs) == ("stop", (5, 6, 0), (-0.1, -0.2, -0.3))
    assert made.parent is None
    assert made.sampling == {"temperature": 0.7}


def test_what_was_said_before_comes_first():
    made = attempt(SAMPLE, Reply("answer : 4", "m", "stop"), id="t", round=0, sampling={}, before="one\n")
    assert made.text == "one\nanswer : 4"


def test_an_empty_reply_is_an_attempt_without_steps_or_answer():
    made = attempt(SAMPLE, Reply(" \n", "m", "length"), id="t", round=0, sampling={})
    assert (made.steps, made.answer, made.stop_reason) == ((), None, "length")


def test_an_answer_that_is_not_stated_is_none():
    assert attempt(SAMPLE, Reply("I see 4 circles", "m", "stop"), id="t", round=0, sampling={}).answer is None


def test_the_answer_to_a_choice_is_its_letter():
    sample = Sample("s", "which ?", answer="B", choices=("red", "blue"))
    assert attempt(sample, Reply("answer : blue", "m", "stop"), id="t", round=0, sampling={}).answer == "B"
