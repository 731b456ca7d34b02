"""Rows of a table, one at a time and still raw: JSON lines, CSV, parquet, and what `datasets` loads."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mmevolve.config.nearest import hint

ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+\Z", re.ASCII)
_CONFIGS = re.compile(r"(?:available configs|Available): (\[[^\]]*\])")  # as `datasets` lists them
_BATCH = 256
_UNREADABLE = (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        number: counts from 1; for JSON lines the line's number.
        values: column -> cell, as the file has it.
        problem: why the row cannot be read; empty when it can.
    """

    number: int
    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def read_rows(path: str, *, split: str | None = None, config: str | None = None) -> Iterator[Row]:
    """Rows in order, read as they are asked for.

    Args:
        path: a file, a folder written by `Dataset.save_to_disk`, or a hub name `owner/dataset`.
        split: which split of a `datasets` folder or hub name.
        config: which configuration of a hub name; a set that has one only needs none.

    Raises:
        ValueError: when there is no such table, or it is of no known kind.
    """
    kind = kind_of(path)
    if split is not None and kind not in ("folder", "hub"):
        raise ValueError(f"split '{split}': the file '{path}' has no splits; to pick rows by a column use `where`")
    if config is not None and kind != "hub":
        raise ValueError(f"config '{config}': '{path}' is no name on the hub, only those have configurations")
    reader = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}.get(kind)
    return reader(path) if reader is not None else _datasets(path, kind, split, config)


def kind_of(path: str) -> str:
    """Which reader a path needs: jsonl, csv, parquet, folder or hub.

    Raises:
        ValueError: when nothing is there, with the nearest name in its folder.
    """
    place = Path(path)
    ending = next((e for e in ENDINGS if path.lower().endswith(e)), None)
    if place.is_dir():
        if any((place / name).is_file() for name in ("dataset_info.json", "dataset_dict.json", "state.json")):
            return "folder"
        tables = sorted(p.name for p in place.iterdir() if p.name.lower().endswith(ENDINGS))
        rest = f": it has {', '.join(tables[:8])}" if tables else ""
        raise ValueError(f"'{path}' is a folder that `datasets` did not save, expected a table file{rest}")
    if place.exists():
        if ending is None:
            raise ValueError(f"'{path}': unknown kind of table, expected a name ending in {', '.join(ENDINGS)}")
        return ending.split(".")[1]
    if ending is None and _HUB.match(path) and not place.parent.is_dir():
        return "hub"
    names = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else None
    if names is None:
        raise ValueError(f"'{path}': no such file, nor its folder '{place.parent}'")
    raise ValueError(f"'{path}': no such file{hint(place.name, names)}")


def _text(path: str) -> TextIO:
    opener = gzip.open if path.lower().endswith(".gz") else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")  # type: ignore[return-value]


def _jsonl(path: str) -> Iterator[Row]:
    number = 0
    with _text(path) as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parsed(number, line)
        except _UNREADABLE as error:
            yield Row(number + 1, problem=f"cannot be read from here on: {error}")


def _parsed(number: int, line: str) -> Row:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        return Row(number, problem=f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return Row(number, problem="not JSON that can be read: nested too deeply")
    except ValueError:  # Python reads no whole number of more than 4300 digits
        return Row(number, problem="not JSON that can be read: a number of thousands of digits")
    if not isinstance(values, dict):
        return Row(number, problem=f"{json.dumps(values)[:40]}, expected a JSON object")
    if "\\ud" in line.lower() and any("\ud800" <= c <= "\udfff" for c in json.dumps(values, ensure_ascii=False)):
        return Row(number, problem="holds half of a character (a lone surrogate such as \\ud83d), expected whole ones")
    return Row(number, values)


def _csv(path: str) -> Iterator[Row]:
    number = 0
    with _text(path) as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for number, values in enumerate(reader, start=1):
                if None in values:
                    yield Row(number, problem=f"{len(values[None])} cells more than the header has")  # type: ignore[index]
                else:
                    yield Row(number, values)
        except (csv.Error, *_UNREADABLE) as error:
            yield Row(number + 1, problem=f"cannot be read from here on: {error}")


def _parquet(path: str) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    yield Row(number := number + 1, values)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"'{path}': not a whole parquet file: {error}") from error


def _datasets(path: str, kind: str, split: str | None, config: str | None) -> Iterator[Row]:
    """Cells as stored: an image column gives its bytes or path, undecoded."""
    loaded = _hub(path, config) if kind == "hub" else _folder(path)
    if isinstance(loaded, dict):
        names = list(loaded)
        chosen = split or (names[0] if len(names) == 1 else None)
        if chosen is None:
            raise ValueError(f"dataset '{path}' has the splits {', '.join(names)}: say which with `split`")
        if chosen not in names:
            raise ValueError(f"dataset '{path}' has no split '{chosen}'{hint(chosen, names)}")
        loaded = loaded[chosen]
    elif split is not None:
        raise ValueError(f"split '{split}': the dataset '{path}' has no splits")
    number = 0
    for batch in loaded.with_format("arrow").iter(batch_size=_BATCH):
        for values in batch.to_pylist():
            yield Row(number := number + 1, values)


def _folder(path: str) -> Any:
    import datasets

    try:
        return datasets.load_from_disk(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"dataset '{path}': cannot be loaded: {_line(error)}") from error


def _hub(path: str, config: str | None) -> Any:
    """What the hub, or what `datasets` keeps of it on this machine, has under a name.

    Raises:
        ValueError: when it cannot be reached and nothing is kept, there is no such set, or a configuration is needed.
    """
    import datasets

    name = f"dataset '{path}'" + (f", config '{config}'" if config is not None else "")
    try:
        return datasets.load_dataset(path, *([config] if config is not None else []))
    except datasets.exceptions.DatasetNotFoundError as error:
        raise ValueError(f"{name}: the hub has no such set, or lets only some read it: {_line(error)}") from error
    except ConnectionError as error:
        raise ValueError(
            f"{name}: the hub cannot be reached, and nothing of it is kept on this machine: {_line(error)}; "
            "a table file on this machine needs no hub"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        known = _CONFIGS.search(said)
        if known is not None:  # none was named, or one that there is not
            names = re.findall(r"'([^']+)'", known[1])
            asked = (
                f"no config '{config}'{hint(config, names)}"
                if config is not None
                else f"say which with `config`: {', '.join(names)}"
            )
            raise ValueError(f"dataset '{path}': {asked}") from error
        raise ValueError(f"{name}: cannot be loaded: {_line(error)}") from error


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
