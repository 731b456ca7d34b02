"""A benchmark's figures on a page: values with their intervals drawn, bounds, controls, and what qualifies them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.report.markup import esc, section, table

SHOWN = 24  # figures that are shown at once; further ones unfold


@dataclass(frozen=True)
class Measure:
    """One number as it is shown.

    Attributes:
        name: what was counted.
        value: the number; NaN when it is not defined.
        low: lower end of its 95 % interval; None without one.
        high: upper end.
        bounds: the number were all unread responses wrong, and were they right; None where that is not said.
        n: rows it rests on; 0 where that is not said.
        clusters: how many of them are independent.
        count: whether it counts something.
        mean: whether it is a mean, so that the lack of an interval is said.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    bounds: tuple[float, float] | None = None
    n: int = 0
    clusters: int = 0
    count: bool = False
    mean: bool = True


@dataclass(frozen=True)
class Card:
    """A benchmark's figures.

    Attributes:
        title: what the score may be called.
        author: who answered.
        facts: shares of outcomes, chance.
        measures: the figures, the score first.
        comparison: with an earlier evaluation, in words; empty without one.
        controls: of each a heading, its numbers, and what they show.
        notes: what a reader must know.
        columns: by whose values questions are counted too.
    """

    title: str
    author: str
    facts: tuple[str, ...]
    measures: tuple[Measure, ...]
    comparison: str = ""
    controls: tuple[tuple[str, tuple[Measure, ...], str], ...] = ()
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def card_section(card: Card, *, alone: bool) -> str:
    """The section of one benchmark; the page of a benchmark alone has its name at the top already."""
    score = card.measures[0]
    said = f"{score.name} {_number(score.value)}"
    body = (
        f'<p class="lead"><b>{esc(said)}</b>{esc(_ends(score))} · {esc(card.author)}</p>'
        f'<p class="caption">{esc("; ".join(card.facts))}</p>'
    )
    if card.comparison:
        body += f'<p class="note">Against the earlier evaluation: {esc(card.comparison)}.</p>'
    body += measures(card.measures[:SHOWN])
    rest = card.measures[SHOWN:]
    body += f"<details><summary>{len(rest)} more figures</summary>{measures(rest)}</details>" if rest else ""
    for heading, found, verdict in card.controls:
        body += f"<h3>{esc(heading)}</h3>" + (f"<p>{esc(verdict)}</p>" if verdict else "") + measures(found)
    body += "".join(f'<p class="caption">{esc(note)}</p>' for note in card.notes)
    return section("Figures" if alone else card.title, body, kind="card")


def measures(found: Sequence[Measure]) -> str:
    """A table of numbers; bounds and n only where one of them has them."""
    bounds, counts = any(m.bounds for m in found), any(m.n for m in found)
    heads = ["", "value", "from 0 to 1", "95 % interval"]
    heads += ["bounds"] if bounds else []
    heads += ["n", "clusters"] if counts else []
    rows = []
    for m in found:
        row = [
            esc(m.name),
            _number(m.value, count=m.count),
            _range(m),
            ("none" if m.mean else "") if m.low is None else f"{m.low:.3f} to {m.high:.3f}",
        ]
        row += [_bounds(m.bounds)] if bounds else []
        row += [f"{m.n:,}", f"{m.clusters:,}"] if counts else []
        rows.append(row)
    return table(heads, rows)


def _number(value: float, *, count: bool = False) -> str:
    if not math.isfinite(value):
        return "not defined"
    return f"{value:,.0f}" if count else f"{value:.3f}"


def _ends(m: Measure) -> str:
    return "" if m.low is None else f", 95 % interval {m.low:.3f} to {m.high:.3f}"


def _bounds(bounds: tuple[float, float] | None) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds and all(map(math.isfinite, bounds)) else "none"


def _range(m: Measure) -> str:
    """The value as a mark and its interval as a band, where both lie between 0 and 1."""
    if m.count or (m.low is None and not m.mean):
        return ""
    low, high = (m.value if end is None else end for end in (m.low, m.high))
    if not all(math.isfinite(v) and 0 <= v <= 1 for v in (m.value, low, high)):
        return ""
    band = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    return f'<span class="range">{band}<b style="left:{100 * m.value:.1f}%"></b></span>'
