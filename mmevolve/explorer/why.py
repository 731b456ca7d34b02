"""Why an attempt became a training row, or did not: the selector's settings against the scores, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmevolve.explorer.book import Book, Entry, Place, Row
from mmevolve.types import Demonstration, Labelled, Preference, Rollout, Trajectory

QUIET = ("_target_", "example", "evaluated")


def reasons(book: Book, number: int) -> list[str]:
    """Sentences about one attempt's part in training, the rows first."""
    entry = book.entries[number]
    place = book.places[entry.place]
    if place.evaluation:
        return [f"Measured only: '{place.evaluation}' is an evaluation, and nothing is trained on it."]
    group = [book.entries[i] for i in book.groups[entry.place, entry.sample]]
    said = [_row(place, row) for row in entry.rows]
    chosen = _selected(place)
    if entry.rows:
        return [*said, f"{chosen}." if chosen else "The selector is not known.", *_standing(place, entry, group)]
    pairs = [e for e in group for row in e.rows if _is_rejected(row, entry.trajectory)]
    if pairs:
        return [f"The rejected side of a pair whose chosen side is {pairs[0].trajectory.id}.", f"{chosen}."]
    if not chosen:
        return ["No rows were selected from these attempts."]
    return [f"Not trained on. {chosen}.", *(_refused(place, entry, group) or _standing(place, entry, group))]


def selector_name(place: Place) -> str:
    """Class name of the selector; empty when there is none."""
    return str(place.selector.get("_target_", "")).rpartition(".")[2]


def _selected(place: Place) -> str:
    """The selector and its settings."""
    settings = ", ".join(f"{k} {_plain(v)}" for k, v in place.selector.items() if k not in QUIET and v is not None)
    name = selector_name(place)
    return f"Selected by {name}" + (f" with {settings}" if settings else "") if name else ""


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_target_", "a part")).rpartition(".")[2]
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _row(place: Place, row: Row) -> str:
    e = row.example
    what = f"Row {place.name}/{row.number}: "
    if isinstance(e, Demonstration):
        return f"{what}a demonstration, weight {e.weight:g}."
    if isinstance(e, Preference):
        return f"{what}the chosen side of a pair, margin {e.margin:g}, weight {e.weight:g}."
    if isinstance(e, Labelled):
        labels = ", ".join(f"{x:.2f}".rstrip("0").rstrip(".") for x in e.labels[:12])
        return f"{what}labels {labels}{' …' if len(e.labels) > 12 else ''}."
    assert isinstance(e, Rollout)
    return f"{what}a rollout of {len(e.token_ids)} tokens, advantages from {min(e.advantages, default=0):.2f} to " + (
        f"{max(e.advantages, default=0):.2f}."
    )


def _is_rejected(row: Row, trajectory: Trajectory) -> bool:
    return isinstance(row.example, Preference) and row.example.rejected == trajectory.text


def _score(entry: Entry, critic: str) -> float | None:
    return next((c.score for c in entry.critiques if c.critic == critic), None)


def _standing(place: Place, entry: Entry, group: Sequence[Entry]) -> list[str]:
    """Score and rank by every critic that the selector's settings name."""
    said = []
    for setting in ("require", "rank_by", "critic", "judge"):
        critic = place.selector.get(setting)
        mine = _score(entry, critic) if isinstance(critic, str) else None
        if mine is not None:
            scores = [s for e in group if (s := _score(e, str(critic))) is not None]
            rank = 1 + sum(s > mine for s in scores)
            level = sum(s == mine for s in scores)
            tie = f", level with {level - 1} more" if level > 1 else ""
            said.append(f"{critic} {mine:.2f}: place {rank} of {len(scores)}{tie}.")
    return said


def _refused(place: Place, entry: Entry, group: Sequence[Entry]) -> list[str]:
    """The first setting that an attempt does not meet."""
    s, t = place.selector, entry.trajectory
    require, rank_by, above = s.get("require"), s.get("rank_by"), s.get("above")
    if isinstance(require, str):
        score = _score(entry, require)
        if score is None:
            return [f"{require}, which is required, gave no score."]
        if not score > 0:
            return [f"{require} scored {score:g}, and more than 0 is required."]
    if s.get("whole") and t.stop_reason == "length":
        return ["It was cut off at the token limit, and only whole attempts are kept."]
    if isinstance(rank_by, str) and isinstance(above, int | float):
        score = _score(entry, rank_by)
        if score is None or not score > above:
            return [f"{rank_by} {'gave no score' if score is None else f'{score:.3f}'}: more than {above:g} is asked."]
    if s.get("dedup"):
        twin = next((e for e in group if e.rows and e is not entry and e.trajectory.text == t.text), None)
        if twin:
            return [f"It says the same as {twin.trajectory.id}, which was kept."]
    return []
