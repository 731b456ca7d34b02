"""Cosines by hand: a stand-in embedder that has a number for each picture and text."""

import dataclasses

import pytest

from mmevolve.contracts import check_part
from mmevolve.critics.alignment import Alignment
from mmevolve.text import stable_seed
from mmevolve.types import Critique, Sample, Step, Trajectory

COSINES = {
    (b"1", "red circles : a1 = 1"): 0.6,
    (b"1", "1 + 1 = 2"): 0.1,
    (b"1", "answer : 2"): -0.1,
    (b"2", "red circles : a1 = 1"): 0.2,
    (b"2", "1 + 1 = 2"): 0.3,
    (b"2", "answer : 2"): -0.3,
    (b"1", "2"): 0.4,
    (b"1", "how many ? 2"): 0.5,
}
STEPS = (Step("red circles : a1 = 1", "perception"), Step("1 + 1 = 2"), Step("answer : 2", "answer"))
ONE = Sample("one", "how many ?", images=(b"1",))
TRIED = Trajectory("one/0/0", "one", "m", STEPS, "2")


class Table:
    """An embedder from the table above; notes how often it was asked."""

    def __init__(self):
        self.calls = 0

    def similarity(self, images, texts):
        self.calls += 1
        return [COSINES[pair] for pair in zip(images, texts, strict=True)]


def said(items, **settings):
    return list(Alignment(Table(), **settings)(items))


def test_a_score_is_the_mean_or_the_least_of_the_steps_cosines():
    (mean,) = said([(ONE, TRIED)])
    assert mean.step_scores == (0.6, 0.1, -0.1) and mean.score == pytest.approx(0.2) and mean.sees_image
    assert said([(ONE, TRIED)], fold="min")[0].score == -0.1


def test_of_several_pictures_the_one_that_fits_a_step_best_counts():
    both = dataclasses.replace(ONE, images=(b"1", b"2"))
    assert said([(both, TRIED)])[0].step_scores == (0.6, 0.3, -0.1)


def test_only_the_steps_that_say_what_is_seen_are_read_when_asked():
    assert said([(ONE, TRIED)], reads="perception") == [Critique("one/0/0", "alignment", 0.6, sees_image=True)]


def test_the_answer_is_read_in_its_caption():
    assert said([(ONE, TRIED)], reads="answer")[0] == Critique("one/0/0", "alignment", 0.4, sees_image=True)
    assert said([(ONE, TRIED)], reads="answer", caption="{question} {answer}", name="clip")[0] == Critique(
        "one/0/0", "clip", 0.5, sees_image=True
    )


@pytest.mark.parametrize(
    ("sample", "trajectory", "reads", "why"),
    [
        (dataclasses.replace(ONE, images=()), TRIED, "steps", "sample 'one' has no picture"),
        (ONE, dataclasses.replace(TRIED, steps=()), "steps", "the attempt has no steps"),
        (ONE, dataclasses.replace(TRIED, steps=STEPS[1:]), "perception", "no step that says what is seen"),
        (ONE, dataclasses.replace(TRIED, answer=None), "answer", "the attempt has no answer"),
    ],
)
def test_what_cannot_be_judged_has_no_score_and_says_why(sample, trajectory, reads, why):
    first, second = said([(sample, trajectory), (ONE, TRIED)], reads=reads)
    assert first.score is None and first.step_scores == () and why in first.error
    assert second.error is None and second.score == said([(ONE, TRIED)], reads=reads)[0].score


def test_the_embedder_is_asked_once_for_all():
    critic = Alignment(Table())
    assert len(list(critic([(ONE, TRIED)] * 3))) == 3 and critic.embedder.calls == 1


class Hashed:
    """An embedder whose cosines are a hash."""

    def similarity(self, images, texts):
        return [stable_seed(i, t) % 200 / 100 - 1 for i, t in zip(images, texts, strict=True)]


@pytest.mark.parametrize("reads", ["steps", "perception", "answer"])
def test_it_keeps_the_contract_of_critics(reads):
    assert check_part(Alignment(Hashed(), reads=reads)) == []
