"""Small drawings as SVG text: lines with interval bands, pairs of bars, a funnel. No library, no script.

All are 360 units wide, so that they are read at their own size on a phone; colours come from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmevolve.report.markup import esc

WIDTH = 360
LEFT, RIGHT, TOP, BOTTOM = 38, 14, 12, 40


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: what it shows.
        values: fractions, one a place on the x axis; None leaves a gap.
        lows: lower ends of the interval, or empty.
        highs: upper ends of the interval, or empty.
    """

    name: str
    values: Sequence[float | None]
    lows: Sequence[float | None] = ()
    highs: Sequence[float | None] = ()


def lines(series: Sequence[Series], labels: Sequence[str], *, title: str, height: int = 210) -> str:
    """A line chart of fractions, shown as percent, with a band where a series has an interval."""
    low, high = bounds([v for s in series for v in (*s.values, *s.lows, *s.highs) if v is not None])
    ys = scale(low, high, height - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    xs = [LEFT + step * (i + 0.5) for i in range(len(labels))]
    parts = [_grid(low, high, ys)]
    for i, s in enumerate(series):
        if s.lows:
            parts.append(_band(s, xs, ys, i))
        places = [(x, ys(v)) for x, v in zip(xs, s.values, strict=True) if v is not None]
        parts.append(f'<polyline class="line s{i}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        for x, y in places:
            parts.append(mark(x, y, i))
        for j, v in enumerate(s.values):
            if v is not None and len(labels) <= 9:
                y = ys(v) - 9 if _is_above(v, i, [other.values[j] for other in series]) else ys(v) + 17
                parts.append(text(xs[j], y, f"{100 * v:.0f}", f"value s{i}", "middle"))
    every = math.ceil(len(labels) / 7)
    for i, (x, label) in enumerate(zip(xs, labels, strict=True)):
        if i % every == 0:
            parts += [
                text(x, height - 24 + 12 * j, word, "label", "middle") for j, word in enumerate(_two_lines(label))
            ]
    return drawing("".join(parts), title=title, height=height)


def _is_above(value: float, i: int, at_place: Sequence[float | None]) -> bool:
    """Whether a value's number stands over its point: it is the highest there, the first of equal ones."""
    return all(other is None or (-other, j) >= (-value, i) for j, other in enumerate(at_place))


def mark(x: float, y: float, i: int) -> str:
    """A point; series are told apart by its form as well as by colour."""
    if i == 0:
        return f'<circle class="mark s{i}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    return f'<rect class="mark s{i}" x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4"/>'


def pairs(rows: Sequence[tuple[str, float, float]], *, title: str) -> str:
    """Two bars a row, before over after, as percent of the whole width."""
    left, row = 96, 40
    xs = scale(0.0, 1.0, left, WIDTH - 44)
    parts = []
    for i, (name, before, after) in enumerate(rows):
        top = 6 + i * row
        parts.append(text(left - 8, top + 18, name, "label", "end"))
        for j, value in enumerate((before, after)):
            y = top + 14 * j
            parts.append(f'<rect class="track" x="{left}" y="{y}" width="{xs(1) - left:.1f}" height="11" rx="2"/>')
            parts.append(
                f'<rect class="bar {("before", "after")[j]}" x="{left}" y="{y}" width="{xs(value) - left:.1f}" '
                f'height="11" rx="2"/>'
            )
            parts.append(text(xs(1) + 6, y + 9.5, f"{100 * value:.0f} %", "value", "start"))
    return drawing("".join(parts), title=title, height=8 + row * len(rows))


def funnel(steps: Sequence[tuple[str, int]], *, title: str) -> str:
    """One bar a step of the way, as wide as its count; each bar leans into the next."""
    row, left, right = 34, 118, 50
    most = max((n for _, n in steps), default=0) or 1
    room = WIDTH - left - right
    parts = []
    for i, (name, n) in enumerate(steps):
        top, width = 4 + i * row, max(2.0, room * n / most)
        parts.append(text(left - 8, top + 14, name, "label", "end"))
        parts.append(f'<rect class="bar f{i}" x="{left}" y="{top}" width="{width:.1f}" height="20" rx="2"/>')
        parts.append(text(left + width + 6, top + 14, f"{n:,}", "value", "start"))
        if i + 1 < len(steps):
            below = max(2.0, room * steps[i + 1][1] / most)
            corners = (
                f"{left},{top + 20} {left + width:.1f},{top + 20} {left + below:.1f},{top + row} {left},{top + row}"
            )
            parts.append(f'<polygon class="lean" points="{corners}"/>')
    return drawing("".join(parts), title=title, height=row * len(steps) - 4)


def loop(numbers: Mapping[str, str]) -> str:
    """The round as a circle of six boxes; `numbers` says a few words under each name."""
    names = ["questions", "attempts", "judge", "measure", "train", "choose"]
    wide, tall, gap = 96, 50, 30
    parts = []
    for i, name in enumerate(names):
        x, y = 6 + (i % 3) * (wide + gap), 6 + (i // 3) * (tall + 34)
        parts.append(f'<rect class="box" x="{x}" y="{y}" width="{wide}" height="{tall}" rx="8"/>')
        words = numbers.get(name, "")
        parts.append(text(x + wide / 2, y + (22 if words else 30), name, "name", "middle"))
        parts.append(text(x + wide / 2, y + 38, words, "label", "middle") if words else "")
    middle, below = 6 + tall / 2, 6 + tall + 34 + tall / 2
    for i in (0, 1):
        x = 6 + (i + 1) * wide + i * gap
        parts.append(arrow(x + 4, middle, x + gap - 4, middle))
        parts.append(arrow(x + gap - 4, below, x + 4, below))
    down, up = 6 + 2.5 * wide + 2 * gap, 6 + 1.5 * wide + gap
    parts.append(arrow(down, 6 + tall + 4, down, 6 + tall + 30))
    parts.append(arrow(up, 6 + tall + 30, up, 6 + tall + 4))
    parts.append(text(up - 8, 6 + tall + 21, "next round", "label", "end"))
    return drawing("".join(parts), title="One round: questions, attempts, judge, choose, train, measure", height=148)


def arrow(x0: float, y0: float, x1: float, y1: float) -> str:
    """A straight arrow."""
    length = math.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    bx, by = x1 - 7 * dx, y1 - 7 * dy
    head = f"{x1:.1f},{y1:.1f} {bx - 4 * dy:.1f},{by + 4 * dx:.1f} {bx + 4 * dy:.1f},{by - 4 * dx:.1f}"
    return (
        f'<line class="arrow" x1="{x0:.1f}" y1="{y0:.1f}" x2="{bx:.1f}" y2="{by:.1f}"/>'
        f'<polygon class="head" points="{head}"/>'
    )


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: tenths around the values, at least three tenths apart, within 0 and 1."""
    if not values:
        return 0.0, 1.0
    low, high = math.floor(min(values) * 10 + 1e-9) / 10, math.ceil(max(values) * 10 - 1e-9) / 10
    while high - low < 0.3 - 1e-9:
        low, high = max(0.0, low - 0.1), min(1.0, high + 0.1)
    return max(0.0, round(low, 1)), min(1.0, round(high, 1))


def scale(start: float, end: float, at_start: float, at_end: float) -> Callable[[float], float]:
    """A straight map from values to places."""
    return lambda value: at_start + (value - start) / (end - start) * (at_end - at_start)


def text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    """A piece of text."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{esc(words)}</text>'


def drawing(inside: str, *, title: str, height: float) -> str:
    """A whole picture, with a title for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{esc(title)}">'
        f"<title>{esc(title)}</title>{inside}</svg>"
    )


def _grid(low: float, high: float, ys: Callable[[float], float]) -> str:
    tenths = range(round(low * 10), round(high * 10) + 1, 1 if high - low <= 0.5 else 2)
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{ys(t / 10):.1f}" y2="{ys(t / 10):.1f}"/>'
        + text(LEFT - 6, ys(t / 10) + 3.5, f"{10 * t} %", "tick", "end")
        for t in tenths
    )


def _band(s: Series, xs: Sequence[float], ys: Callable[[float], float], i: int) -> str:
    ends = [(x, a, b) for x, a, b in zip(xs, s.lows, s.highs, strict=True) if a is not None and b is not None]
    if not ends:
        return ""
    if len(ends) == 1:
        (x, a, b) = ends[0]
        return f'<line class="whisker s{i}" x1="{x:.1f}" x2="{x:.1f}" y1="{ys(a):.1f}" y2="{ys(b):.1f}"/>'
    there = [f"{x:.1f},{ys(b):.1f}" for x, _, b in ends]
    back = [f"{x:.1f},{ys(a):.1f}" for x, a, _ in reversed(ends)]
    return f'<polygon class="band s{i}" points="{" ".join([*there, *back])}"/>'


def _two_lines(label: str) -> list[str]:
    """A label's first word over the rest."""
    first, _, rest = label.partition(" ")
    return [first, rest] if rest else [first]
