"""What a run's checkpoints rest on: rows, the checkpoint they go on from, and the models that wrote and judged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmevolve.store import RunStore

Name = tuple[str, int]
WRITES, JUDGES = ("sampler", "schedule"), ("critics", "selector")


@dataclass(frozen=True)
class Round:
    """One round of a loop, with what it rests on.

    Attributes:
        id: its number in the index.
        name: loop and round.
        rows: training rows that it selected.
        questions: how many questions they are of.
        kind: their noun.
        attempts: how many attempts it sampled.
        trained: whether it left a checkpoint.
        goes_on_from: the checkpoint whose weights its training started from; None for the base model.
        authors: checkpoints that wrote its attempts, or that its sampler or schedule asks.
        judges: checkpoints of models that its critics or its selector ask.
    """

    id: int
    name: Name
    rows: int
    questions: int
    kind: str
    attempts: int
    trained: bool
    goes_on_from: Name | None
    authors: tuple[Name, ...]
    judges: tuple[Name, ...]

    @property
    def called(self) -> str:
        """`evolve/round=001`."""
        return called(self.name)


def called(name: Name) -> str:
    """A checkpoint or round in words: `evolve/round=001`."""
    return f"{name[0]}/round={name[1]:03d}"


def checkpoint_of(author: str) -> Name | None:
    """The checkpoint that an author's version names: `model@evolve/round=001`; None for the base model."""
    loop, _, at = author.rpartition("@")[2].rpartition("/round=")
    return (loop, int(at)) if loop and at.isdigit() else None


def rounds_of(run: str, db: sqlite3.Connection) -> list[Round]:
    """All rounds in order of time."""
    loops = _loops(run)
    latest: dict[str, Name] = {}  # learner -> its last checkpoint
    homes: dict[str, Name | None] = {}  # loop -> where its learner stood when it began
    found: list[Round] = []
    lines = db.execute(
        "SELECT id, loop, round, first, last, rows, questions, kind, authors FROM rounds ORDER BY id"
    ).fetchall()
    for number, loop, at, first, last, rows, questions, kind, authors in lines:
        settings = loops.get(loop, {})
        policy, student = str(settings.get("policy", "$policy")), settings.get("student")
        learner = str(student) if student else policy
        if loop not in homes:
            homes[loop] = latest.get(policy) if student else latest.get(learner)  # a student starts from the policy
        folder = RunStore(run, loop).checkpoint(at)
        made = _made_by(folder)
        fresh = made.get("train", {}).get("carry") == "nothing"
        before = next((r.name for r in reversed(found) if r.name[0] == loop and r.trained), None)
        wrote = {c for a in json.loads(authors) if (c := checkpoint_of(a))}
        wrote |= {latest[ref] for ref in _models(loops, loop, WRITES) if ref in latest}
        asked = {latest[ref] for ref in _models(loops, loop, JUDGES) if ref in latest}
        start = homes[loop] if fresh or before is None else before
        attempts, writers, judges = last - first, tuple(sorted(wrote)), tuple(sorted(asked))
        found.append(
            Round(number, (loop, at), rows, questions, kind, attempts, folder.is_dir(), start, writers, judges)
        )
        if folder.is_dir():
            latest[learner] = (loop, at)
    return found


def below(name: Name, rounds: list[Round]) -> Iterator[Round]:
    """A checkpoint's round and those whose checkpoints it goes on from, latest first."""
    by_name = {r.name: r for r in rounds}
    at: Name | None = name
    while at is not None and at in by_name:
        yield by_name[at]
        at = by_name[at].goes_on_from


def above(name: Name, rounds: list[Round]) -> list[Name]:
    """Checkpoints that go on from a checkpoint, itself first."""
    found = [name]
    for r in rounds:
        if r.trained and r.goes_on_from in found and r.name not in found:
            found.append(r.name)
    return found


def _made_by(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "made_by.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _loops(run: str) -> dict[str, Any]:
    """The recipe's loops by name, and under the empty name its other objects."""
    for name in ("resolved.yaml", "recipe.yaml"):
        try:
            text = (Path(run) / name).read_text(encoding="utf-8")
            tree = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            continue
        if isinstance(tree, dict):
            calls = tree.get("loop")
            calls = calls if isinstance(calls, list) else [calls]
            found = {str(c.get("name", "evolve")): c for c in calls if isinstance(c, dict)}
            return {**found, "": {k: v for k, v in tree.items() if k != "loop"}}
    return {}


def _models(loops: Mapping[str, Any], loop: str, parts: tuple[str, ...]) -> set[str]:
    """Everything that some of a loop's parts refer to with `$name`, through other objects too."""
    named: set[str] = set()
    todo = [loops.get(loop, {}).get(part) for part in parts]
    while todo:
        value: Any = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
        elif isinstance(value, str) and value.startswith("$") and value not in named:
            named.add(value)
            todo.append(loops.get("", {}).get(value[1:]))
    return named
