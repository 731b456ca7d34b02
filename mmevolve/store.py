"""The run folder: every stage's table once, whole or absent, keyed by what made it.

    runs/<name>/<loop>/round=003/trajectories.parquet   one table a stage and round
                                /trajectories.parts/    its finished units while it is being made
                                /checkpoint/            what training left
    runs/<name>/images/<sha-256>                        each image once

A table is written aside and renamed, so a kill leaves it whole or absent; a long stage is made of units, so a kill loses
at most the unit in flight. Each table carries a description of the settings and inputs that made it. When they have
changed since, the store refuses and names the setting.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmevolve import types
from mmevolve.console import Console, current
from mmevolve.types import from_row, to_row

KEY = b"mmevolve.key"
CLASS = b"mmevolve.class"


class StoreError(RuntimeError):
    """A run folder that cannot be used as asked; the message says what differs and what to do."""


@dataclass(frozen=True)
class Units:
    """A long stage: independent units of work, each kept as soon as it is finished.

    Attributes:
        items: the units' inputs, in the order of the rows.
        work: rows of several units at once: `work([item, ...]) -> [[row, ...], ...]`.
        at_once: units handed to `work` together.
    """

    items: Sequence[Any]
    work: Callable[[Sequence[Any]], Sequence[Sequence[Any]]]
    at_once: int = 1


@dataclass(frozen=True)
class RunStore:
    """One run's folder.

    Attributes:
        path: the folder.
        stage_name: the loop whose tables are meant; empty for the run itself.
    """

    path: str
    stage_name: str = ""

    @property
    def folder(self) -> Path:
        return Path(self.path) / self.stage_name

    @property
    def console(self) -> Console:
        """Who is told of progress."""
        return current()

    def stage(self, name: str) -> RunStore:
        """The same run, tables of one loop."""
        return dataclasses.replace(self, stage_name=name)

    def round_folder(self, round: int | str) -> Path:
        return self.folder / (f"round={round:03d}" if isinstance(round, int) else str(round))

    def checkpoint(self, round: int) -> Path:
        """Where a round's training leaves its weights."""
        return self.round_folder(round) / "checkpoint"

    def once(self, round: int | str, table: str, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Rows of a table: read if it is there, made by `verb(*args, **kwargs)` if not.

        Raises:
            StoreError: when the table on disk was made with other settings or inputs.
        """
        path = self.round_folder(round) / f"{table}.parquet"
        key = describe([verb, args, {k: v for k, v in kwargs.items() if k != "round"}])
        if path.exists():
            self._same(path, key)
            return self.read(path)
        self.console.begin(f"{self.stage_name} {path.parent.name} {table}")
        made = verb(*args, **kwargs)
        rows = self._by_units(path, made, key) if isinstance(made, Units) else list(made)
        self.write(path, rows, key)
        shutil.rmtree(path.with_suffix(".parts"), ignore_errors=True)
        self.console.end(len(rows))
        return self.read(path)  # not `rows`: a resumed run sees exactly what an uninterrupted one saw

    def _by_units(self, path: Path, made: Units, key: Any) -> list[Any]:
        parts = path.with_suffix(".parts")
        files = [parts / f"{i:06d}.parquet" for i in range(len(made.items))]
        for file in files:
            if file.exists():
                self._same(file, key)
        todo = [i for i, file in enumerate(files) if not file.exists()]
        for start in range(0, len(todo), made.at_once):
            batch = todo[start : start + made.at_once]
            for i, rows in zip(batch, made.work([made.items[i] for i in batch]), strict=True):
                self.write(files[i], rows, key)
            self.console.tick(len(files) - len(todo) + start + len(batch), len(files))
        return [row for file in files for row in self.read(file)]

    def write(self, path: Path, rows: Iterable[Any], key: Any = None) -> None:
        """Write nouns, or plain dictionaries, as one table; whole or absent.

        Raises:
            StoreError: when the disk is full or the folder cannot be written; finished tables are untouched.
        """
        rows = [self.keep_images(r) for r in rows]
        kind = type(rows[0]).__name__ if rows else "nothing"
        flat = [self._portable(dict(r) if isinstance(r, Mapping) else to_row(r)) for r in rows]
        table = pa.Table.from_pylist(flat) if flat else pa.table({})
        table = table.replace_schema_metadata({KEY: json.dumps(key, sort_keys=True), CLASS: kind})
        aside = path.with_name(path.name + ".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, aside, compression="zstd")
            os.replace(aside, path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise StoreError(
                f"cannot write {path}: {error.strerror or error}; finished tables are whole, "
                "make room and run the same command again"
            ) from error

    def read(self, path: Path) -> list[Any]:
        """Rows of a table, as the nouns that were written.

        Raises:
            StoreError: when the file is damaged.
        """
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"{path} is damaged ({error}); delete it and run again to make it anew") from error
        kind = table.schema.metadata[CLASS].decode()
        rows = table.to_pylist()
        cls = getattr(types, kind, None)
        return rows if cls is None else [from_row(cls, self._portable(row, back=True)) for row in rows]

    def table(self, round: int | str, name: str) -> list[Any]:
        """Rows of a finished table of this stage; an empty list when it was not made."""
        path = self.round_folder(round) / f"{name}.parquet"
        return self.read(path) if path.exists() else []

    def keep_images(self, row: Any) -> Any:
        """Put image bytes into the run's image folder, once each, and refer to the file instead."""
        if isinstance(row, types.Sample):
            return dataclasses.replace(row, images=tuple(self._image(r) for r in row.images))
        for name in ("prompt", "rejected_prompt"):
            if getattr(row, name, None):
                chat = tuple(
                    {
                        **m,
                        "content": tuple(
                            {**p, "image": self._image(p["image"])} if "image" in p else p for p in m["content"]
                        ),
                    }
                    for m in getattr(row, name)
                )
                row = dataclasses.replace(row, **{name: chat})
        return row

    def _image(self, ref: str | bytes) -> str:
        if isinstance(ref, str):
            return ref
        path = Path(self.path) / "images" / f"{hashlib.sha256(ref).hexdigest()}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(f".{os.getpid()}.tmp")
            aside.write_bytes(ref)
            os.replace(aside, path)
        return str(path)

    def _portable(self, row: dict[str, Any], *, back: bool = False) -> dict[str, Any]:
        """Image paths as seen from the run folder, so that a run can be moved and two runs compared byte for byte."""
        here, there = f'"{self.path}/images/', '"@images/'
        old, new = (there, here) if back else (here, there)
        return {k: v.replace(old, new) if isinstance(v, str) else v for k, v in row.items()}

    def _same(self, path: Path, key: Any) -> None:
        try:
            written = json.loads(pq.read_schema(path).metadata[KEY])
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"{path} is damaged ({error}); delete it and run again to make it anew") from error
        change = difference(written, json.loads(json.dumps(key)))
        if change:
            raise StoreError(
                f"{path} was made with other settings: {change}; use a new run folder, or delete this table and "
                "what was made from it"
            )


def describe(value: Any) -> Any:
    """JSON that says what a part, a function or an input is, for keys; long lists of rows become a digest."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()[:16]
    if hasattr(value, "describe") and not isinstance(value, type):
        return describe(value.describe())
    if isinstance(value, functools.partial):
        return {"_target_": _name(value.func), **{k: describe(v) for k, v in value.keywords.items()}}
    if isinstance(value, RunStore):
        return "store"
    if isinstance(value, list | tuple) and value and type(value[0]) in types.NOUNS:
        return {"rows": len(value), "digest": _digest(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"_target_": _name(type(value)), **fields}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if callable(value):
        return _name(value)
    raise TypeError(f"cannot tell what {type(value).__name__} is for the store's keys: give it a describe() method")


def difference(old: Any, new: Any, place: str = "") -> str:
    """The first place where two descriptions differ, in words; empty when they are the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            where = f"{place}.{name}" if place else name
            if name not in old or name not in new:
                return f"'{where}' is {'new' if name in new else 'gone'}"
            if said := difference(old[name], new[name], where):
                return said
        return ""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return next(
            (
                said
                for i, (a, b) in enumerate(zip(old, new, strict=True))
                if (said := difference(a, b, f"{place}[{i}]"))
            ),
            "",
        )
    return "" if old == new else f"'{place}' was {json.dumps(old)}, now {json.dumps(new)}"


def _digest(rows: Sequence[Any]) -> str:
    """Of rows as they are stored, with images by their file name: the same wherever the run lies."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(re.sub(r"'[^']*/images/", "'", repr(_bare(row))).encode())
    return digest.hexdigest()[:16]


def _bare(row: Any) -> Any:
    return dataclasses.replace(row, images=()) if isinstance(row, types.Sample) else row


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
