"""Logistic regression with a ridge, for a handful of features: Newton's method on standardised columns.

Papers: Cox 1958, "The regression analysis of binary sequences"; le Cessie and van Houwelingen 1992, "Ridge estimators
in logistic regression". The ridge keeps weights finite where the classes can be told apart without error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Logistic:
    """A fitted regression: P(label) = 1 / (1 + exp(-(bias + sum of weight * (feature - mean) / scale))).

    A feature that is missing (NaN) counts as its mean, and adds its own `absent` weight.

    Attributes:
        bias: of the log-odds.
        weights: one a feature, of standardised values.
        absent: one a feature, added where it is missing.
        means: one a feature, over the rows that had it.
        scales: one a feature, its standard deviation; 1 of a constant.
    """

    bias: float
    weights: tuple[float, ...]
    absent: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    def __call__(self, features: Sequence[float]) -> float:
        """The chance of the label.

        Raises:
            ValueError: when there are more or fewer features than it was fitted on.
        """
        if len(features) != len(self.weights):
            raise ValueError(f"{len(features)} features, the regression was fitted on {len(self.weights)}")
        odds = self.bias
        for i, x in enumerate(features):
            odds += self.absent[i] if math.isnan(x) else self.weights[i] * (x - self.means[i]) / self.scales[i]
        return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0


def fit(rows: Sequence[Sequence[float]], labels: Sequence[bool], *, ridge: float = 1.0, steps: int = 100) -> Logistic:
    """The weights that maximise the likelihood less `ridge` / 2 times their squares; the bias is free.

    Args:
        rows: features, NaN where missing.
        labels: one a row.
        ridge: of the weights of standardised features; above 0.
        steps: of Newton's method at most.

    Raises:
        ValueError: when there are no rows, lengths do not fit, a feature is infinite, labels are all alike, or the
            ridge is not above 0.
    """
    data, target = np.asarray(rows, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if data.ndim != 2 or len(data) != len(target):
        raise ValueError(f"features of shape {data.shape} for {len(target)} labels: expected one row a label")
    if not 0 < target.sum() < len(target):
        raise ValueError(f"all {len(target)} labels are {bool(target.all())}: nothing to tell apart")
    if np.isinf(data).any():
        raise ValueError(f"row {int(np.argwhere(np.isinf(data))[0][0])} has an infinite feature")
    if not ridge > 0:
        raise ValueError(f"ridge {ridge}: expected more than 0")
    missing = np.isnan(data)
    there = np.where(missing, 0.0, data)
    count = np.maximum((~missing).sum(axis=0), 1)
    means = there.sum(axis=0) / count
    centred = np.where(missing, 0.0, data - means)
    scales = np.sqrt((centred**2).sum(axis=0) / count)
    scales[scales < 1e-12 * np.maximum(1.0, np.abs(means))] = 1.0
    design = np.hstack([np.ones((len(data), 1)), centred / scales, missing.astype(np.float64)])
    found = _newton(design, target, ridge, steps)
    size = data.shape[1]
    return Logistic(
        float(found[0]), *(tuple(map(float, part)) for part in (found[1 : size + 1], found[size + 1 :], means, scales))
    )


def _newton(design: np.ndarray, target: np.ndarray, ridge: float, steps: int) -> np.ndarray:
    """Newton's method with halved steps where one overshoots; the loss is convex, so there is one minimum."""
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0

    def loss(w: np.ndarray) -> float:
        odds = design @ w
        return float(np.logaddexp(0.0, odds).sum() - target @ odds + 0.5 * (penalty * w * w).sum())

    weights = np.zeros(design.shape[1])
    weights[0] = math.log(target.mean() / (1 - target.mean()))
    at = loss(weights)
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -700, 700)))
        gradient = design.T @ (chance - target) + penalty * weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(weights)), gradient)
        size = 1.0
        while loss(weights - size * step) > at and size > 1e-8:
            size /= 2
        weights = weights - size * step
        now = loss(weights)
        if np.abs(gradient).max() < 1e-9 * len(target) or at - now < 1e-13 * abs(at):
            break
        at = now
    return weights
