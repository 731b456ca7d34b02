"""Where a published set's rows and pictures lie: one table, a folder with its shards, or a hub name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmevolve.config.nearest import hint
from mmevolve.data.cells import show
from mmevolve.data.rows import ENDINGS, Row, kind_of, read_rows

SPLIT = "train"
TABLES = (
    "{split}.jsonl",
    "{split}.jsonl.gz",
    "{split}.json",
    "{split}.parquet",
    "{split}-*.parquet",
    "data/{split}.jsonl",
    "data/{split}-*.parquet",
)


@dataclass(frozen=True)
class Place:
    """Where to read.

    Attributes:
        tables: files in order, or one folder saved by `datasets`, or one hub name.
        kind: files, folder or hub.
        root: folder that image paths start from and may not leave; None for a hub name without one.
        split: the split that is meant; None where the table has none.
    """

    tables: tuple[str, ...]
    kind: str
    root: Path | None
    split: str | None


def find(
    path: str,
    files: Sequence[str] = (),
    *,
    split: str | None = None,
    images_root: str | None = None,
    folders: Sequence[str] = (),
    inner_splits: Sequence[str] = (),
) -> Place:
    """The tables of a set.

    Args:
        path: a table, a folder with tables, a folder saved by `datasets`, or a hub name.
        files: names that the set has in a folder, before the usual ones; `{split}` is filled in, `*` joins shards.
        split: `train` in folders and on the hub if not given.
        images_root: where image paths start, if not in the folder.
        folders: names of folders inside the folder where image paths may start; the first that exists.
        inner_splits: names of tables whose rows themselves know their split.

    Raises:
        ValueError: when there is no such table, with what is there.
    """
    here = Path(path)
    if here.is_dir():
        if kind_of_folder(here) == "saved":
            return Place((path,), "folder", _root(images_root, here, folders), _saved_split(here, split))
        # A name that says no split is that of the training rows.
        named = (f for f in files if "{split}" in f or f in inner_splits or split in (None, SPLIT))
        tables = _tables(here, (*named, *TABLES), split or SPLIT)
        return Place(tables, "files", _root(images_root, here, folders), split or SPLIT)
    if here.is_file():
        if split is not None and here.name not in inner_splits:
            raise ValueError(f"split '{split}': the file '{path}' has no splits; give the folder, or the split's file")
        if here.suffix != ".json":
            kind_of(path)
        return Place((path,), "files", _root(images_root, here.parent, folders), split)
    if path.lower().endswith(".json"):
        names = [p.name for p in here.parent.iterdir()] if here.parent.is_dir() else []
        raise ValueError(f"'{path}': no such file{hint(here.name, names)}")
    kind_of(path)  # a hub name, or one sentence about what is missing
    return Place((path,), "hub", _root(images_root, None, ()), split or SPLIT)


def rows_of(place: Place) -> Iterator[Row]:
    """Rows of all tables in order; those of later files are counted on from the earlier ones'."""
    if place.kind != "files":
        yield from read_rows(place.tables[0], split=place.split)
        return
    last = 0
    for table in place.tables:
        first = last
        for row in read_table(table):
            last = first + row.number
            yield replace(row, number=last)


def read_table(path: str) -> Iterator[Row]:
    """Rows of one file; besides what `read_rows` knows, a JSON file that is one list of objects."""
    if not path.lower().endswith(".json"):
        yield from read_rows(path)
        return
    rows = read_json(path)
    if not isinstance(rows, list):
        raise ValueError(f"'{path}': {show(rows)}, expected a list of rows")
    for number, values in enumerate(rows, start=1):
        if isinstance(values, dict):
            yield Row(number, values)
        else:
            yield Row(number, problem=f"{show(values)}, expected a JSON object")


def read_json(path: str) -> object:
    """A whole JSON file.

    Raises:
        ValueError: when it is none, or has a key twice.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [key for key, _ in pairs]
            twice = sorted({key for key in names if names.count(key) > 1})
            raise ValueError(f"the key {show(twice[0])} stands there twice")
        return found

    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}': not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError(f"'{path}': not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from None


def kind_of_folder(folder: Path) -> str:
    """`saved` for a folder written by `Dataset.save_to_disk`, else `plain`."""
    marks = ("dataset_info.json", "dataset_dict.json", "state.json")
    return "saved" if any((folder / name).is_file() for name in marks) else "plain"


def saved_columns(folder: Path) -> list[str]:
    """Columns of a folder saved by `datasets`, without loading that library; empty when they cannot be known."""
    described = next(iter(sorted(folder.rglob("dataset_info.json"))), None)
    try:
        return list(json.loads(described.read_text(encoding="utf-8"))["features"]) if described else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _saved_split(folder: Path, split: str | None) -> str | None:
    """The split to read of a folder written by `save_to_disk`; None when it has none."""
    if not (folder / "dataset_dict.json").is_file():
        if split is not None:
            raise ValueError(f"split '{split}': the dataset '{folder}' has no splits")
        return None
    splits = sorted(p.name for p in folder.iterdir() if p.is_dir())
    if split is None:
        return SPLIT if SPLIT in splits else None
    if split not in splits:
        raise ValueError(f"dataset '{folder}' has no split '{split}'{hint(split, splits)}")
    return split


def _tables(folder: Path, patterns: Sequence[str], split: str) -> tuple[str, ...]:
    for pattern in patterns:
        found = sorted(folder.glob(pattern.format(split=split)))
        if found:
            return tuple(map(str, found))
    endings = (*ENDINGS, ".json")
    names = sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(endings))
    wanted = patterns[0].format(split=split)
    raise ValueError(f"split '{split}': no '{wanted}' in the folder '{folder}'{hint(wanted, names)}")


def _root(images_root: str | None, folder: Path | None, folders: Sequence[str]) -> Path | None:
    if images_root is not None:
        if not Path(images_root).is_dir():
            raise ValueError(f"images_root '{images_root}': no such folder")
        return Path(images_root)
    inner = [folder / name for name in folders if (folder / name).is_dir()] if folder is not None else []
    return inner[0] if inner else folder
