"""Parity with the official scorers: run every golden file of a folder and say where we agree.

A golden file holds published model outputs with what the official code made of them. Two questions a file: given the
official extraction, is our verdict the official one (scoring); and do our rules read the same answer out of the
response (extraction). Then our own extractor, `answers.extract`, against the official reading, with the share that it
leaves unparsed and its total if all of these were wrong or right.

    mmevolve eval parity --data ../shared/data
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmevolve.parity.checks import BENCHMARKS
from mmevolve.parity.files import answers_of, places
from mmevolve.parity.row import Disagreement, ParityRow, compare_dynamath, compare_file

DATA = "../shared/data"
COLUMNS = (
    ("scoring", "scoring"),
    ("extraction", "extraction"),
    ("ours", "total"),
    ("published", "published"),
    ("unparsed", "unparsed"),
    ("if wrong", "total_low"),
    ("if right", "total_high"),
    ("own", "own_total"),
    ("own high", "own_high"),
    ("own unparsed", "own_unparsed"),
    ("own agrees", "own"),
    ("answered", "own_answered"),
    ("lmms-eval", "lmms_eval"),
    ("VLMEvalKit", "vlmevalkit"),
)
LEGEND = """\
scoring, extraction: rows with the official verdict and the official reading; ours, published: accuracy in official mode
unparsed: rows where the official rules find nothing; if wrong, if right: the accuracy if all of these were
own: accuracy by our own extractor, unparsed rows wrong, and (own high) right; own agrees: with the official reading,
answered: the same without responses that decline; lmms-eval, VLMEvalKit: their extractors on the full published file"""
_LISTED = 20

__all__ = ["COLUMNS", "DATA", "Disagreement", "ParityRow", "compare", "main", "table"]


def compare(folder: str | Path) -> list[ParityRow]:
    """One row a golden file of the folder, in the order of their paths; a file that cannot be compared says why.

    Raises:
        FileNotFoundError: when the folder is not there or holds no golden file.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"no folder '{folder}': expected one with goldens/*/*.jsonl.gz; name it with --data FOLDER"
        )
    root, goldens = places(Path(folder).resolve())
    done = []
    for path in answers_of(goldens):
        benchmark = path.relative_to(goldens).parts[0]
        if benchmark in BENCHMARKS:
            done.append(compare_file(root, path, benchmark, goldens / benchmark / "official_scores.json"))
        else:
            note = f"not compared: there is no rule for '{benchmark}', but for {', '.join(BENCHMARKS)}"
            done.append(ParityRow(path.relative_to(root).as_posix(), 0, notes=(note,)))
    for name in ("model_responses.jsonl.gz", "model_responses.jsonl"):
        if (root / "visonlyqa" / name).exists():
            done.append(compare_file(root, root / "visonlyqa" / name, "visonlyqa", goldens / "visonlyqa"))
    for name in ("test.jsonl.gz", "test.jsonl"):
        if (root / "dynamath" / name).exists():
            done.append(compare_dynamath(root, root / "dynamath" / name))
    if not any(row.rows or row.problem for row in done):
        raise FileNotFoundError(
            f"no golden files below '{folder}': looked for goldens/*/*.jsonl.gz, visonlyqa/model_responses.jsonl.gz "
            "and dynamath/test.jsonl"
        )
    return done


def table(rows: Iterable[ParityRow], *, details: bool = True) -> str:
    """The comparison for people: one line a file, then what disagrees and why."""
    rows = list(rows)
    lines = [("file", "rows", *(title for title, _ in COLUMNS))]
    for row in rows:
        cells = (getattr(row, name) for _, name in COLUMNS)
        lines.append((row.file, str(row.rows), *("-" if c is None else f"{100 * c:.2f}" for c in cells)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [_line(line, widths) for line in lines]
    if details:
        text.append(LEGEND)
        for row in rows:
            text += _details(row)
    text.append(f"{sum(r.rows for r in rows)} rows in {sum(r.seconds for r in rows):.1f} s of processor time")
    return "\n".join(text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))


def _details(row: ParityRow) -> list[str]:
    text = [f"{row.file}: cannot be compared: {row.problem}"] if row.problem else []
    text += [f"{row.file}: {note}" for note in row.notes]
    text += [
        f"{row.file}: row {d.id}: {d.kind} {d.ours}, official {d.official} ({d.why or 'unexplained'})"
        for d in row.disagreements[:_LISTED]
    ]
    if len(row.disagreements) > _LISTED:
        text.append(f"{row.file}: and {len(row.disagreements) - _LISTED} more (--json lists all)")
    return text


def main(data: str | None = None, as_json: bool = False) -> int:
    """Print the comparison.

    Args:
        data: the folder; None is `DATA`.
        as_json: for programs.

    Returns:
        0 when every verdict given the official extraction is the official one and every published total is hit, or the
        reason is known, and our rules read at least 99 percent of every file as the official ones do; 1 otherwise, also
        where a file cannot be compared; 2 when there is nothing to compare.
    """
    try:
        rows = compare(DATA if data is None else data)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) if as_json else table(rows))
    return 0 if all(row.meets_targets for row in rows) else 1
