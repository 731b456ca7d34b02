"""A run folder from the outside: which loops and rounds it holds, and their tables, each read once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmevolve.store import RunStore
from mmevolve.types import Sample

At = int | str


@dataclass(frozen=True)
class RunFolder:
    """Read-only view of one run.

    Attributes:
        path: the run folder.
        loops: names of its loops, in the order they ran.
        tables: what was read so far.
    """

    path: str
    loops: tuple[str, ...]
    tables: dict[tuple[str, At, str], list[Any]] = field(default_factory=dict, repr=False, compare=False)

    def table(self, loop: str, at: At, name: str) -> list[Any]:
        """Rows of a finished table; an empty list when it was not made."""
        key = (loop, at, name)
        if key not in self.tables:
            self.tables[key] = RunStore(self.path, loop).table(at, name)
        return self.tables[key]

    def points(self, loop: str) -> list[At]:
        """`before` and the rounds that a loop has begun, in order."""
        folder = Path(self.path) / loop
        rounds = sorted(int(f.name[6:]) for f in folder.glob("round=*") if f.is_dir() and f.name[6:].isdigit())
        return ["before", *rounds] if (folder / "before").is_dir() else list(rounds)

    def has(self, loop: str, at: At, name: str) -> bool:
        """Whether a table is finished."""
        return (RunStore(self.path, loop).round_folder(at) / f"{name}.parquet").exists()

    def samples(self, loop: str, name: str) -> dict[str, Sample]:
        """Samples of a loop by id: `samples` of every round, or an evaluation's `<name>_samples`, where they were kept."""
        return {s.id: s for at in self.points(loop) for s in self.table(loop, at, name)}

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
