"""A run in the terminal: how far it is, and groups to read with every critic's marks."""

from __future__ import annotations

import difflib
import os
import re
import sys
import textwrap
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

from mmevolve.report.folder import At, RunFolder, is_run, open_run
from mmevolve.report.groups import Attempt, Worth, attempts_at, examples_worth_reading
from mmevolve.report.marks import Mark, step_marks, whole_marks
from mmevolve.report.markup import clean
from mmevolve.report.words import several
from mmevolve.store import RunStore

WIDE = 100
STAGES = ("samples", "knobs", "trajectories", "critiques", "examples", "metrics", "monitors")
ROWS = {"samples": "question", "trajectories": "attempt", "critiques": "critique", "examples": "training row"}


def status(run: str) -> int:
    """Print what is finished, what is under way and what to do next; 2 for a folder that holds no run."""
    if not is_run(run):
        return _not_a_run(run)
    folder = open_run(run)
    finished = (Path(run) / "summary.json").is_file()
    print(f"{run}: {'finished' if finished else 'not finished'}")
    if not folder.loops:
        print("  nothing has been made yet")
    wide = max((len(f"{loop} {_place(at)}") for loop in folder.loops for at in folder.points(loop)), default=0)
    for loop in folder.loops:
        for at in folder.points(loop):
            print(f"  {f'{loop} {_place(at)}':<{wide}}  {_stages(folder, loop, at)}")
    if finished:
        page = Path(run) / "report.html"
        print(
            f"next: read {page}" if page.is_file() else f"next: mmevolve report {run}",
            f"or mmevolve show {run}",
            sep=", ",
        )
    else:
        print(f"next: {_again(folder)}; finished tables are read, not made again")
    return 0


def show(run: str, sample: str | None = None, n: int = 10) -> int:
    """Print groups worth reading, or every attempt at one sample; 2 when there is no such run or sample."""
    if not is_run(run):
        return _not_a_run(run)
    ink = Ink(sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    if sample is not None:
        return _show_one(run, sample, ink)
    groups = examples_worth_reading(run, k=n)
    if not groups:
        print(f"{run} has no judged attempts yet: nothing to show")
        return 0
    print(
        f"{several(len(groups), 'group')} worth reading, found by rule and not at random.\n"
        f"One sample alone: mmevolve show {run} --sample ID"
    )
    for kind, members in groupby(groups, key=lambda g: g.kind):
        found = list(members)
        print(f"\n{ink.bold(f'── {kind} ')}{'─' * max(0, WIDE - 4 - len(kind))}")
        print("\n".join(ink.soft(line) for line in textwrap.wrap(clean(found[0].rule), WIDE)))
        for group in found:
            print("\n".join(group_lines(group, ink)))
    return 0


class Ink:
    """Colours, or none."""

    def __init__(self, on: bool):
        self.on = on

    def bold(self, text: str) -> str:
        return self._put("1", text)

    def soft(self, text: str) -> str:
        return self._put("2", text)

    def verdict(self, text: str, good: bool | None) -> str:
        return text if good is None else self._put("32" if good else "31", text)

    def _put(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.on else text


def group_lines(group: Worth, ink: Ink) -> list[str]:
    """One group as lines of at most 100 columns, marks under each step."""
    s = group.sample
    lines = [
        "",
        ink.soft(clean(s.id)),
        *_wrapped(ink, s.question or "(the question was not kept in this run's folder)", bold=True),
    ]
    lines += [f"  ({chr(65 + i)}) {clean(choice)}" for i, choice in enumerate(s.choices)]
    lines += [f"  picture {clean(ref)}" for ref in s.images if isinstance(ref, str)]
    lines += [f"  reference answer: {clean(s.answer)}"] if s.answer is not None else []
    for attempt in group.attempts:
        lines += _attempt_lines(attempt, ink)
    return lines


def _attempt_lines(attempt: Attempt, ink: Ink) -> list[str]:
    t = attempt.trajectory
    said = "no answer" if t.answer is None else f"answer {clean(t.answer)}"
    verdict = {True: "✓ right", False: "✗ wrong", None: "not judged"}[attempt.right]
    kept = "  [trained on]" if attempt.kept else ""
    lines = ["", f"  {ink.bold(attempt.where)}  {said}: {ink.verdict(verdict, attempt.right)}{kept}"]
    for i, (step, marks) in enumerate(zip(t.steps, step_marks(attempt), strict=True), 1):
        first, *rest = textwrap.wrap(clean(step.text), WIDE - 40) or [""]
        lines.append(f"   {i:>2}  {first:<40}  {_shown(marks, ink)}".rstrip())
        lines += [f"       {line}" for line in rest]
        for mark in marks:
            if mark.words:
                lines += textwrap.wrap(
                    clean(f"{mark.critic}: {mark.words}"), WIDE - 10, initial_indent=" " * 9, subsequent_indent=" " * 11
                )
    lines.append(f"   as a whole: {_shown(whole_marks(attempt), ink) or 'no critic said anything'}")
    return lines


def _shown(marks: list[Mark], ink: Ink) -> str:
    return "  ".join(ink.verdict(f"{clean(m.critic)} {m.shown}", m.good) for m in marks)


def _wrapped(ink: Ink, text: str, *, bold: bool) -> list[str]:
    return [ink.bold(line) if bold else line for line in textwrap.wrap(clean(text), WIDE)]


def _show_one(run: str, sample: str, ink: Ink) -> int:
    folder = open_run(run)
    found = attempts_at(folder, sample)
    if not found:
        known = _sample_ids(folder)
        near = difflib.get_close_matches(sample, known, 1, 0.0) if known else []
        print(
            f"{run} has no attempts at '{sample}'" + (f"; the nearest sample is '{near[0]}'" if near else ""),
            file=sys.stderr,
        )
        return 2
    for group in found:
        print(f"\n{ink.bold(f'── {group.kind} ')}{'─' * max(0, WIDE - 4 - len(group.kind))}")
        print("\n".join(group_lines(group, ink)))
    return 0


def _sample_ids(folder: RunFolder) -> list[str]:
    ids: dict[str, None] = {}
    for loop in folder.loops:
        for at in folder.points(loop):
            for table in ("trajectories", "held_out_trajectories"):
                ids.update(dict.fromkeys(t.sample_id for t in folder.table(loop, at, table)))
    return list(ids)


def _stages(folder: RunFolder, loop: str, at: At) -> str:
    """What one round has, in a few words."""
    place = RunStore(folder.path, loop).round_folder(at)
    tables = sorted(f.stem for f in place.glob("*.parquet"))
    words = [several(folder.count(loop, at, t), ROWS[t]) for t in STAGES if t in tables and t in ROWS]
    words += ["trained"] if (place / "checkpoint").is_dir() else []
    measured = [t.removesuffix("_critiques") for t in tables if t.endswith("_critiques")]
    if "metrics" in tables:
        words.append("measured" + (f" ({', '.join(measured)})" if measured else ""))
    for parts in sorted(place.glob("*.parts")):
        if parts.stem not in tables:
            done = sum(pq.read_metadata(file).num_rows for file in parts.glob("*.parquet"))
            words.append(f"{parts.stem} under way, {several(done, 'row')} so far")
    if "examples" in tables and not (place / "checkpoint").is_dir():
        words.append("training to do")
    return ", ".join(words) or "begun"


def _place(at: At) -> str:
    return f"round {at}" if isinstance(at, int) else str(at)


def _again(folder: RunFolder) -> str:
    """The command that goes on with the run: the recipe's own `Run` line where it has one."""
    match = re.search(r"^#\s*Run\s+(mmevolve run \S+)", folder.text("recipe.yaml"), re.MULTILINE)
    return f"go on with {match[1]}" if match else "go on with the same mmevolve run command"


def _not_a_run(run: str) -> int:
    what = "is not a run folder: it has no recipe.yaml and no rounds" if Path(run).is_dir() else "does not exist"
    print(f"'{run}' {what}; runs are made by `mmevolve run RECIPE` and usually lie in runs/", file=sys.stderr)
    return 2
