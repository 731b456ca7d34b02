"""The mean that every metric takes over samples."""

from __future__ import annotations

from collections.abc import Sequence


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN, not 0, when there is nothing to take it over."""
    return sum(values) / len(values) if values else float("nan")
