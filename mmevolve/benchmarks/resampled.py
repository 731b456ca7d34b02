"""Intervals of numbers that are no plain means: clusters are drawn whole, with replacement.

Paper: Davison and Hinkley 1997, "Bootstrap Methods and their Application", sec. 3.8.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DRAWS = 10_000
_BLOCK = 4_000_000  # as in `statistics`, so that the draws are the same
Sums = np.ndarray


def interval(sums: Sums, of: Callable[[Sums], Sums], *, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a function of the clusters' summed terms.

    For a mean it draws what `statistics.mean_interval` draws, so that both give the same numbers.

    Args:
        sums: clusters x terms.
        of: (... x terms) -> (...).
        draws: resamples.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    groups = len(sums)
    values = np.empty(draws)
    step = max(1, _BLOCK // groups)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = generator.integers(0, groups, size=(size, groups))
        drawn += np.arange(size)[:, None] * groups
        weights = np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups)
        values[start : start + size] = of(weights @ sums)
    low, high = np.nanquantile(values, [0.025, 0.975]) if np.isfinite(values).any() else (np.nan, np.nan)
    return float(low), float(high)


def weighted_interval(
    mine: np.ndarray, groups: int, of: Callable[[np.ndarray], np.ndarray], *, draws: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a function of the rows' weights, clusters drawn whole.

    Args:
        mine: the cluster of each row, from 0.
        groups: how many clusters there are.
        of: (draws x rows) -> (draws).
        draws: resamples.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    values = np.empty(draws)
    step = max(1, _BLOCK // (4 * len(mine)))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn = generator.integers(0, groups, size=(size, groups)) + np.arange(size)[:, None] * groups
        weights = np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups).astype(float)
        values[start : start + size] = of(weights[:, mine])
    if not np.isfinite(values).any():
        return np.nan, np.nan
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
