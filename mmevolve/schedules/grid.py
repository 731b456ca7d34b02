"""Grids of settings, and the probe that a schedule tries them on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def grid(low: float, high: float, step: float) -> tuple[float, ...]:
    """low, low + step, ... up to high, which is included when it lies on the grid: 0.3, not 0.30000000000000004.

    Raises:
        ValueError: when the step is not above 0 or the grid is empty.
    """
    if not step > 0 or not low <= high:
        raise ValueError(f"a grid from {low} to {high} by {step} is empty: expected low <= high and a step above 0")
    return tuple(round(low + i * step, 10) for i in range(math.floor((high - low) / step + 1e-9) + 1))


def tried(probe: Any, **knobs: float) -> Sequence[Any]:
    """Groups of the probe's samples, drawn with these knobs.

    Raises:
        ValueError: when the probe has no samples, or none of them was attempted.
    """
    groups: Sequence[Any] = probe(knobs)
    if not any(g.trajectories for g in groups):
        raise ValueError(
            "the schedule has nothing to try its settings on: give the loop probe_data, samples that are not trained on"
        )
    return groups


def attempts(groups: Sequence[Any]) -> int:
    """Trajectories drawn for a probe: what it cost."""
    return sum(len(g.trajectories) for g in groups)
