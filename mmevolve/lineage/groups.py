"""A finished round's groups, a part of them at a time: selecting again needs no more memory than that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmevolve.lineage.tables import batches
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Critique, Group, Sample, Step, Trajectory, from_row

WINDOW = 2048  # questions held at a time
AHEAD = 20_000  # rows read beyond them: a unit of judging is written critic by critic
TOKENS = ("token_ids", "logprobs")


def stored_groups(store: RunStore, round: int, *, tokens: bool = True) -> Iterator[Group]:
    """The groups that `verbs.group` makes of the round's tables, in the same order.

    Args:
        store: the loop's store.
        round: which round.
        tokens: whether attempts get their token ids and log-probabilities; only rollouts need them.

    Raises:
        StoreError: when a table is missing or damaged, or an attempt or critique has no place in it.
    """
    folder = store.round_folder(round)
    for name in ("samples", "trajectories", "critiques"):
        if not (folder / f"{name}.parquet").exists():
            raise StoreError(f"{folder} has no {name}: its round is not finished")
    samples = _samples(folder, store)
    attempts = _Ahead(_trajectories(folder, tokens=tokens), lambda t: t.sample_id)
    critiques = _Ahead(_critiques(folder), lambda c: c.trajectory_id)
    while window := list(islice(samples, WINDOW)):
        made: dict[str, list[Trajectory]] = {s.id: [] for s in window}
        said: dict[str, list[Critique]] = {s.id: [] for s in window}
        owner = {}
        for t in attempts.of(made):
            made[t.sample_id].append(t)
            owner[t.id] = t.sample_id
        for c in critiques.of(owner):
            said[owner[c.trajectory_id]].append(c)
        yield from (Group(s, tuple(made[s.id]), tuple(said[s.id])) for s in window)
    for stream, what in ((attempts, "an attempt at"), (critiques, "a critique of")):
        if (left := stream.left()) is not None:
            raise StoreError(f"{folder} has {what} '{left}', which is not among the round's samples in their order")


class _Ahead:
    """Rows by key, read as far ahead as they may be out of order."""

    def __init__(self, rows: Iterator[Any], key: Callable[[Any], str]):
        self.rows, self.key = rows, key
        self.waiting: list[Any] = []

    def of(self, keys: dict[str, Any]) -> Iterator[Any]:
        """Every row of these keys, in the table's order."""
        before, self.waiting = self.waiting, []
        for row in before:
            if self.key(row) in keys:
                yield row
            else:
                self.waiting.append(row)
        while len(self.waiting) < AHEAD and (row := next(self.rows, None)) is not None:
            if self.key(row) in keys:
                yield row
            else:
                self.waiting.append(row)

    def left(self) -> str | None:
        """The key of a row that nobody asked for."""
        row = self.waiting[0] if self.waiting else next(self.rows, None)
        return None if row is None else self.key(row)


def _samples(folder: Path, store: RunStore) -> Iterator[Sample]:
    images = json.dumps(str(Path(store.path) / "images"), ensure_ascii=False)[:-1] + "/"
    names = ("id", "question", "images", "answer", "choices", "source", "meta")
    for row in _rows(folder / "samples.parquet", names):
        line = dict(zip(names, row, strict=True))
        yield from_row(Sample, {**line, "images": line["images"].replace('"@images/', images)})


def _trajectories(folder: Path, *, tokens: bool) -> Iterator[Trajectory]:
    names = ("id", "sample_id", "author", "steps", "answer", "round", "parent", "stop_reason", "sampling")
    knobs = lru_cache(maxsize=1024)(json.loads)  # one sampler writes the same settings into every attempt
    for name, sample, author, steps, answer, at, parent, stop, sampling, *rest in _rows(
        folder / "trajectories.parquet", (*names, *TOKENS) if tokens else names
    ):
        written = tuple(
            Step(s["text"], s["kind"], tuple(map(tuple, s["region"])), s["image"]) for s in json.loads(steps)
        )
        yield Trajectory(name, sample, author, written, answer, at, parent, stop, knobs(sampling), *rest)


def _critiques(folder: Path) -> Iterator[Critique]:
    names = ("trajectory_id", "critic", "score", "step_scores", "text", "sees_image", "error")
    for row in _rows(folder / "critiques.parquet", names):
        yield Critique(*row)


def _rows(path: Path, names: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    for batch in batches(path, names):
        yield from zip(*(_values(batch.column(name)) for name in names), strict=True)


def _values(column: pa.Array) -> list[Any]:
    """Python values; lists of numbers as tuples, cut out of one flat list."""
    if not pa.types.is_list(column.type):
        return list(column.to_pylist())
    ends = column.offsets.to_pylist()
    flat = column.values.to_pylist()
    return [tuple(flat[a:b]) for a, b in pairwise(ends)]
