"""The regression beside a general optimiser, and what it cannot be fitted on."""

import math
import random

import numpy as np
import pytest
from scipy.optimize import minimize

from mmevolve import logistic


def data(n=80, seed=0):
    draw = random.Random(seed)
    rows = [(draw.gauss(3, 2), draw.gauss(0, 5), 7.0) for _ in range(n)]
    return rows, [draw.random() < 1 / (1 + math.exp(-(x - 3) + 0.1 * y)) for x, y, _ in rows]


@pytest.mark.parametrize("ridge", [0.1, 1.0, 30.0])
def test_it_finds_what_a_general_optimiser_finds(ridge):
    rows, labels = data()
    x, y = np.array(rows), np.array(labels, dtype=float)
    spread = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)

    def loss(w):
        odds = w[0] + z @ w[1:]
        return np.logaddexp(0, odds).sum() - y @ odds + ridge / 2 * (w[1:] ** 2).sum()

    best = minimize(loss, np.zeros(4), tol=1e-12).x
    found = logistic.fit(rows, labels, ridge=ridge)
    assert (found.bias, *found.weights) == pytest.approx(best, abs=1e-4)
    assert found.weights[2] == 0.0, "a constant says nothing"
    assert found(rows[0]) == pytest.approx(1 / (1 + math.exp(-(best[0] + z[0] @ best[1:]))), abs=1e-4)


def test_classes_that_are_told_apart_without_error_keep_weights_finite():
    found = logistic.fit([(float(i),) for i in range(10)], [i > 4 for i in range(10)], ridge=0.01)
    assert 1 < found.weights[0] < 100
    assert found((9.0,)) > 0.99 > 0.01 > found((0.0,))


def test_a_missing_feature_counts_as_its_mean_and_has_a_weight_of_its_own():
    rows = [(1.0,), (2.0,), (3.0,), (math.nan,), (math.nan,), (math.nan,)]
    found = logistic.fit(rows, [False, True, False, True, True, True])
    assert found.means == (2.0,) and found.absent[0] > 0.5
    assert found((math.nan,)) > found((2.0,))


@pytest.mark.parametrize(
    ("rows", "labels", "said"),
    [
        ([(1.0,), (2.0,)], [True, True], "all 2 labels are True: nothing to tell apart"),
        ([(1.0,), (2.0,)], [True], "for 1 labels: expected one row a label"),
        ([(1.0,), (math.inf,)], [True, False], "row 1 has an infinite feature"),
        ([], [], "expected one row a label"),
    ],
)
def test_what_cannot_be_fitted_is_a_sentence(rows, labels, said):
    with pytest.raises(ValueError, match=said):
        logistic.fit(rows, labels)


def test_another_number_of_features_is_a_sentence():
    with pytest.raises(ValueError, match="2 features, the regression was fitted on 3"):
        logistic.fit(*data())((1.0, 2.0))
    with pytest.raises(ValueError, match="ridge 0"):
        logistic.fit(*data(), ridge=0.0)
