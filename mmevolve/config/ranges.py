"""How a part says which values a setting may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Bounds of a number, both included: `fraction: Annotated[float, Range(0, 1)] = 1.0`.

    Read from the source by `mmevolve check`, so the bounds must be written as numbers.

    Attributes:
        low: the least value, or None.
        high: the greatest value, or None.
    """

    low: float | None = None
    high: float | None = None

    def __contains__(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is None:
            return f"at most {self.high}"
        return f"at least {self.low}" if self.high is None else f"from {self.low} to {self.high}"
