"""Internal consistency at its four layers, by hand and against scipy."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from mmevolve.controls.consistency import (
    answer_logprobs,
    augmentation_consistency,
    decoding_consistency,
    higher,
    latent_consistency,
    negative_entropy,
    negative_variance,
    response_consistency,
)
from mmevolve.controls.link import variant
from mmevolve.controls.resampling import Resampling
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

QUICK = Resampling(draws=100)


def group(name, *attempts, choices=(), sample=None):
    """Attempts as (answer, right) or (answer, right, text, token log-probabilities)."""
    sample = sample or Sample(name, "?", (f"{name}.png",), "4", choices)
    trajectories, said = [], []
    for i, (answer, right, *rest) in enumerate(attempts):
        text, logprobs = rest or (f"t{i}", ())
        t = Trajectory(f"{name}/0/{i}", name, "m", (Step(text),), answer, logprobs=tuple(logprobs))
        trajectories.append(t)
        said.append(Critique(t.id, "answer", right))
    return Group(sample, tuple(trajectories), tuple(said))


def test_the_surveys_example():
    assert negative_variance([4, 3, 3, 3, 4]) == pytest.approx(-0.24)
    assert negative_entropy([4, 3, 3, 3, 4]) == pytest.approx(-0.971, abs=5e-4)
    assert str(negative_entropy([1, 1])) == str(negative_variance([1, 1])) == "0.0"
    assert math.isnan(negative_entropy([])) and math.isnan(negative_variance([]))


@pytest.mark.parametrize("seed", range(10))
def test_entropy_and_variance_are_those_of_scipy_and_numpy(seed):
    values = [random.Random(seed + i).randrange(5) for i in range(9)]
    assert negative_entropy(values) == pytest.approx(-entropy(list(Counter(values).values()), base=2))
    assert negative_variance(values) == pytest.approx(-np.var(values))


FIVE = [("4", 1.0), ("3", 0.0), ("3.0", 0.0), ("3", 0.0), ("4", 1.0)]


def test_response_consistency_goes_by_the_verifiers_equality():
    found = response_consistency([group("a", *FIVE)], resampling=QUICK)
    assert found.values == (pytest.approx(-0.971, abs=5e-4),)
    numeric = response_consistency([group("a", *FIVE)], numeric=True, resampling=QUICK)
    assert numeric.values == (pytest.approx(-0.24),)


def test_having_no_answer_is_one_more_category():
    assert response_consistency([group("a", ("4", 1.0), (None, 0.0))], resampling=QUICK).values == (-1.0,)
    with pytest.raises(ValueError, match="sample 'a': answer None is no number"):
        response_consistency([group("a", ("4", 1.0), (None, 0.0))], numeric=True)


def test_consistency_tells_right_from_wrong_by_the_commonest_answer():
    """Consistency 0, -0.81, -1 and -0.81; commonest right, wrong, right (the first of two), wrong. Of the four pairs
    of a right and a wrong sample, right is the more consistent in the two with the first."""
    groups = [
        group("a", *[("4", 1.0)] * 4),
        group("b", *[("3", 0.0)] * 3, ("4", 1.0)),
        group("c", ("4", 1.0), ("4", 1.0), ("3", 0.0), ("3", 0.0)),
        group("d", *[("3", 0.0)] * 3, ("4", 1.0)),
    ]
    assert response_consistency(groups, resampling=QUICK).auroc == 0.5
    assert response_consistency(groups[:1], resampling=QUICK).auroc is None
    assert response_consistency(groups, critic="judge", resampling=QUICK).auroc is None


def test_one_attempt_cannot_be_consistent():
    with pytest.raises(ValueError, match="sample 'a' has 1 attempts: consistency needs two or more"):
        response_consistency([group("a", ("4", 1.0))])


@pytest.mark.parametrize("seed", range(5))
def test_decoding_consistency_is_the_entropy_of_the_softmax(seed):
    logits = np.random.default_rng(seed).normal(size=4) * 3 - 50
    found = decoding_consistency([group("a", ("4", 1.0))], [dict(zip("ABCD", logits, strict=True))], resampling=QUICK)
    assert found.values[0] == pytest.approx(-entropy(softmax(logits), base=2))


def test_without_given_log_probabilities_the_attempts_own_are_used_each_text_once():
    """4 by two texts of probability 1/4 and 1/8 (one drawn twice), 5 by one of 1/8: shares 3/4 and 1/4."""
    q, e = [math.log(0.5)] * 2, [math.log(0.5)] * 3
    made = group("a", ("4", 1.0, "x", q), ("4.0", 1.0, "y", e), ("4", 1.0, "x", q), ("5", 0.0, "z", e))
    assert {k: math.exp(v) for k, v in answer_logprobs(made).items()} == pytest.approx({"0": 0.375, "1": 0.125})
    found = decoding_consistency([made], resampling=QUICK)
    assert found.values[0] == pytest.approx(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))


def test_log_probabilities_that_are_missing_are_refused():
    with pytest.raises(ValueError, match="trajectory 'a/0/0' has no log-probabilities"):
        decoding_consistency([group("a", ("4", 1.0))])
    with pytest.raises(ValueError, match="log-probabilities of 0 questions for 1 groups"):
        decoding_consistency([group("a", ("4", 1.0))], [])
    with pytest.raises(ValueError, match=r"sample 'a': log-probabilities of answers \{\}"):
        decoding_consistency([group("a", ("4", 1.0))], [{}])


def test_latent_consistency_is_the_agreement_of_what_each_layer_would_answer():
    """Four layers answer B B A B: -0.811 bits. All answer A: 0."""
    layers = [[0.1, 0.9], [-2.0, 3.0], [1.0, 0.0], [0.0, 0.5]]
    groups = [group("a", ("A", 1.0)), group("b", ("A", 1.0))]
    found = latent_consistency(groups, [layers, [[2.0, 1.0]] * 3], resampling=QUICK)
    assert found.values == (pytest.approx(-0.8113, abs=1e-4), 0.0)
    with pytest.raises(ValueError, match=r"sample 'a': vectors of lengths \[1, 2\], expected one length"):
        latent_consistency(groups[:1], [[[1.0, 2.0], [1.0]]])
    with pytest.raises(ValueError, match="vectors of 1 questions for 2 groups"):
        latent_consistency(groups, [layers])


def test_image_consistency_is_over_the_original_and_its_variants():
    """Answers 4 4 5 4 and, under moved options, the same option by another letter."""
    a = Sample("a", "?", ("a.png",), "4")
    b = Sample("b", "?", ("b.png",), "A", ("cat", "dog"))
    variants = [group(f"a{i}", (x, 1.0), sample=variant(a, "x", str(i))) for i, x in enumerate(["4", "5", "4.0"])]
    moved = variant(b, "y", facts={"order": [1, 0]}, choices=("dog", "cat"), answer="B")
    variants.append(group("by", ("B", 1.0), sample=moved))
    found = augmentation_consistency(
        [group("a", ("4", 1.0), sample=a), group("b", ("A", 1.0), sample=b)], variants, resampling=QUICK
    )
    assert found.values == (pytest.approx(-0.8113, abs=1e-4), 0.0)


def test_the_hourglass_is_a_share_of_samples():
    groups = [group("a", ("4", 1.0), ("5", 0.0)), group("b", ("4", 1.0), ("4", 1.0))]
    response = response_consistency(groups, resampling=QUICK)
    decoding = decoding_consistency(groups, [{"4": -0.1, "5": -5.0}, {"4": -0.1, "5": -5.0}], resampling=QUICK)
    assert higher(decoding, response, resampling=QUICK).mean == 0.5
    with pytest.raises(ValueError, match="two layers of 2 and 1 samples: expected the same ones"):
        higher(decoding, response_consistency(groups[:1], resampling=QUICK))
