"""How many corrections a plain resample would have got as often: the audit of lucky guesses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.metrics.mean import mean
from mmevolve.metrics.turns import Pair, pairs
from mmevolve.statistics import Interval, mean_interval
from mmevolve.types import Group, Trajectory


@dataclass(frozen=True)
class Audit:
    """One question that was wrong at first: what its reviews mended, and what plain attempts got.

    Attributes:
        sample: the question's id.
        fixed: wrong answers that the review mended.
        tried: wrong answers that were reviewed.
        right: plain attempts that are right.
        plain: plain attempts.
    """

    sample: str
    fixed: int
    tried: int
    right: int
    plain: int

    @property
    def rate(self) -> float:
        """Share of plain attempts that are right."""
        return self.right / self.plain

    @property
    def as_often(self) -> float:
        """Binomial chance that as many plain attempts as were reviewed get at least as many right."""
        return at_least(self.fixed, self.tried, self.rate)


@dataclass(frozen=True)
class LuckyGuess:
    """Of the corrections of a review, how many plain resamples of the question would have got as often.

    Plain attempts are those of `samplers.Resampled`, and where a question has none, its first attempts that were not
    reviewed. Reviewed ones do not count: that they were wrong is why a correction could be made.

    - `lucky/corrections`, `lucky/unaudited`: wrong answers mended by the review; of them, those without plain attempts.
    - `lucky/expected`: share of the corrections that one plain attempt each would have got, with its interval by
      question: the mean of the questions' rates, each as often as it has corrections.
    - `lucky/as_often`: share of the corrections at whose question the binomial chance of as many right plain attempts
      as the review mended, in as many tries, is above `alpha`.
    - `lucky/excess`: the review's fix rate less that of a plain attempt over all questions that were wrong at first,
      paired by question, with its interval. NaN unless each of them has plain attempts (`of: wrong`): questions chosen
      because the review mended them speak for it.

    Paper: ours; SCL, arXiv:2410.04055, counts lucky guesses as corrections.

    Attributes:
        critic: the verifier; what it could not judge is not right.
        alpha: a chance above it is as often.
        level: share of intervals that should hold the true value.
        draws: resamples of the bootstrap.
        seed: of the bootstrap.

    Raises:
        KeyError: when the verifier said nothing about a sample's attempts.
        ValueError: when a revision's parent is not among the attempts.
    """

    critic: str = "answer"
    alpha: Annotated[float, Range(0.0, 1.0)] = 0.05
    level: Annotated[float, Range(0.5, 0.999)] = 0.95
    draws: Annotated[int, Range(1)] = 10_000
    seed: int = 0

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        found = [a for g in sorted(groups, key=lambda g: g.sample.id) if (a := audit(g, self.critic)) is not None]
        mended = [a for a in found if a.fixed]
        known = [a for a in mended if a.plain]
        each = [a for a in known for _ in range(a.fixed)]
        expected = self._interval([a.rate for a in each], each)
        whole = found if all(a.plain for a in found) else []
        excess = self._interval([a.fixed / a.tried - a.rate for a in whole], whole)
        return {
            "lucky/corrections": float(sum(a.fixed for a in mended)),
            "lucky/unaudited": float(sum(a.fixed for a in mended if not a.plain)),
            "lucky/expected": expected.mean,
            "lucky/expected_low": expected.low,
            "lucky/expected_high": expected.high,
            "lucky/as_often": mean([float(a.as_often > self.alpha) for a in each]),
            "lucky/excess": excess.mean,
            "lucky/excess_low": excess.low,
            "lucky/excess_high": excess.high,
        }

    def _interval(self, values: Sequence[float], rows: Sequence[Audit]) -> Interval:
        if not values:
            return Interval(math.nan, math.nan, math.nan, 0)
        clusters = [a.sample for a in rows]
        return mean_interval(values, clusters=clusters, level=self.level, draws=self.draws, seed=self.seed)


def audit(group: Group, critic: str) -> Audit | None:
    """One question's reviews of wrong answers beside its plain attempts; None where no wrong answer was reviewed."""
    reviewed = pairs([group], critic)
    wrong = [p for p in reviewed if not p.p_before]
    if not wrong:
        return None
    scores = dict(zip((t.id for t in group.trajectories), group.scores(critic), strict=True))
    plain = _plain(group.trajectories, reviewed)
    right = sum((score := scores[t.id]) is not None and score > 0 for t in plain)
    return Audit(group.sample.id, sum(p.p_after > 0 for p in wrong), len(wrong), right, len(plain))


def _plain(attempts: Sequence[Trajectory], reviewed: Sequence[Pair]) -> list[Trajectory]:
    """Resamples; else first attempts that nobody reviewed."""
    begun = {p.before.id for p in reviewed}
    resamples = [t for t in attempts if t.sampling.get("resample")]
    return resamples or [t for t in attempts if t.parent is None and t.id not in begun]


def at_least(right: int, tries: int, chance: float) -> float:
    """P(X >= right) of a binomial.

    >>> at_least(1, 2, 0.5)
    0.75
    """
    return math.fsum(math.comb(tries, i) * chance**i * (1 - chance) ** (tries - i) for i in range(right, tries + 1))
