"""A table of questions as samples: JSON lines, CSV, parquet, or what `datasets` loads."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.columns import Columns, RepeatedChoices, Unlabelled, pick
from mmevolve.data.rows import Row, kind_of, read_rows
from mmevolve.text import stable_seed
from mmevolve.types import Sample

log = logging.getLogger(__name__)
SHOWN = 10  # problems that are listed
LOOKED_AT = 200  # wanted rows that a preflight looks at
READ = 20_000  # rows that a preflight reads in search of them


def table(
    *,
    path: str,
    id: str | None = "id",
    question: str = "question",
    image: str | None = "image",
    answer: str | None = "answer",
    choices: str | None = "choices",
    limit: Annotated[int, Range(1)] | None = None,
    source: str | None = None,
    images_root: str | None = None,
    shuffle_seed: int | None = None,
    where: Mapping[str, Any] | None = None,
    unlabelled: Unlabelled = "error",
    repeated_choices: RepeatedChoices = "error",
    verify_images: bool = True,
    split: str | None = None,
) -> list[Sample]:
    """Samples of a table; columns that no field takes go to `meta`.

    Args:
        path: a .jsonl, .csv (both also .gz) or .parquet file, a folder saved by `datasets`, or a hub name.
        id: column of unique names; None numbers the rows.
        question: column of the questions.
        image: column of image paths, encoded bytes, or lists of them; None for text-only questions.
        answer: column of reference answers; None when there are none.
        choices: column of option lists; a table without a column `choices` is free-form.
        limit: take at most so many rows, after `where` and shuffling.
        source: the samples' `source`; the file's name if not given.
        images_root: folder that image paths start from and may not leave; the table's folder if not given.
        shuffle_seed: puts the rows in a random order that depends on this seed and their ids only.
        where: column -> value (or list of values) that a row must have.
        unlabelled: rows without an answer: `error`, `keep` them (answer None), or `drop` them.
        repeated_choices: rows with the same option twice: `error`, or `keep` them.
        verify_images: read every image through once, so that a broken one is found now.
        split: split of a `datasets` folder or hub name.

    Raises:
        ValueError: with the first ten of all problems, each with its row.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    root = _root(path, images_root)
    columns = Columns(id, question, image, answer, choices, unlabelled, repeated_choices)
    # Rows that are not shuffled are read no further than the limit.
    most = limit if shuffle_seed is None else None
    picked = pick(read_rows(path, split=split), columns, where or {}, most=most)
    rows, label = picked.rows, source or Path(path).name.split(".")[0]
    if shuffle_seed is not None:
        rows = _shuffled(rows, id, shuffle_seed)
    samples: list[Sample] = []
    problems = list(picked.problems)
    for row in rows[:limit]:
        sample, wrong = picked.columns.sample(row, root, label, verify=verify_images)
        problems += wrong
        samples += [sample] if sample is not None else []
    if problems:
        heading = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ValueError(f"table '{path}': {heading}\n  " + "\n  ".join(_first(problems)))
    if picked.dropped:
        log.warning("table '%s': rows without an answer, dropped: %d", path, picked.dropped)
    if bare := sum(sample.answer is None for sample in samples):
        log.warning("table '%s': rows without an answer, kept: %d of %d", path, bare, len(samples))
    return samples


def preflight(**settings: Any) -> Iterator[str]:
    """One sentence a problem of `table(**settings)`, from its first rows alone.

    Images are looked for, not opened. Of a `datasets` folder only the columns are looked at, of a hub name nothing.
    """
    path, limit = settings.get("path"), settings.get("limit")
    if not isinstance(path, str) or not isinstance(limit, int | None):
        return
    most = LOOKED_AT if limit is None else min(limit, LOOKED_AT)
    if most < 1:
        yield f"limit is {limit}, expected at least 1"
        return
    fields = ("id", "question", "image", "answer", "choices", "unlabelled", "repeated_choices")
    columns = Columns(**{field: settings[field] for field in fields if field in settings})
    where = settings.get("where") or {}
    try:
        kind = kind_of(path)
        if kind in ("hub", "folder"):
            there = _saved_columns(Path(path)) if kind == "folder" else []
            yield from (sentence for _, sentence in columns.missing(there, where) if there)
            return
        root = _root(path, settings.get("images_root"))
        picked = pick(read_rows(path, split=settings.get("split")), columns, where, most=most, reads=READ)
    except ValueError as error:
        yield str(error)
        return
    wrong = [picked.columns.sample(row, root, "", verify=False)[1] for row in picked.rows]
    yield from _first([*picked.problems, *(problem for problems in wrong for problem in problems)])


def _root(path: str, images_root: str | None) -> Path | None:
    """Where image paths start; nowhere for a hub name."""
    if images_root is not None:
        if not Path(images_root).is_dir():
            raise ValueError(f"images_root '{images_root}': no such folder")
        return Path(images_root)
    place = Path(path)
    return place if place.is_dir() else place.parent if place.exists() else None


def _shuffled(rows: Sequence[Row], id: str | None, seed: int) -> tuple[Row, ...]:
    def key(row: Row) -> tuple[int, int]:
        return stable_seed("table", seed, row.number if id is None else row.values.get(id)), row.number

    return tuple(sorted(rows, key=key))


def _first(problems: Sequence[str]) -> list[str]:
    more = len(problems) - SHOWN
    return [*problems[:SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _saved_columns(folder: Path) -> list[str]:
    """Columns of a folder saved by `datasets`, without loading that library; empty when they cannot be known."""
    described = next(iter(sorted(folder.rglob("dataset_info.json"))), None)
    try:
        return list(json.loads(described.read_text(encoding="utf-8"))["features"]) if described else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
