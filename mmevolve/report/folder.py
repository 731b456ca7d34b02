"""A run folder from the outside: which loops and rounds it holds, and their tables, each read once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mmevolve.schedules.watch import undone
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Sample

At = int | str


@dataclass(frozen=True)
class RunFolder:
    """Read-only view of one run.

    Attributes:
        path: the run folder.
        loops: names of its loops, in the order they ran.
        tables: what was read so far.
        damaged: what was found wrong with tables that could not be read; they count as not there.
    """

    path: str
    loops: tuple[str, ...]
    tables: dict[tuple[str, At, str], list[Any]] = field(default_factory=dict, repr=False, compare=False)
    damaged: list[str] = field(default_factory=list, compare=False)

    def table(self, loop: str, at: At, name: str) -> list[Any]:
        """Rows of a finished table; an empty list when it was not made or is damaged."""
        key = (loop, at, name)
        if key not in self.tables:
            try:
                self.tables[key] = RunStore(self.path, loop).table(at, name)
            except StoreError as error:
                self.tables[key] = []
                self.damaged.append(str(error))
        return self.tables[key]

    def points(self, loop: str) -> list[At]:
        """`before` and the rounds that a loop has begun, in order."""
        folder = Path(self.path) / loop
        rounds = sorted(int(f.name[6:]) for f in folder.glob("round=*") if f.is_dir() and f.name[6:].isdigit())
        return ["before", *rounds] if (folder / "before").is_dir() else list(rounds)

    def undone(self, loop: str) -> tuple[int, ...]:
        """Rounds of a loop that monitors undid: what was measured after them is not of the weights that stand."""
        rounds = [at for at in self.points(loop) if isinstance(at, int) and self.has(loop, at, "monitors")]
        return undone({at: self.table(loop, at, "monitors") for at in rounds})

    def has(self, loop: str, at: At, name: str) -> bool:
        """Whether a table is finished."""
        return (RunStore(self.path, loop).round_folder(at) / f"{name}.parquet").exists()

    def count(self, loop: str, at: At, name: str) -> int:
        """Rows of a finished table, without reading them; 0 when it was not made."""
        path = RunStore(self.path, loop).round_folder(at) / f"{name}.parquet"
        try:
            return pq.read_metadata(path).num_rows if path.exists() else 0
        except (pa.ArrowException, OSError) as error:
            self.damaged.append(f"{path} is damaged ({error})")
            return 0

    def questions(self, evaluation: str) -> dict[str, Sample]:
        """An evaluation's samples by id, from the first place where they were kept; empty when they never were."""
        for loop in self.loops:
            for at in self.points(loop):
                if self.has(loop, at, f"{evaluation}_samples"):
                    return {s.id: s for s in self.table(loop, at, f"{evaluation}_samples")}
        return {}

    def text(self, name: str) -> str:
        """A text file of the run folder; empty when it is not there."""
        file = Path(self.path) / name
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file of the run folder; an empty dictionary when it is absent or cut off."""
        try:
            found = json.loads(self.text(name) or "{}")
        except json.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


def open_run(path: str, loops: Sequence[str] | None = None) -> RunFolder:
    """A run folder, its loops as given or as its own files tell."""
    return RunFolder(path, tuple(loops) if loops is not None else tuple(_loops(Path(path))))


def is_run(path: str) -> bool:
    """Whether a folder holds a run, even one that has only begun."""
    folder = Path(path)
    return folder.is_dir() and bool((folder / "recipe.yaml").is_file() or _begun(folder))


def _loops(folder: Path) -> list[str]:
    """Loop folders in the recipe's order; those that the recipe does not name come last, by name."""
    begun = _begun(folder)
    recipe = next((f for n in ("resolved.yaml", "recipe.yaml") if (f := folder / n).is_file()), None)
    named: list[str] = []
    if recipe is not None:
        try:
            tree = yaml.safe_load(recipe.read_text(encoding="utf-8", errors="replace"))
        except yaml.YAMLError:
            tree = None
        loop = tree.get("loop") if isinstance(tree, dict) else None
        calls = loop if isinstance(loop, list) else [loop]
        named = [str(call.get("name", "evolve")) for call in calls if isinstance(call, dict)]
    return [n for n in dict.fromkeys(named) if n in begun] + [n for n in begun if n not in named]


def _begun(folder: Path) -> list[str]:
    inside = sorted(f.parent.name for f in folder.glob("*/before") if f.is_dir())
    inside += sorted(f.parent.name for f in folder.glob("*/round=*") if f.is_dir())
    return list(dict.fromkeys(inside))
