"""The last lines of a run: one line a measured point, then what was gained and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmevolve.report.numbers import HELD_OUT
from mmevolve.report.words import duration, in_points, memory, percent

HEADS = ("measured", "accuracy", "pass@1", "pass@8", "right answer,\nwrong step", "rows\ntrained on")
TURNS = {
    "acc_t1": "first",
    "acc_t2": "second",
    "delta_i_to_c": "wrong\nto right",
    "delta_c_to_i": "right\nto wrong",
}
WIDE = 100


def closing_lines(summary: Mapping[str, Any], *, run: str) -> list[str]:
    """What the terminal shows when a run has ended.

    Args:
        summary: as `summarise` gives it.
        run: the run folder, as the user would type it.
    """
    points = table(summary["rounds"], evaluation=summary.get("evaluation", HELD_OUT))
    turns = two_turns(summary["rounds"])
    shown = [*([points] if len(points) > 1 or not turns else []), *([turns] if turns else [])]
    return ["", *(line for lines in shown for line in (*lines, "")), *outcome(summary), "", *where_next(run)]


def table(rounds: Sequence[Mapping[str, Any]], *, evaluation: str = HELD_OUT) -> list[str]:
    """One aligned line a measured point; points without any number to show are left out; a benchmark is named."""
    rows = [_cells(point) for point in rounds if any(_cells(point)[1:])]
    if not rows and any("/" in name for point in rounds for name in point):
        return ["  what was measured is in the numbers below: nothing of it has a column here"]
    if not rows:
        return ["  nothing was measured: the recipe has no evaluations, or the run stopped before the first"]
    named = {} if evaluation == HELD_OUT else {"accuracy": f"{evaluation},\naccuracy"}
    return _aligned([named.get(h, h) for h in HEADS], rows)


def two_turns(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """One aligned line a point and evaluation that counted first and second turns (`metrics.SelfCorrection`)."""
    rows = [
        [f"{_where(point)[:34]}, {name}", *(_share(point[f"{name}/{key}"]) for key in TURNS)]
        for point in rounds
        for name in sorted(key.removesuffix("/acc_t1") for key in point if key.endswith("/acc_t1"))
    ]
    told = [row for row in rows if any(row[1:])]  # where nobody answered, all is undefined
    return _aligned(["two turns", *TURNS.values()], told) if told else []


def _aligned(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Heads of one or two lines, a rule, the rows; columns without any cell are left out."""
    heads = [tuple(h.split("\n")) if "\n" in h else ("", h) for h in names]
    columns = list(zip(*rows, strict=True))
    used = [i for i, column in enumerate(columns) if i == 0 or any(column)]
    widths = {i: max(*(len(h) for h in heads[i]), *(len(c or "-") for c in columns[i])) for i in used}
    lines = [_line([heads[i][part] for i in used], [widths[i] for i in used]) for part in (0, 1)]
    lines = [line for line in lines if line.strip()]
    lines.append("  " + "─" * (len(lines[-1]) - 2))
    return [*lines, *(_line([row[i] or "-" for i in used], [widths[i] for i in used]) for row in rows)]


def outcome(summary: Mapping[str, Any]) -> list[str]:
    """Before, after, the gain in words, and what it cost."""
    cost = f"{duration(summary['seconds'])} in all, at most {memory(summary['peak_rss_bytes'])} of memory"
    before, after, gain = (summary[k] for k in ("accuracy_before", "accuracy_after", "gain"))
    name = summary.get("evaluation", HELD_OUT)
    what = "held-out accuracy" if name == HELD_OUT else f"accuracy on {name}"
    if before is None:
        return ["  no held-out accuracy was measured, so this run shows no gain and no loss", f"  {cost}"]
    if gain is None:
        return [
            f"  {what} {percent(before)}, measured once only: no gain to speak of yet",
            *further(summary),
            f"  {cost}",
        ]
    low, high = summary["gain_low"], summary["gain_high"]
    lines = [
        f"  {what} {percent(before)} -> {percent(after)}: {in_points(gain)} points",
        f"  95 % interval {in_points(low)} to {in_points(high)}, paired over {summary['n_questions']:,} questions",
    ]
    if low <= 0 <= high:
        lines.append("  the interval includes 0: this run alone does not show that training changed the accuracy")
    return [*lines, *further(summary), f"  {cost}"]


def further(summary: Mapping[str, Any]) -> list[str]:
    """One line a benchmark beside the questions that the run's accuracy is told of."""
    lines = []
    for name, said in summary.get("benchmarks", {}).items():
        before, after, gain = (said[k] for k in ("accuracy_before", "accuracy_after", "gain"))
        if before is None:
            continue
        line = f"  {name} {percent(before)}" + (", measured once only" if gain is None else "")
        if gain is not None:
            line += f" -> {percent(after)}: {in_points(gain)} points, 95 % interval {in_points(said['gain_low'])} to "
            line += f"{in_points(said['gain_high'])}, {said['n_questions']:,} questions"
        lines.append(line)
    return lines


def where_next(run: str) -> list[str]:
    """Where the report lies and how to look further."""
    ways = [
        ("report", str(Path(run) / "report.html")),
        ("numbers", str(Path(run) / "summary.json")),
        ("look closer", f"mmevolve show {run}"),
    ]
    return [f"  {what:<12} {way}" for what, way in ways]


def _cells(point: Mapping[str, Any]) -> list[str]:
    """A point as text, empty where nothing was measured."""
    shares = [point[name] for name in ("accuracy", "pass@1", "pass@8", "right_answer_wrong_step")]
    trained = f"{point['rows']:,}" if point["rows"] else ""
    return [_where(point)[:34], *map(_share, shares), trained]


def _share(value: float | None) -> str:
    return "" if value is None else percent(value)


def _where(point: Mapping[str, Any]) -> str:
    at = point["round"]
    where = f"{point['loop']} round {at}" if isinstance(at, int) else f"{point['loop']} {at}"
    return where + ", undone" * bool(point.get("undone"))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    line = "  " + f"{first[0]:<{first[1]}}" + "".join(f"   {cell:>{width}}" for cell, width in rest)
    return line.rstrip()[:WIDE]
