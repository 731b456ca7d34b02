"""Controls of a benchmark: which can be asked, how judged attempts become groups, what is read from both."""

from __future__ import annotations

import dataclasses

import pytest
from four import png

from mmevolve.benchmarks.controlled import (
    asked_plainly,
    compared,
    control_lines,
    control_scores,
    groups,
    misfits,
    named,
    readings,
)
from mmevolve.benchmarks.load import ITEM, VARIANT, load_samples
from mmevolve.benchmarks.score import judge
from mmevolve.benchmarks.spec import load_spec
from mmevolve.controls.control import controls


@pytest.fixture
def loaded(here):
    (here / "data" / "four" / "b.png").write_bytes(png("blue"))
    return load_samples(load_spec("eval/benchmarks/four.yaml"))


def answered(loaded, samples, says):
    return [judge(loaded.spec, s, says(s)) for s in samples]


def test_a_group_holds_what_the_specs_rules_read_and_their_verdict(loaded):
    q1, q2 = loaded.samples[:2]
    spec = dataclasses.replace(loaded.spec, extract=("own",))
    scored = [judge(spec, q1, "I see a dog", 0), judge(spec, q1, None, 1), judge(spec, q2, "There are 4 of them", 0)]
    first, second = groups(scored)
    # no explicit statement: the strict reading would find nothing in either
    assert [t.answer for t in first.trajectories] == ["B", None]
    assert [t.answer for t in second.trajectories] == ["4 of them"]
    assert [t.id for t in first.trajectories] == ["q1/0/0", "q1/0/1"]
    assert [(t.stop_reason, t.text) for t in first.trajectories] == [("stop", "I see a dog"), ("error", "")]
    assert first.scores("answer") == [1.0, 0.0] and second.scores("answer") == [0.0]


def test_a_control_compares_what_was_read_with_and_without_the_picture(loaded):
    (blind,) = controls("blind")
    says = {"q1": "dog", "q2": "answer : 3", "q3": "blue", "q4": "oak"}
    scored = answered(loaded, loaded.samples, lambda s: says[s.id])
    without = {"q1": "dog", "q2": "I cannot see any image.", "q3": "red", "q4": "answer : elm"}
    variants = answered(loaded, blind(loaded.samples), lambda s: without[s.id.partition("@")[0]])
    done = compared(blind, loaded, scored, variants)
    # right with the picture: q1 q2 q4; without: q1 q3; both: q1
    numbers = done.numbers
    assert (numbers["blind/accuracy/seeing"], numbers["blind/accuracy/blind"]) == (0.75, 0.5)
    assert numbers["blind/accuracy/gain"] == 0.25
    assert numbers["blind/accuracy/also_blind"] == pytest.approx(1 / 3)
    assert numbers["blind/declined/variant"] == 0.25
    # two pictures of two questions each: a.png 2 of 2 and 1, b.png 1 of 2 and 1
    assert (numbers["blind/accuracy/gain_low"], numbers["blind/accuracy/gain_high"]) == (0.0, 0.5)
    said = "\n".join(control_lines(done))
    assert "control blind: right without any image; 4 responses to changed questions" in said
    assert "accuracy/gain           0.250   95 % interval 0.000 to 0.500" in said
    assert "the picture is not shown to help: the interval of the gain is not above 0" in said
    assert "leakage" not in said  # nobody said what the language model alone scores
    assert control_scores(done, loaded, "m")["numbers"]["blind/accuracy/leakage"] is None
    assert not any(r.name.endswith("left_out") for r in readings(done))


def test_circular_counts_questions_with_options_and_leaves_the_others_out(loaded):
    (circular,) = controls("circular")
    scored = answered(loaded, loaded.samples, lambda s: "answer : A")
    variants = answered(loaded, circular(loaded.samples), lambda s: "answer : A")
    numbers = compared(circular, loaded, scored, variants).numbers
    # q1 is (cat, dog) B, q3 is (red, blue) A: always A is right once for each, and names the other option each time
    assert (numbers["circular/all/plain"], numbers["circular/all/circular"]) == (0.5, 0.0)
    assert numbers["circular/all/average"] == 0.5 and numbers["circular/all/left_out"] == 2.0
    assert numbers["circular/flips/rate"] == 1.0
    said = control_lines(compared(circular, loaded, scored, variants))
    assert "    all: 2 questions left out" in said
    assert any(
        line.endswith(", n 4, 2 questions left out, without answers in two orders that name an option") for line in said
    )
    silent = answered(loaded, circular(loaded.samples), lambda s: "who knows")
    said = control_lines(compared(circular, loaded, scored, silent))
    assert "    flips: none of 4 questions has an answer in both: nothing to compare" in said
    assert numbers["circular/position/chosen/A"] == 1.0


def test_repeats_that_a_spec_asks_for_are_not_varied_again(loaded):
    one = dataclasses.replace(loaded.samples[0], meta={ITEM: "q1", VARIANT: 0})
    again = dataclasses.replace(one, id="q1~1", images=(), meta={ITEM: "q1", VARIANT: 1})
    both = dataclasses.replace(loaded, samples=(one, again))
    assert asked_plainly(both) == (one,)
    (blind,) = controls("blind")
    done = compared(blind, both, answered(both, both.samples, lambda s: "dog"), answered(both, blind([one]), str))
    assert done.numbers["blind/accuracy/left_out"] == 0.0


def test_a_control_that_cannot_be_asked_is_refused_in_a_sentence(loaded):
    def said(names, **changes):
        spec = dataclasses.replace(loaded.spec, **changes)
        return list(misfits(dataclasses.replace(loaded, spec=spec), controls(names)))

    assert said("blind,swapped,circular,permuted,augmented") == []
    assert said("circular,blind", show_choices=False) == [
        "--control circular, four: its questions hold their options themselves (show_choices: false), in an order that "
        "stays"
    ]
    assert said("reverse,grey", kind="critique") == [
        "--control reverse, four: it changes the order of options, and this benchmark asks for a critique"
    ]
    bare = dataclasses.replace(loaded, samples=tuple(dataclasses.replace(s, images=()) for s in loaded.samples))
    assert list(misfits(bare, controls("grey"))) == [
        "--control grey, four: none of 4 samples has an image: an image control has nothing to change"
    ]
    assert named("blind,swaped", 0)[1] == ["--control: no control 'swaped': the nearest is 'swapped'"]
    assert named(None, 0) == ((), [])
