"""The run folder: every stage's table once, whole or absent, keyed by what made it.

    runs/<name>/<loop>/round=003/trajectories.parquet   one table a stage and round
                                /trajectories.parts/    its finished units while it is being made
                                /checkpoint/            what training left, with checksums
    runs/<name>/images/<sha-256>.<format>               each image once

A table is written aside, flushed and renamed, so a kill or a power cut leaves it whole or absent; a long stage is made
of units, so either loses at most the unit in flight. Each table carries a description of the settings and inputs that
made it. When they have changed since, the store refuses and names the setting. Data pages and headers carry checksums,
so a damaged table is noticed when it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmevolve import ranks, types
from mmevolve.console import Console, current
from mmevolve.durable import flush, put
from mmevolve.keys import describe_call, difference, with_images
from mmevolve.types import from_row, to_row

KEY = b"mmevolve.key"
CLASS = b"mmevolve.class"
SHAPE = b"mmevolve.shape"
SEAL = "checksums.json"  # beside a checkpoint's files
CHECK = b"mmevolve.check"
REFS = ("images", "prompt", "rejected_prompt")  # columns that name image files
FORMATS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif", b"BM": "bmp", b"II*\0": "tif", b"MM\0*": "tif"}


class StoreError(RuntimeError):
    """A run folder that cannot be used as asked; the message says what differs and what to do."""


@dataclass(frozen=True)
class Units:
    """A long stage: independent units of work, each kept as soon as it is finished.

    Attributes:
        items: the units' inputs, in the order of the rows.
        work: rows of several units at once: `work([item, ...]) -> [[row, ...], ...]`.
        at_once: units handed to `work` together.
        spread: whether `work` needs every process of the run.
    """

    items: Sequence[Any]
    work: Callable[[Sequence[Any]], Sequence[Sequence[Any]]]
    at_once: int = 1
    spread: bool = False


@dataclass(frozen=True)
class RunStore:
    """One run's folder.

    Attributes:
        path: the folder.
        stage_name: the loop whose tables are meant; empty for the run itself.
    """

    path: str
    stage_name: str = ""

    def describe(self) -> str:
        """Nothing of where it lies: a run can be moved."""
        return "store"

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

    def once(self, at: int | str, table: str, verb: Callable[..., Any], /, *args: Any, **kwargs: Any) -> list[Any]:
        """Rows of a round's table: read if it is there, made by `verb(*args, **kwargs)` if not.

        Raises:
            StoreError: when the table on disk was made with other settings or inputs.
        """
        path = self.round_folder(at) / f"{table}.parquet"
        key = describe_call(verb, args, kwargs)
        if path.exists():
            self._same(path, key)
            shutil.rmtree(path.with_suffix(".parts"), ignore_errors=True)  # left by a kill between two file operations
            return self.read(path)
        self.console.begin(f"{self.stage_name} {path.parent.name} {table}")
        made = verb(*args, **kwargs)
        if ranks.helps():
            if isinstance(made, Units) and made.spread:
                for _ in self._work(self._files(path, made), made, key):
                    pass  # its share went to the first process
            ranks.wait_for(path)
            return self.read(path)
        rows = self._by_units(path, made, key) if isinstance(made, Units) else list(made)
        self.write(path, rows, key)
        shutil.rmtree(path.with_suffix(".parts"), ignore_errors=True)
        self.console.end(len(rows))
        return self.read(path)  # not `rows`: a resumed run sees exactly what an uninterrupted one saw

    def once_a_run(
        self, at: int | str, table: str, verb: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> list[Any]:
        """As `once`, for rows that depend on neither loop nor round: what another one made of the same is copied.

        Raises:
            StoreError: as `once`.
        """
        path = self.round_folder(at) / f"{table}.parquet"
        if not path.exists() and not ranks.helps():
            key = json.loads(json.dumps(describe_call(verb, args, kwargs)))
            twin = next((p for p in sorted(Path(self.path).glob(f"*/*/{table}.parquet")) if _key(p) == key), None)
            if twin is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                aside = path.with_name(path.name + ".tmp")
                shutil.copyfile(twin, aside)
                put(aside, path)
        return self.once(at, table, verb, *args, **kwargs)

    def _by_units(self, path: Path, made: Units, key: Any) -> list[Any]:
        files = self._files(path, made)
        for i, rows in self._work(files, made, key):
            self.write(files[i], rows, key)
        return [row for file in files for row in self.read(file)]

    def _files(self, path: Path, made: Units) -> list[Path]:
        return [path.with_suffix(".parts") / f"{i:06d}.parquet" for i in range(len(made.items))]

    def _work(self, files: list[Path], made: Units, key: Any) -> Iterator[tuple[int, Sequence[Any]]]:
        """Number and rows of each unit that is not on disk yet."""
        for file in files:
            if file.exists():
                self._same(file, key)
        todo = [i for i, file in enumerate(files) if not file.exists()]
        for start in range(0, len(todo), made.at_once):
            batch = todo[start : start + made.at_once]
            yield from zip(batch, made.work([made.items[i] for i in batch]), strict=True)
            self.console.tick(len(files) - len(todo) + start + len(batch), len(files))

    def write(self, path: Path, rows: Iterable[Any], key: Any = None) -> None:
        """Write nouns, or plain dictionaries, as one table; whole or absent.

        Raises:
            StoreError: when the disk is full or the folder cannot be written; finished tables are untouched.
        """
        aside = path.with_name(path.name + ".tmp")
        try:
            table = self._table(self._keep_images(rows), key)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, aside, compression="zstd", write_page_checksum=True, write_statistics=False)
            put(aside, path)
        except OSError as error:
            if aside.exists():
                aside.unlink()
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
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                table = file.read(use_threads=False)
            kind = _checked(table.schema)[CLASS].decode()
            if _shape(table) != table.schema.metadata[SHAPE]:
                raise ValueError("its rows or columns are not those that were written")
            rows = table.to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise damaged(path, error) from error
        cls = next((noun for noun in types.NOUNS if noun.__name__ == kind), None)
        return rows if cls is None else [from_row(cls, self._portable(row, back=True)) for row in rows]

    def _table(self, rows: Sequence[Any], key: Any) -> pa.Table:
        flat = [self._portable(dict(r) if isinstance(r, Mapping) else to_row(r)) for r in rows]
        names = dict.fromkeys(name for row in flat for name in row)
        table = pa.table({name: _array(name, [row.get(name) for row in flat]) for name in names})
        kind = type(rows[0]).__name__ if rows else "nothing"
        said = {KEY: json.dumps(key, sort_keys=True).encode(), CLASS: kind.encode(), SHAPE: _shape(table)}
        return table.replace_schema_metadata({**said, CHECK: _checksum(said)})

    def table(self, round: int | str, name: str) -> list[Any]:
        """Rows of a finished table of this stage; an empty list when it was not made."""
        path = self.round_folder(round) / f"{name}.parquet"
        return self.read(path) if path.exists() else []

    def _keep_images(self, rows: Iterable[Any]) -> list[Any]:
        """Put image bytes into the run's image folder, once each, and refer to the files instead."""
        images, found = Path(self.path) / "images", False

        def file(ref: str | bytes) -> str:
            nonlocal found
            if isinstance(ref, str):
                return ref
            found, path = True, images / f"{hashlib.sha256(ref).hexdigest()}.{image_format(ref)}"
            if not path.exists():
                images.mkdir(parents=True, exist_ok=True)
                aside = path.with_suffix(".tmp")
                aside.write_bytes(ref)
                flush(aside)
                os.replace(aside, path)
            return str(path)

        kept = [row if isinstance(row, Mapping) else with_images(row, file) for row in rows]
        if found:
            flush(images)  # once for all: they are there before the table that names them
        return kept

    def _portable(self, row: dict[str, Any], *, back: bool = False) -> dict[str, Any]:
        """Image paths as seen from the run folder, so that a run can be moved and two runs compared byte for byte."""
        here = _images_as_json(self.path)
        old, new = ('"@images/', here) if back else (here, '"@images/')
        return {k: v.replace(old, new) if k in REFS and isinstance(v, str) else v for k, v in row.items()}

    def _same(self, path: Path, key: Any) -> None:
        change = difference(_key(path), json.loads(json.dumps(key)))
        if change:
            raise StoreError(
                f"{path} was made with other settings: {change}; use a new run folder, or delete this table and "
                "what was made from it"
            )


def _array(name: str, cells: list[Any]) -> pa.Array:
    """A column of a table; text that UTF-8 cannot hold is refused by the column's name."""
    try:
        return pa.array(cells)
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start : error.end])
        raise StoreError(f"the column '{name}' holds half of a character ({half}), expected whole ones") from error


@cache
def _images_as_json(run: str) -> str:
    """How a path into a run's image folder begins in JSON; asked for every row."""
    return json.dumps(str(Path(run) / "images"), ensure_ascii=False)[:-1] + "/"


def _key(path: Path) -> Any:
    """What a table was made of.

    Raises:
        StoreError: when the file is damaged.
    """
    try:
        return json.loads(_checked(pq.read_schema(path))[KEY])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> StoreError:
    """What to say of a table that cannot be read."""
    return StoreError(f"{path} is damaged ({error}); delete it and run again to make it anew")


def seal(folder: Path) -> None:
    """Write beside the files of a checkpoint what their bytes add up to."""
    sums = {file.name: _sum(file) for file in sorted(folder.iterdir()) if file.is_file()}
    (folder / SEAL).write_text(json.dumps(sums, indent=1))


def refuse_broken(folder: Path) -> None:
    """Stop before a checkpoint is used whose files are not as they were written; an older one, without a seal, passes.

    Raises:
        StoreError: naming the file.
    """
    if not (folder / SEAL).exists():
        return
    try:
        sums = json.loads((folder / SEAL).read_text())
        broken = [name for name, was in sums.items() if _sum(folder / name) != was]
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"{folder} is damaged ({SEAL}: {error}); delete it and run again to make it anew") from error
    if broken:
        raise StoreError(
            f"{folder} is damaged ({broken[0]} is not as it was written); delete it and run again to make it anew"
        )


def _sum(file: Path) -> str:
    total = 0
    with file.open("rb") as data:
        while part := data.read(1 << 20):
            total = zlib.crc32(part, total)
    return f"{total:08x}"


def image_format(image: bytes) -> str:
    """File ending of an encoded image, by its first bytes; `img` for those that are not known here."""
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    return next((ending for start, ending in FORMATS.items() if image.startswith(start)), "img")


def _checked(schema: pa.Schema) -> dict[bytes, bytes]:
    """A table's own words about itself, in good order.

    Raises:
        ValueError: when they are not as they were written.
    """
    said = schema.metadata or {}
    if CHECK not in said or _checksum({k: said.get(k, b"") for k in (KEY, CLASS, SHAPE)}) != said[CHECK]:
        raise ValueError("its header is not as it was written")
    return said


def _checksum(said: Mapping[bytes, bytes]) -> bytes:
    return b"%08x" % zlib.crc32(b"\x1f".join(said[k] for k in (KEY, CLASS, SHAPE)))


def _shape(table: pa.Table) -> bytes:
    columns = {field.name: str(field.type).replace("<item:", "<element:") for field in table.schema}
    return json.dumps([table.num_rows, columns]).encode()


def kept_rows(*, store: RunStore, loop: str, round: int = 0) -> list[Any]:
    """Training rows that a finished round of a loop selected.

    Raises:
        StoreError: when that round has none.
    """
    rows = store.stage(loop).table(round, "examples")
    if not rows:
        raise StoreError(f"{store.path} has no rows of loop '{loop}', round {round}: run that loop first")
    return rows
