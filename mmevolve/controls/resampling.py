"""How the intervals of a reading are drawn.

Of shares that are all 0, or all 1, every resample is the same, and a bootstrap would say that there is no doubt. Then
the ends are Wilson's, with clusters for trials, as if each were one question: with n clusters and none wrong the share
is at least n / (n + 3.84); the rule of three says 1 - 3 / n. A paired difference of 0 everywhere says that a sample
changes with at most that chance u, so it is between -u and u; one of 1 everywhere leaves samples of a share u that may
go the other way, so it is at least 1 - 2 u.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from mmevolve.statistics import Interval, mean_interval, paired_interval, wilson
from mmevolve.types import Sample


def by_picture(sample: Sample) -> Hashable:
    """Samples with the same images in one cluster; one without images is its own."""
    return sample.images or sample.id


@dataclass(frozen=True)
class Resampling:
    """Settings of the bootstrap over samples.

    Attributes:
        cluster: samples with one label are drawn together; questions about one picture are not independent.
        level: share of intervals that should hold the true value.
        draws: resamples.
        seed: of the resampling.
    """

    cluster: Callable[[Sample], Hashable] = by_picture
    level: float = 0.95
    draws: int = 10_000
    seed: int = 0

    def mean(self, samples: Sequence[Sample], values: Sequence[float]) -> Interval:
        """Mean over samples with its interval; one value a sample."""
        clusters = [self.cluster(s) for s in samples]
        return mean_interval(values, clusters=clusters, level=self.level, draws=self.draws, seed=self.seed)

    def share(self, samples: Sequence[Sample], values: Sequence[float]) -> Interval:
        """As `mean`, of values from 0 to 1 that are verdicts or shares of verdicts: never without an interval.

        One cluster is no basis for any: its ends stay infinite.
        """
        clusters = len({self.cluster(s) for s in samples})
        ends = set(values)
        if clusters > 1 and ends in ({0.0}, {1.0}):
            top = ends.pop()
            sure = wilson(clusters if top else 0, clusters, level=self.level)
            return Interval(top, sure.low, sure.high, len(values))
        return self.mean(samples, values)

    def shift(self, samples: Sequence[Sample], before: Sequence[float], after: Sequence[float]) -> Interval:
        """As `paired`, of shares: never without an interval where all samples moved alike by -1, 0 or 1."""
        clusters = len({self.cluster(s) for s in samples})
        moved = {b - a for a, b in zip(before, after, strict=True)}
        if clusters > 1 and moved in ({-1.0}, {0.0}, {1.0}):
            doubt = wilson(0, clusters, level=self.level).high
            by = moved.pop()
            low, high = (-doubt, doubt) if not by else sorted((by, by * (1 - 2 * doubt)))
            return Interval(by, low, high, len(before))
        return self.paired(samples, before, after)

    def paired(self, samples: Sequence[Sample], before: Sequence[float], after: Sequence[float]) -> Interval:
        """Mean of `after - before` over samples with its paired interval."""
        clusters = [self.cluster(s) for s in samples]
        return paired_interval(before, after, clusters=clusters, level=self.level, draws=self.draws, seed=self.seed)


DEFAULT = Resampling()


def numbers(reading: Any, prefix: str = "") -> dict[str, float]:
    """A reading as named numbers: an interval gives `name`, `name_low` and `name_high`; what is not a number is left.

    A figure that could not be taken is NaN.
    """
    found: dict[str, float] = {}
    for field in fields(reading):
        found |= _flat(f"{prefix}{field.name}", getattr(reading, field.name))
    return found


def _flat(name: str, value: Any) -> dict[str, float]:
    if isinstance(value, Interval):
        return {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
    if is_dataclass(value):
        return numbers(value, f"{name}/")
    if isinstance(value, Mapping):
        return {k: v for key, part in value.items() for k, v in _flat(f"{name}/{key}", part).items()}
    if value is None or isinstance(value, bool | int | float):
        return {name: float("nan") if value is None else float(value)}
    return {}
