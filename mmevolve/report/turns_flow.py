"""The four ways of a second turn as a drawing: right and wrong before, right and wrong after, bands between them."""

from __future__ import annotations

from dataclasses import dataclass

from mmevolve.report.svg import WIDTH, drawing, text

LEFT, BLOCK, TOP, HIGH, GAP = 76, 14, 26, 190, 14
READABLE = 15  # a band less high than this has its share in the legend only


@dataclass(frozen=True)
class Band:
    """One of the four ways.

    Attributes:
        kind: kept, broken, fixed or stuck; its class in the style sheet.
        share: of all attempts.
        start: upper end at the left.
        end: upper end at the right.
        high: its height.
    """

    kind: str
    share: float
    start: float
    end: float
    high: float


def bands(kept: float, broken: float, fixed: float, stuck: float) -> list[Band]:
    """Where each way begins and ends; heights are shares of `HIGH`, right above wrong on both sides.

    Raises:
        ValueError: when the shares are not from 0 to 1 with a sum of 1.
    """
    shares = (kept, broken, fixed, stuck)
    if not all(-1e-9 <= s <= 1 + 1e-9 for s in shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"shares kept, broken, fixed, stuck are {shares}: expected four from 0 to 1 that sum to 1")
    a, b, c, d = (HIGH * share for share in shares)
    return [
        Band("kept", kept, TOP, TOP, a),
        Band("broken", broken, TOP + a, TOP + a + c + GAP, b),
        Band("fixed", fixed, TOP + a + b + GAP, TOP + a, c),
        Band("stuck", stuck, TOP + a + b + GAP + c, TOP + a + c + GAP + b, d),
    ]


def flow(kept: float, broken: float, fixed: float, stuck: float) -> str:
    """The drawing."""
    left, right = LEFT + BLOCK, WIDTH - LEFT - BLOCK
    middle = (left + right) / 2
    found = bands(kept, broken, fixed, stuck)
    parts = [text(LEFT + BLOCK / 2, 14, "first answer", "label", "middle")]
    parts.append(text(WIDTH - LEFT - BLOCK / 2, 14, "after the review", "label", "middle"))
    for band in sorted(found, key=lambda b: b.kind in ("broken", "fixed")):  # the changes lie on top
        if band.share > 0:
            parts.append(
                f'<path class="flow way-{band.kind}" d="M{left} {band.start:.1f} C{middle:.1f} {band.start:.1f} '
                f"{middle:.1f} {band.end:.1f} {right} {band.end:.1f} V{band.end + band.high:.1f} "
                f"C{middle:.1f} {band.end + band.high:.1f} {middle:.1f} {band.start + band.high:.1f} {left} "
                f'{band.start + band.high:.1f} Z"/>'
            )
    for band in found:
        if band.high >= READABLE:
            words = f"{band.kind} {100 * band.share:.1f} %"
            parts.append(text(left + 7, band.start + band.high / 2 + 4, words, "on", "start"))
    for x, at, shares in (
        (LEFT, "end", (kept + broken, fixed + stuck)),
        (right, "start", (kept + fixed, broken + stuck)),
    ):
        edge = LEFT - 7 if at == "end" else right + BLOCK + 7
        top = float(TOP)
        for name, share in zip(("right", "wrong"), shares, strict=True):
            high = HIGH * share
            if share > 0:
                parts.append(
                    f'<rect class="block {name}" x="{x}" y="{top:.1f}" width="{BLOCK}" height="{high:.1f}" rx="2"/>'
                )
                parts.append(text(edge, top + high / 2 - 1, name, "name", at))
                parts.append(text(edge, top + high / 2 + 13, f"{100 * share:.1f} %", "value", at))
            top += high + GAP
    said = ", ".join(f"{band.kind} {100 * band.share:.1f} percent" for band in found)
    return drawing("".join(parts), title=f"What became of the answers: {said}", height=TOP + HIGH + GAP + 8)
