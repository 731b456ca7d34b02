"""Numbers as a person reads them."""

from __future__ import annotations


def percent(fraction: float) -> str:
    """A fraction as percent with one digit."""
    return f"{100 * fraction:.1f} %"


def in_points(fraction: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return f"{100 * fraction:+.1f}"


def memory(size_bytes: int) -> str:
    """Bytes in GB, or in MB below one GB."""
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 4 min 30 s, 2 h 5 min."""
    whole = int(seconds + 0.5)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s" if seconds >= 1 else f"{seconds:.1f} s"


def several(n: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
