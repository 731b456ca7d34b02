"""Statistics for comparing rounds: intervals, paired tests, corrections and power.

Papers: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", ch. 13 (percentile interval); Davison and Hinkley
1997, "Bootstrap Methods and their Application", sec. 3.8 (resampling clusters); McNemar 1947, "Note on the sampling
error of the difference between correlated proportions"; Holm 1979, "A simple sequentially rejective multiple test
procedure"; Wilson 1927, "Probable inference, the law of succession, and statistical inference"; Connor 1987, "Sample
size for testing differences in proportions for the paired-sample design".
Differs: clusters are resampled whole and the mean is taken over the rows drawn, so that large clusters weigh more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_BLOCK = 4_000_000  # resampled numbers held in memory at once


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: the estimate.
        low: lower end.
        high: upper end.
        n: rows it rests on.
    """

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Changes:
    """What became of each sample from one round to the next.

    Attributes:
        fixed: wrong before, right after.
        broken: right before, wrong after.
        kept_right: right both times.
        kept_wrong: wrong both times.
    """

    fixed: int
    broken: int
    kept_right: int
    kept_wrong: int

    @property
    def n(self) -> int:
        """Samples compared."""
        return self.fixed + self.broken + self.kept_right + self.kept_wrong

    @property
    def gain(self) -> float:
        """Accuracy after minus accuracy before."""
        return (self.fixed - self.broken) / self.n


def mean_interval(
    values: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a mean; the same seed gives the same bytes.

    Args:
        values: one number a row.
        clusters: one label a row (image, seed question, ...); rows of one cluster are drawn together.
        level: share of intervals that should hold the true mean.
        draws: bootstrap resamples.
        seed: of the resampling.

    Raises:
        ValueError: when there are no values, one is not finite, or lengths or settings do not fit.
    """
    data = _checked(values, "values")
    _check_settings(level, draws)
    sums, counts = _by_cluster(data, clusters)
    if len(sums) == 1:
        return Interval(float(data.mean()), float("-inf"), float("inf"), len(data))
    means = _resampled_means(sums, counts, draws, seed)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(data.mean()), float(low), float(high), len(data))


def paired_interval(
    before: Sequence[float],
    after: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Paired bootstrap interval of mean(after) - mean(before); row i of both is the same sample.

    Args:
        before: scores of one round, or one model.
        after: scores of the other.
        clusters: one label a row; rows of one cluster are drawn together.
        level: share of intervals that should hold the true difference.
        draws: bootstrap resamples.
        seed: of the resampling.

    Raises:
        ValueError: when lengths differ, or as in `mean_interval`.
    """
    if len(before) != len(after):
        raise ValueError(f"paired rows: {len(before)} before, {len(after)} after")
    differences = _checked(after, "after") - _checked(before, "before")
    return mean_interval(differences.tolist(), clusters=clusters, level=level, draws=draws, seed=seed)


def function_interval(
    rows: Sequence[Sequence[float]],
    function: Callable[[Sequence[float]], Mapping[str, float]],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of numbers made from the rows' column means, such as their ratios.

    All numbers come from the same resamples, which are those of `mean_interval`: a number that is a column's mean, or
    a difference of two, has the interval that `mean_interval` or `paired_interval` gives it. A resample in which a
    number is undefined (NaN) does not count for it; one that is undefined of the rows themselves has NaN for both ends.

    Args:
        rows: the same count of numbers each.
        function: column means to named numbers, of the rows and of every resample.
        clusters: one label a row; rows of one cluster are drawn together.
        level: share of intervals that should hold the true value.
        draws: bootstrap resamples.
        seed: of the resampling.

    Raises:
        ValueError: as in `mean_interval`.
    """
    columns = [_checked(column, f"column {i}") for i, column in enumerate(zip(*rows, strict=True))]
    if not columns:
        raise ValueError("rows: at least one row of numbers is needed, got none")
    _check_settings(level, draws)
    summed = [_by_cluster(column, clusters) for column in columns]
    found = function([float(column.mean()) for column in columns])
    if len(summed[0][0]) == 1:
        ends = {k: (math.nan, math.nan) if math.isnan(v) else (-math.inf, math.inf) for k, v in found.items()}
    else:
        means = np.stack([_resampled_means(sums, counts, draws, seed) for sums, counts in summed], axis=1)
        again = [function(row) for row in means.tolist()]
        ends = {k: _ends([one[k] for one in again], v, level) for k, v in found.items()}
    return {k: Interval(v, *ends[k], len(rows)) for k, v in found.items()}


def _ends(resampled: Sequence[float], value: float, level: float) -> tuple[float, float]:
    there = [x for x in resampled if not math.isnan(x)]
    if math.isnan(value) or not there:
        return math.nan, math.nan
    tail = (1 - level) / 2
    low, high = np.quantile(there, [tail, 1 - tail])
    return float(low), float(high)


def changes(before: Sequence[bool], after: Sequence[bool]) -> Changes:
    """Fixed, broken and kept counts of paired verdicts.

    Raises:
        ValueError: when lengths differ.
    """
    if len(before) != len(after):
        raise ValueError(f"paired rows: {len(before)} before, {len(after)} after")
    pairs = [(bool(b), bool(a)) for b, a in zip(before, after, strict=True)]
    return Changes(
        fixed=pairs.count((False, True)),
        broken=pairs.count((True, False)),
        kept_right=pairs.count((True, True)),
        kept_wrong=pairs.count((False, False)),
    )


def mcnemar(fixed: int, broken: int) -> float:
    """Exact two-sided p-value that fixes and breaks are equally likely; 1 when nothing changed.

    >>> mcnemar(0, 5)
    0.0625
    """
    if fixed < 0 or broken < 0:
        raise ValueError(f"counts cannot be negative: {fixed} fixed, {broken} broken")
    n, k = fixed + broken, min(fixed, broken)
    if fixed == broken:
        return 1.0
    logs = [_log_choose(n, i) - n * math.log(2) for i in range(k + 1)]
    top = max(logs)
    return min(1.0, 2 * math.exp(top) * math.fsum(math.exp(x - top) for x in logs))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm-adjusted p-values, by name: reject where one is at most the level.

    Raises:
        ValueError: when one is not in [0, 1].
    """
    odd = {name: p for name, p in p_values.items() if not 0 <= p <= 1}
    if odd:
        raise ValueError(f"p-values must be in [0, 1], got {odd}")
    adjusted, so_far = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = so_far
    return {name: adjusted[name] for name in p_values}


def wilson(right: int, n: int, *, level: float = 0.95) -> Interval:
    """Wilson score interval of a proportion.

    Raises:
        ValueError: when the counts or the level do not fit.
    """
    if not 0 <= right <= n or n == 0:
        raise ValueError(f"{right} right of {n}")
    _check_settings(level, 1)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if right == 0 else centre - half
    high = 1.0 if right == n else centre + half
    return Interval(share, low, high, n)


def minimum_detectable_effect(
    n: int, *, discordant: float, level: float = 0.95, power: float = 0.8, design_effect: float = 1.0
) -> float:
    """Smallest difference of two paired accuracies that McNemar's test finds with the given power.

    Connor's formula for n, solved for the difference d: d * sqrt(n) = z_a * sqrt(p) + z_b * sqrt(p - d^2), with p the
    share of samples whose verdict changes.

    Args:
        n: samples, each answered by both.
        discordant: expected share of samples whose verdict changes; the effect cannot be larger.
        level: one minus the two-sided test level.
        power: chance to find the effect.
        design_effect: variance inflation by clusters, 1 + (cluster size - 1) * intra-cluster correlation.

    Returns:
        The difference, in (0, discordant]; infinity when even the largest possible one would go unseen.

    Raises:
        ValueError: when an argument is out of range.
    """
    if n < 1 or not 0 < discordant <= 1 or not 0 < power < 1 or design_effect < 1:
        raise ValueError(f"n={n}, discordant={discordant}, power={power}, design_effect={design_effect}")
    _check_settings(level, 1)
    effective = n / design_effect
    z_level, z_power = NormalDist().inv_cdf((1 + level) / 2), NormalDist().inv_cdf(power)

    def spare(d: float) -> float:
        return d * math.sqrt(effective) - z_level * math.sqrt(discordant) - z_power * math.sqrt(discordant - d * d)

    # d^2 <= p^2 <= p, so the root is real; spare() grows with d
    low, high = 0.0, discordant
    if spare(high) < 0:
        return math.inf
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if spare(middle) < 0 else (low, middle)
    return high


def _checked(values: Sequence[float], name: str) -> np.ndarray:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or len(data) == 0:
        raise ValueError(f"{name}: a non-empty list of numbers is needed, got shape {data.shape}")
    if not np.isfinite(data).all():
        raise ValueError(f"{name}: row {int(np.flatnonzero(~np.isfinite(data))[0])} is not a finite number")
    return data


def _check_settings(level: float, draws: int) -> None:
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level must be in (0, 1) and draws positive, got level={level}, draws={draws}")


def _by_cluster(data: np.ndarray, clusters: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum and size of each cluster, in order of appearance; rows are clusters of one where none are given."""
    if clusters is None:
        return data, np.ones(len(data))
    if len(clusters) != len(data):
        raise ValueError(f"{len(clusters)} cluster labels for {len(data)} rows")
    order: dict[Hashable, int] = {}
    index = np.array([order.setdefault(label, len(order)) for label in clusters])
    return np.bincount(index, weights=data), np.bincount(index).astype(np.float64)


def _resampled_means(sums: np.ndarray, counts: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Mean of each resample of clusters; blocks bound the memory and do not change the numbers."""
    generator = np.random.default_rng(seed)
    groups = len(sums)
    means = np.empty(draws)
    step = max(1, _BLOCK // groups)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = generator.integers(0, groups, size=(size, groups))
        means[start : start + size] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
