"""Other words for the same question, and what changes with them, by hand."""

import pytest

from mmevolve.controls.control import controls
from mmevolve.controls.resampling import Resampling
from mmevolve.controls.sensitivity import over_wordings
from mmevolve.controls.wordings import reworded, wordings
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

QUICK = Resampling(draws=50)


def test_a_prompt_with_an_instruction_has_three_other_forms_and_its_paraphrases():
    assert wordings("{question}\nAnswer yes or no.", ["Yes or no? {question}"]) == {
        "polite": "Please answer the following.\n{question}\nAnswer yes or no.",
        "labelled": "Question: {question}\nAnswer yes or no.",
        "first": "Answer yes or no.\n{question}",
        "paraphrase_1": "Yes or no? {question}",
    }
    assert wordings("{question}")["first"] == "Answer this question.\n{question}"


def test_what_stands_around_a_question_that_is_no_instruction_stays_where_it_is():
    assert list(wordings("{question}\n\n{steps}\n\nJudge them.")) == ["polite"]
    assert list(wordings("Question: {question}\nAnswer 1: {first}")) == ["polite"]
    with pytest.raises(ValueError, match=r"has no field '.question.'"):
        wordings("What is it?")


def test_a_variant_brings_its_prompt_and_the_form_of_its_options():
    samples = [Sample("a", "?", choices=("x", "y")), Sample("b", "?")]
    made = reworded(samples, prompt="{question}\nSay.")
    assert [s.id for s in made[:4]] == ["a@prompts.polite", "a@prompts.labelled", "a@prompts.first", "a@prompts.dotted"]
    assert made[2].meta["control"]["prompt"] == "Say.\n{question}" and "option" not in made[2].meta["control"]
    assert made[3].meta["control"]["option"] == "{letter}. {choice}"
    assert len(made) == 8  # b too: all are asked alike, so that accuracies are of the same questions
    assert len(reworded(samples, options=False)) == len(reworded(samples[1:])) * 2 == 6


def group(sample, answer):
    t = Trajectory(f"{sample.id}/0/0", sample.id, "m", (Step("x"),), answer)
    return Group(sample, (t,), (Critique(t.id, "answer", float(answer == "4")),))


def test_accuracy_of_each_wording_and_the_share_of_questions_whose_answer_changes():
    """Four questions right in the own words; `first` is right on two of them, the other two wordings on all."""
    samples = [Sample(f"q{i}", "?", answer="4") for i in range(4)]
    (control,) = controls("prompts")
    variants = [group(s, "5" if s.id in ("q0@prompts.first", "q3@prompts.first") else "4") for s in control(samples)]
    found = over_wordings([group(s, "4") for s in samples], variants, resampling=QUICK)
    assert {name: x.mean for name, x in found.accuracy.items()} == {
        "own": 1.0, "polite": 1.0, "labelled": 1.0, "first": 0.5,
    }  # fmt: skip
    assert (found.spread.mean, found.changed.mean) == (0.5, 0.5)


def test_wordings_that_change_nothing_have_a_spread_of_none_up_to_what_four_questions_can_show():
    samples = [Sample(f"q{i}", "?", answer="4") for i in range(4)]
    (control,) = controls("prompts")
    found = over_wordings([group(s, "4") for s in samples], [group(s, "4") for s in control(samples)], resampling=QUICK)
    # Wilson, 0 of 4: 3.8415 / (4 + 3.8415)
    assert (found.spread.mean, found.spread.low) == (0.0, 0.0) and found.spread.high == pytest.approx(0.48990, abs=1e-4)
    assert found.p == 1.0
