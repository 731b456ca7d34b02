"""All attempts of a run, in the order in which they were written, with critiques and the rows made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmevolve.explorer import facts
from mmevolve.explorer.facts import Facts
from mmevolve.lineage.tables import made_of
from mmevolve.report.folder import At, RunFolder
from mmevolve.report.honesty import step_critics
from mmevolve.report.numbers import accuracy_critic, verifier
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Critique, Example, Sample, Trajectory

TAIL = "trajectories.parquet"


@dataclass(frozen=True)
class Place:
    """One set of attempts: a round's own, or those of an evaluation.

    Attributes:
        name: `evolve/round=001`, or `evolve/round=001/held_out` for an evaluation; part of deep links.
        label: the same in words.
        loop: which loop.
        at: `before` or the round.
        evaluation: the evaluation's name; empty for the attempts that rows are selected from.
        verifier: the critic whose verdict counts as right or wrong.
        selector: settings of the selector that made this round's rows; empty when there is none.
    """

    name: str
    label: str
    loop: str
    at: At
    evaluation: str = ""
    verifier: str | None = None
    selector: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A training row made of an attempt: its number in the round's `examples` table, and the row."""

    number: int
    example: Example


@dataclass(frozen=True)
class Entry:
    """One attempt.

    Attributes:
        place: index of its place.
        sample: index of its sample.
        trajectory: the attempt.
        critiques: what every critic said of it, in the table's order.
        facts: what filters ask about it.
        parent: index of the attempt that it revises; -1 for none.
        rows: training rows made of it.
    """

    place: int
    sample: int
    trajectory: Trajectory
    critiques: tuple[Critique, ...]
    facts: Facts
    parent: int = -1
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Book:
    """A run as the explorer shows it.

    Attributes:
        path: the run folder.
        places: sets of attempts, in order of time.
        critics: names of all critics.
        samples: questions by index; only the id is there when a run did not keep the question.
        entries: attempts, place by place.
        groups: indices of the attempts at one sample in one place.
        damaged: tables that could not be read.
    """

    path: str
    places: tuple[Place, ...]
    critics: tuple[str, ...]
    samples: tuple[Sample, ...]
    entries: tuple[Entry, ...]
    groups: dict[tuple[int, int], list[int]]
    damaged: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The run's name."""
        return Path(self.path).resolve().name


def read_book(folder: RunFolder) -> Book:
    """Everything that a run has written so far; tables that are damaged are left out and named."""
    places: list[Place] = []
    samples: dict[str, Sample] = {}
    numbers: dict[str, int] = {}
    entries: list[Entry] = []
    critics: dict[str, None] = {}
    told = accuracy_critic(folder)
    for place in _places(folder):
        index = len(places)
        tail = f"{place.evaluation}_" if place.evaluation else ""
        critiques = folder.table(place.loop, place.at, f"{tail}critiques")
        critics.update(dict.fromkeys(c.critic for c in critiques))
        said: dict[str, list[Critique]] = {}
        for c in critiques:
            said.setdefault(c.trajectory_id, []).append(c)
        kept = folder.questions(place.evaluation) if place.evaluation else {}
        kept = kept or {s.id: s for s in folder.table(place.loop, place.at, f"{tail}samples")}
        judge, learned = verifier(critiques, told), tuple(step_critics(critiques))
        places.append(Place(**{**vars(place), "verifier": judge}))
        rows = _rows(folder, place)
        here = {}
        for t in folder.table(place.loop, place.at, f"{tail}trajectories"):
            number = numbers.setdefault(t.sample_id, len(numbers))
            samples.setdefault(t.sample_id, kept.get(t.sample_id, Sample(t.sample_id, "")))
            parent = here.get(t.parent, -1) if t.parent else -1
            mine = tuple(said.get(t.id, ()))
            before = entries[parent].facts.right if parent >= 0 else None
            found = facts.of(t, mine, judge, learned, before)
            here[t.id] = len(entries)
            entries.append(Entry(index, number, t, mine, found, parent, rows.get(t.id, ())))
        folder.tables.clear()  # what is needed of them is kept
    groups: dict[tuple[int, int], list[int]] = {}
    for i, entry in enumerate(entries):
        groups.setdefault((entry.place, entry.sample), []).append(i)
    said_of_tables = tuple(dict.fromkeys(folder.damaged))
    return Book(
        folder.path, tuple(places), tuple(critics), tuple(samples.values()), tuple(entries), groups, said_of_tables
    )


def _places(folder: RunFolder) -> list[Place]:
    """Where there are attempts; an evaluation that another loop already made is shown once."""
    found: list[Place] = []
    seen: set[str] = set()
    for loop in folder.loops:
        for at in folder.points(loop):
            store = RunStore(folder.path, loop).round_folder(at)
            names = sorted((f.name.removesuffix(TAIL).rstrip("_") for f in store.glob(f"*{TAIL}")), key=lambda n: n)
            for evaluation in names:
                path = store / (f"{evaluation}_{TAIL}" if evaluation else TAIL)
                twin = str(_key(folder, path)) if evaluation else ""
                if not evaluation or twin == "{}" or (evaluation + twin) not in seen:
                    seen.add(evaluation + twin)
                    found.append(_place(folder, loop, at, evaluation))
    return found


def _place(folder: RunFolder, loop: str, at: At, evaluation: str) -> Place:
    store = RunStore(folder.path, loop).round_folder(at)
    where = f"{loop} {f'round {at}' if isinstance(at, int) else at}"
    selector = {} if evaluation else _key(folder, store / "examples.parquet").get("selector", {})
    name = f"{loop}/{store.name}" + (f"/{evaluation}" if evaluation else "")
    label = where + (f", {evaluation.replace('_', ' ')}" if evaluation else "")
    return Place(name, label, loop, at, evaluation, selector=selector if isinstance(selector, dict) else {})


def _key(folder: RunFolder, path: Path) -> dict[str, Any]:
    try:
        return made_of(path)
    except StoreError as error:
        folder.damaged.append(str(error))
        return {}


def _rows(folder: RunFolder, place: Place) -> dict[str, tuple[Row, ...]]:
    if place.evaluation:
        return {}
    rows: dict[str, tuple[Row, ...]] = {}
    for i, example in enumerate(folder.table(place.loop, place.at, "examples")):
        rows[example.source] = (*rows.get(example.source, ()), Row(i, example))
    return rows
