"""How well a critic finds the wrong steps: average precision, first error, false alarms."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mmevolve.metrics.chains import Chain, chains, step_pairs
from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class StepAUPRC:
    """Area under the precision-recall curve of a critic's step scores, as average precision.

    The companion of `StepAUROC` where wrong steps are rare. `..._base` is the share of positive steps, which is what a
    guessing critic gets. NaN when no step is positive.

    Attributes:
        rank_by: the critic under test.
        oracle: the critic that knows.
        positive: which steps are looked for; a wrong step is the more likely the lower its score.
    """

    rank_by: str = "prm"
    oracle: str = "oracle"
    positive: Literal["wrong", "right"] = "wrong"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        pairs = step_pairs(groups, self.rank_by, self.oracle)
        if self.positive == "wrong":
            pairs = [(-score, not right) for score, right in pairs]
        name = f"step_auprc_{self.positive}_{self.rank_by}"
        return {name: average_precision(pairs), f"{name}_base": mean([good for _, good in pairs])}


@dataclass(frozen=True)
class FirstError:
    """Whether a critic finds the first wrong step, and finds none where there is none.

    A step that scores below the threshold is called wrong. `_wrong` is the share of chains with a wrong step whose
    first wrong step is the first that the critic calls wrong; `_right` the share of fully right chains of which it
    calls no step wrong; `_f1` the harmonic mean of both. A chain that the critic could not judge counts as missed, and
    `_unjudged` is their share. Chains with an unlabelled step are left out: their first error is not known.

    Paper: Zheng et al. 2024, "ProcessBench", arXiv:2412.06559 (accuracies on erroneous and correct chains, their F1).

    Attributes:
        rank_by: the critic under test.
        oracle: the critic that knows.
        threshold: a step scoring below is called wrong; tune it on other data (`best_threshold`).
    """

    rank_by: str = "prm"
    oracle: str = "oracle"
    threshold: float = 0.5

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        known = _whole(groups, self.rank_by, self.oracle)
        wrong, right = _hits(known, self.threshold)
        name = f"first_error_{self.rank_by}"
        return {
            f"{name}_wrong": mean(wrong),
            f"{name}_right": mean(right),
            f"{name}_f1": _harmonic(mean(wrong), mean(right)),
            f"{name}_unjudged": mean([c.said is None for c in known]),
        }


@dataclass(frozen=True)
class FalseAlarm:
    """Of the fully right chains that a critic judged, the share in which it calls a step wrong.

    `_steps` is the share of their steps that it calls wrong. NaN when there is no such chain.

    Attributes:
        rank_by: the critic under test.
        oracle: the critic that knows.
        threshold: a step scoring below is called wrong.
    """

    rank_by: str = "prm"
    oracle: str = "oracle"
    threshold: float = 0.5

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        judged = [c for c in _whole(groups, self.rank_by, self.oracle) if c.first_wrong is None and c.said is not None]
        steps = [score < self.threshold for c in judged for score in c.said or ()]
        return {
            f"false_alarm_{self.rank_by}": mean([c.first_below(self.threshold) is not None for c in judged]),
            f"false_alarm_{self.rank_by}_steps": mean(steps),
        }


def average_precision(pairs: Sequence[tuple[float, bool]]) -> float:
    """Sum over distinct scores, from the highest, of (recall gained there) * (precision there); tied pairs together.

    NaN when nothing is positive.

    Raises:
        ValueError: when a score is not a number.
    """
    unranked = sum(math.isnan(score) for score, _ in pairs)
    if unranked:
        raise ValueError(f"{unranked} of {len(pairs)} scores are NaN: they have no rank")
    positives = sum(good for _, good in pairs)
    if not positives:
        return float("nan")
    ordered = sorted(pairs, key=lambda p: -p[0])
    area, hits, i = 0.0, 0, 0
    while i < len(ordered):
        j = i
        while j < len(ordered) and ordered[j][0] == ordered[i][0]:
            j += 1
        gained = sum(good for _, good in ordered[i:j])
        hits += gained
        area += gained / positives * (hits / j)
        i = j
    return area


def best_threshold(groups: Sequence[Group], rank_by: str = "prm", oracle: str = "oracle") -> float:
    """The threshold with the highest first-error F1: the value for `FirstError` on other groups than these.

    Tried are every step score, at which that step is still called right, and one above all; of equal ones the lowest.

    Raises:
        ValueError: when there is no chain of one of the two kinds that the critic judged.
    """
    known = [c for c in _whole(groups, rank_by, oracle) if c.said is not None]
    # a right chain is told as it is up to its lowest score; a chain whose first wrong step is f above that step's
    # score and up to the lowest score before it
    clean = sorted(min(c.said or ()) for c in known if c.first_wrong is None)
    spans = [_span(c.said or (), c.first_wrong) for c in known if c.first_wrong is not None]
    if not clean or not spans:
        raise ValueError(f"critic '{rank_by}': a threshold needs judged chains with and without a wrong step")
    lows, highs = sorted(low for low, high in spans if low < high), sorted(high for low, high in spans if low < high)

    def f1(threshold: float) -> float:
        right = len(clean) - bisect_left(clean, threshold)
        wrong = bisect_left(lows, threshold) - bisect_left(highs, threshold)
        return _harmonic(wrong / len(spans), right / len(clean))

    scores = sorted({score for c in known for score in c.said or ()})
    return max((*scores, scores[-1] + 1.0), key=lambda t: (f1(t), -t))


def _span(said: Sequence[float], first: int) -> tuple[float, float]:
    return said[first], min(said[:first], default=math.inf)


def _whole(groups: Sequence[Group], rank_by: str, oracle: str) -> list[Chain]:
    return [c for c in chains(groups, rank_by, oracle) if None not in c.right]


def _hits(known: Sequence[Chain], threshold: float) -> tuple[list[bool], list[bool]]:
    """Of the chains with a wrong step and of the right ones: whether each is told as it is."""
    wrong, right = [], []
    for chain in known:
        told = chain.said is not None and chain.first_below(threshold) == chain.first_wrong
        (right if chain.first_wrong is None else wrong).append(told)
    return wrong, right


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b != 0 else 0.0
