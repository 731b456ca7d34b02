"""The tables of `losses.py`: what became of the pairs, by loss and overlap, beside what papers claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from arms import cells, decided, difference, head

from mmevolve.statistics import Interval, function_interval, mean_interval

BINS = ("low", "middle", "high")
Found = Mapping[str, Sequence[Mapping[str, Any]]]  # loss -> what each seed found


def page(found: Found, starts: Sequence[Mapping[str, Any]]) -> list[str]:
    overlaps = [x for start in starts for x in start["overlap"].values()]
    edges = [float(x) for x in np.quantile(overlaps, (1 / 3, 2 / 3))]
    learned, read, held = (mean(n) for n in zip(*counts(starts), strict=True))
    said = (
        f"{learned:.0f} pairs learned a seed, {read:.0f} of them measured, {held:.0f} others held out. Margin, chosen "
        "and rejected: mean change of the log-probability of a completion, in nats, on learned pairs; overlap bins are "
        f"thirds, at {edges[0]:.2f} and {edges[1]:.2f}; held-out margin: the same of pairs not learned; entropy: mean "
        "over their tokens, in nats. Intervals resample questions, whose seeds go together."
    )
    return [*table(found, starts, edges), "", *findings(found, starts, edges), "", said]


def counts(starts: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, int]]:
    return [(s["pairs"], len(s["sides"]), len(s["held"])) for s in starts]


def binned(value: float, edges: Sequence[float]) -> str:
    """The bin of an overlap; an edge belongs to the bin below.

    >>> [binned(x, [0.8, 0.9]) for x in (0.5, 0.8, 0.85, 0.95)]
    ['low', 'low', 'middle', 'high']
    """
    return BINS[sum(value > edge for edge in edges)]


def change(now: Sequence[Mapping[str, Any]], starts: Sequence[Mapping[str, Any]], side: int) -> list[dict[str, float]]:
    """By seed: question -> what became of a number of `Meter` since the start."""
    pairs = zip(now, starts, strict=True)
    return [{q: n["sides"][q][side] - s["sides"][q][side] for q in n["sides"]} for n, s in pairs]


def table(found: Found, starts: Sequence[Mapping[str, Any]], edges: Sequence[float]) -> list[str]:
    columns = ["loss", "rate", "steps", "margin", "held-out margin", "chosen", "rejected"]
    columns += [f"{side}, {b} overlap" for side in ("chosen", "rejected") for b in BINS]
    lines = head(*columns, "entropy", "accuracy", "points from the start, 95 %")
    start = [s["right"] for s in starts]
    level = mean([x for s in starts for _, _, x in s["held"].values()])
    empty = [""] * (len(columns) - 1)
    lines.append(cells("start", *empty, f"{level:.3f}", f"{mean([x for s in start for x in s.values()]):.3f}", ""))
    for name, runs in found.items():
        sides = [change(runs, starts, side) for side in range(2)]
        numbers = [mean([x for run in side for x in run.values()]) for side in sides]
        for side in sides:
            for b in BINS:
                own = [x for run, s in zip(side, starts, strict=True) for q, x in run.items()
                       if binned(s["overlap"][q], edges) == b]  # fmt: skip
                numbers.append(mean(own))
        rates = ", ".join(sorted({f"{r['rate']:g}" for r in runs}))
        never = sum(not r["reached"] for r in runs)
        margin = f"{mean([r['margin'] for r in runs]):.2f}" + (f" (not reached by {never})" if never else "")
        spread = mean([x for r in runs for _, _, x in r["held"].values()])
        unseen = [mean([w - y for w, y, _ in r["held"].values()]) for r in (*runs, *starts)]
        grown = mean(unseen[: len(runs)]) - mean(unseen[len(runs) :])
        right = [r["right"] for r in runs]
        gap = difference(start, right)
        steps = f"{mean([r['steps'] for r in runs]):.0f}"
        nats = [f"{x:+.2f}" for x in (grown, *numbers)]
        answered = f"{mean([x for r in right for x in r.values()]):.3f}"
        ends = f"{100 * gap.mean:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
        lines.append(cells(name, rates, steps, margin, *nats, f"{spread:.3f}", answered, ends))
    return lines


# Paper, its claim, what is measured, the claimed sign: (column, a, b) is a - b, with None for the start.
CLAIMS = [
    ("DPO as a token MDP, 2404.12358", "DPO lowers the chosen side", ("chosen", "sigmoid", None), -1),
    ("DPO-Positive, 2402.13228", "and more where the sides overlap", ("overlap", "sigmoid", None), -1),
    ("ORPO, 2403.07691", "SFT alone raises the rejected side", ("rejected", "sft", None), +1),
    ("ORPO, 2403.07691", "the odds ratio holds it down", ("rejected", "ORPO", "sft"), -1),
    ("NCA, 2402.05369", "NCA keeps the chosen side above DPO's", ("chosen", "nca_pair", "sigmoid"), +1),
    ("SPPO, 2405.00675", "SPPO keeps the chosen side above DPO's", ("chosen", "sppo_hard", "sigmoid"), +1),
    ("APO, 2408.06266", "APO-zero raises the chosen side", ("chosen", "apo_zero", None), +1),
    ("APO, 2408.06266", "APO-down lowers it", ("chosen", "apo_down", None), -1),
    ("mDPO, 2406.11839", "the anchor keeps the chosen side above DPO's", ("chosen", "mDPO", "sigmoid"), +1),
    ("MPO, 2411.10442", "the SFT term keeps the chosen side above DPO's", ("chosen", "MPO", "sigmoid"), +1),
    ("MPO, 2411.10442", "MPO is more accurate than DPO", ("accuracy", "MPO", "sigmoid"), +1),
]


def findings(found: Found, starts: Sequence[Mapping[str, Any]], edges: Sequence[float]) -> list[str]:
    lines = head("finding", "paper", "ours: nats, or points of accuracy", "95 %", "")
    for paper, claim, (column, a, b), sign in CLAIMS:
        if a in found and (b is None or b in found):
            gap = measured(found, starts, edges, column, a, b)
            scale = 100 if column == "accuracy" else 1
            ends = f"{scale * gap.low:+.2f} to {scale * gap.high:+.2f}"
            matched = all(r["reached"] for name in (a, b) if name for r in found[name])
            verdict = decided(sign, gap) + ("" if matched else ", not at matched margin")
            said = f"{paper}: {'+' if sign > 0 else '-'}"
            lines.append(cells(claim, said, f"{scale * gap.mean:+.2f}", ends, verdict))
    return lines


def measured(
    found: Found, starts: Sequence[Mapping[str, Any]], edges: Sequence[float], column: str, a: str, b: str | None
) -> Interval:
    """Of a loss less another, or less the start; of `overlap`, the chosen side in the highest bin less the lowest."""
    if column == "accuracy":
        before = [s["right"] for s in starts] if b is None else [r["right"] for r in found[b]]
        return difference(before, [r["right"] for r in found[a]])
    if column == "overlap":
        return high_less_low(change(found[a], starts, 0), [s["overlap"] for s in starts], edges)
    side = ("chosen", "rejected").index(column)
    after = change(found[a], starts, side)
    if b is not None:
        return difference(change(found[b], starts, side), after)
    rows = [(q, x) for run in after for q, x in run.items()]
    return mean_interval([x for _, x in rows], clusters=[q for q, _ in rows])


def high_less_low(
    runs: Sequence[Mapping[str, float]], overlaps: Sequence[Mapping[str, float]], edges: Sequence[float]
) -> Interval:
    """Mean over pairs of the highest bin less that over pairs of the lowest; questions are resampled."""
    rows, clusters = [], []
    for run, own in zip(runs, overlaps, strict=True):
        for q, x in run.items():
            high, low = (float(binned(own[q], edges) == b) for b in ("high", "low"))
            rows.append((high * x, high, low * x, low))
            clusters.append(q)

    def gap(means: Sequence[float]) -> dict[str, float]:
        a, n, b, m = means
        return {"gap": a / n - b / m if n and m else float("nan")}

    return function_interval(rows, gap, clusters=clusters)["gap"]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
