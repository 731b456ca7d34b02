"""Training sets by their published schemas: rows read one by one, everything that is wrong said together.

Each set has a file of its own with a `Form`: the names of its files and columns, and how one row becomes training rows.
Pictures are looked for and not opened, unless that is asked for; a row can only name files in the set's own folder.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmevolve.config.nearest import edits, hint, nearest
from mmevolve.data.cells import name_cell, show
from mmevolve.data.places import Place, find, rows_of, saved_columns
from mmevolve.data.row_cells import Cells
from mmevolve.data.rows import Row

log = logging.getLogger(__name__)
Broken = Literal["error", "drop"]
SHOWN = 60  # problems that are listed
LOOKED_AT = 200  # rows that a preflight turns into training rows
READ = 20_000  # rows that a preflight reads in search of them
# Other names of columns that a row may lack: what stands under them must not be lost without a word.
OTHERS = {
    "image": ("img", "imgs", "image_path", "image_paths", "image_file", "img_path", "picture", "pictures"),
    "prompt": ("question", "instruction", "query", "input"),
}


@dataclass(frozen=True)
class Form:
    """The schema of a set.

    Attributes:
        name: how rows are called that have no id, with the split and their number.
        make: training rows of one row of the table.
        needs: columns that must be there; of each tuple one.
        may: columns that may be missing, but not because they have a slip or another name.
        id: column of names that must not repeat; None numbers the rows.
        files: names of tables in a folder, before the usual ones.
        folders: folders inside the folder where image paths may start.
        inner_splits: names of tables whose rows know their split.
        rows: reads the tables that are not a plain list of rows.
    """

    name: str
    make: Callable[[Cells], list[Any]]
    needs: tuple[tuple[str, ...], ...]
    may: tuple[tuple[str, ...], ...] = ()
    id: str | None = None
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    inner_splits: tuple[str, ...] = ()
    rows: Callable[[Place], Iterator[Row]] = rows_of

    def missing(self, there: Iterable[str]) -> dict[str, str]:
        """Missing column -> sentence."""
        known = list(there)
        found: dict[str, str] = {}
        for names in (*self.needs, *(((self.id,),) if self.id is not None else ())):
            if not set(names) & set(known):
                allowed = " (id: null numbers the rows)" if names == (self.id,) else ""
                meant = next((name for name in names if nearest(name, known)), names[0])
                sentence = f"no column {' or '.join(map(repr, names))}{hint(meant, known)}{allowed}"
                found |= dict.fromkeys(names, sentence)
        read = {name for names in (*self.needs, *self.may) for name in names}
        for names in self.may:
            others = {other for name in names for other in OTHERS.get(name, ())}
            free = [c for c in known if c not in read] if not set(names) & set(known) else []
            slip = next((c for c in free if c in others or any(edits(c, name) == 1 for name in names)), None)
            if slip is not None:
                found[names[0]] = f"no column '{names[0]}', and '{slip}' is not read: rename or remove it"
        return found


@dataclass
class Taken:
    """What was made of a table so far."""

    items: list[Any] = field(default_factory=list)
    kept: int = 0
    columns: dict[str, None] = field(default_factory=dict)
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def sentences(self, missing: Mapping[str, str]) -> list[str]:
        """Everything that is wrong: columns that are nowhere once, the rest by row."""
        rows = [
            f"row {number}: {f'{column} ' if column else ''}{said}"
            for number, column, said in self.problems
            if column not in missing
        ]
        return [*dict.fromkeys(missing.values()), *rows]


def gather(
    form: Form,
    *,
    path: str,
    split: str | None = None,
    limit: int | None = None,
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Any]:
    """The training rows of a set.

    Args:
        form: its schema.
        path: a .jsonl, .json or .parquet file, a folder with such files and the pictures, a folder saved by `datasets`,
            or a hub name (which needs `datasets`).
        split: of a folder or hub name; `train` if not given.
        limit: take the first so many rows.
        images_root: folder that image paths start from and may not leave; the set's own folder if not given.
        verify_images: read every picture through once, so that a broken one is found now.
        broken: rows that cannot be used: `error` lists them all, `drop` leaves them out and logs how many.

    Raises:
        ValueError: with every problem, each with its row.
    """
    _check_limit(limit)
    place = _find(form, path=path, split=split, images_root=images_root)
    taken = _take(form, place, most=limit, verify=verify_images)
    problems = taken.sentences(form.missing(taken.columns) if taken.columns else {})
    bad = {number for number, _, _ in taken.problems}
    if not taken.columns and not problems:
        problems = ["empty: no row at all"]
    elif not problems and not taken.kept:
        problems = [f"empty: every row was left out ({_counted(taken.left_out)})"]
    if broken == "drop" and taken.kept and not form.missing(taken.columns):
        if problems:
            log.warning("%s '%s': broken rows, dropped: %d; the first: %s", form.name, path, len(bad), problems[0])
    elif problems:
        heading = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n  ".join(_first(problems))
        allowed = "\n  (broken: drop leaves such rows out)" if taken.kept and bad and broken == "error" else ""
        raise ValueError(f"{form.name} '{path}': {heading}\n  {lines}{allowed}")
    for reason, count in taken.left_out.items():
        log.warning("%s '%s': rows %s, dropped: %d", form.name, path, reason, count)
    return taken.items


def look(form: Form, settings: Mapping[str, Any]) -> Iterator[str]:
    """One sentence a problem, from the first rows alone; of a saved folder only the columns, of a hub name nothing."""
    path, limit = settings.get("path"), settings.get("limit")
    if not isinstance(path, str) or not isinstance(limit, int | None):
        return
    try:
        _check_limit(limit)
        place = _find(form, path=path, split=settings.get("split"), images_root=settings.get("images_root"))
        if place.kind == "hub":
            return
        if place.kind == "folder":
            there = saved_columns(Path(path))
            yield from dict.fromkeys(form.missing(there).values() if there else ())
            return
        most = LOOKED_AT if limit is None else min(limit, LOOKED_AT)
        taken = _take(form, place, most=most, reads=READ)
    except ValueError as error:
        yield str(error)
        return
    missing = form.missing(taken.columns) if taken.columns else {}
    if settings.get("broken") == "drop" and taken.kept:
        yield from dict.fromkeys(missing.values())
    elif taken.columns or taken.problems:
        yield from _first(taken.sentences(missing))
    else:
        yield "empty: no row at all"


def _find(form: Form, *, path: str, split: str | None, images_root: str | None) -> Place:
    return find(
        path,
        form.files,
        split=split,
        images_root=images_root,
        folders=form.folders,
        inner_splits=form.inner_splits,
    )


def _take(
    form: Form,
    place: Place,
    *,
    most: int | None = None,
    reads: int | None = None,
    verify: bool = False,
) -> Taken:
    taken, names = Taken(), {}
    label = f"{form.name}-{place.split}" if place.split else form.name
    for count, row in enumerate(form.rows(place)):
        if count == reads:
            break
        if row.problem:
            taken.problems.append((row.number, "", row.problem))
            continue
        taken.columns.update(dict.fromkeys(row.values))
        cells = Cells(row, place.root, verify, name=f"{label}-{row.number:06d}")
        if form.id is not None:
            cells.name = cells.read(form.id, name_cell, cells.name)
        made = form.make(cells)
        if cells.left_out:
            taken.left_out[cells.left_out] += 1
            continue
        if form.id is not None and names.setdefault(cells.name, row.number) != row.number:
            said = f"{show(cells.name)} is also that of row {names[cells.name]} (id: null numbers the rows)"
            cells.complain(form.id, said)
        taken.problems += [(row.number, column, said) for column, said in cells.complaints]
        if cells.complaints:
            continue
        taken.items += made
        taken.kept += 1
        if taken.kept == most:
            break
    return taken


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())


def _first(problems: list[str]) -> list[str]:
    more = len(problems) - SHOWN
    return [*problems[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
