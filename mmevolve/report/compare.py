"""Two runs held against each other: measured points side by side, shared held-out questions, who was right where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from mmevolve.report.folder import At, RunFolder
from mmevolve.report.groups import Attempt, Worth, judged_at
from mmevolve.report.numbers import Point, ends, held_out, held_out_verdicts, main_evaluation
from mmevolve.statistics import Interval, paired_interval
from mmevolve.types import Sample

Place = tuple[str, At]


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        name: what the page calls it.
        folder: the run.
        points: its measured points.
    """

    name: str
    folder: RunFolder
    points: Sequence[Point]


@dataclass(frozen=True)
class Shared:
    """Both runs on the held-out questions that both were asked, each at one of its measured points.

    Attributes:
        evaluation: the name of the questions, the same in both.
        places: where each was measured.
        verdicts: share of right attempts by sample id, of each run; the same ids in the same order.
        left_out: questions that only one of them was asked, or that have the same id and are not the same.
    """

    evaluation: str
    places: tuple[Place, Place]
    verdicts: tuple[Mapping[str, float], Mapping[str, float]]
    left_out: int = 0

    @property
    def n(self) -> int:
        return len(self.verdicts[0])

    def difference(self) -> Interval | None:
        """Accuracy of the second less that of the first, paired by question; None of fewer than two questions."""
        first, second = (list(side.values()) for side in self.verdicts)
        return paired_interval(first, second) if self.n > 1 else None

    def apart(self) -> tuple[list[str], list[str]]:
        """Questions that only the first answered better, and those that only the second did."""
        first, second = self.verdicts
        return [k for k in first if first[k] > second[k]], [k for k in first if first[k] < second[k]]


def names_of(paths: Sequence[str]) -> list[str]:
    """Short names of run folders, with as many parents as tell them apart."""
    parts = [Path(path).resolve().parts for path in paths]
    length = next((n for n in range(1, max(map(len, parts))) if len({p[-n:] for p in parts}) == len(parts)), 0)
    return ["/".join(p[-length:]) for p in parts] if length else [str(path) for path in paths]


def rows_of(sides: Sequence[Side], name: str) -> list[tuple[str, list[float | None]]]:
    """A number of both runs at every place where one of them measured it, in order of time."""
    found = [{p.where.removesuffix(", undone"): p for p in side.points if p.number(name) is not None} for side in sides]
    places = _merged([list(points) for points in found])
    return [(where, [points[where].number(name) if where in points else None for points in found]) for where in places]


def _merged(orders: Sequence[Sequence[str]]) -> list[str]:
    """Names of both orders: those of the second alone come behind the one that they follow there."""
    merged = list(orders[0])
    for before, name in zip([None, *orders[1]], orders[1], strict=False):
        if name not in merged:
            merged.insert(merged.index(before) + 1 if before is not None else 0, name)
    return merged


def shared(sides: Sequence[Side], which: int) -> Shared | None:
    """The runs' first (0) or last standing (-1) measured points on the same held-out questions; None without such."""
    evaluation = main_evaluation(sides[0].folder)
    if not all(held_out(side.folder, evaluation) for side in sides):
        return None
    first, second = (ends(side.folder, evaluation)[which] for side in sides)
    verdicts = [held_out_verdicts(s.folder, *p, evaluation) for s, p in zip(sides, (first, second), strict=True)]
    kept = [side.folder.questions(evaluation) for side in sides]
    both = [k for k in verdicts[0] if k in verdicts[1] and same_question(*(questions.get(k) for questions in kept))]
    left = len({*verdicts[0], *verdicts[1]}) - len(both)
    return Shared(evaluation, (first, second), tuple({k: v[k] for k in both} for v in verdicts), left)  # type: ignore[arg-type]


def same_question(first: Sample | None, second: Sample | None) -> bool:
    """Whether two samples ask the same; where a run did not keep them, their id is all there is to go by."""
    if first is None or second is None:
        return True
    return _asked(first) == _asked(second)


def _asked(sample: Sample) -> tuple[object, ...]:
    """A question with its pictures by their content: the store names a picture by its SHA-256."""
    pictures = [Path(ref).stem if isinstance(ref, str) else ref for ref in sample.images]
    return (sample.question, sample.choices, sample.answer, *pictures)


def worth_comparing(sides: Sequence[Side], found: Shared, *, k: int = 10) -> list[Worth]:
    """Up to `k` questions that one run answered and the other did not: half of each kind, of every family in turn."""
    judged = [judged_at(s.folder, *p, found.evaluation) for s, p in zip(sides, found.places, strict=True)]
    samples = {**judged[1].samples, **judged[0].samples}
    chosen = [_by_family(ids, samples) for ids in found.apart()]
    of_first = min(len(chosen[0]), max(k // 2, k - len(chosen[1])))
    room = (of_first, min(len(chosen[1]), k - of_first))
    worth = []
    for i, (ids, n) in enumerate(zip(chosen, room, strict=True)):
        kind = f"{sides[i].name} is right, {sides[1 - i].name} is not"
        rule = "Held-out question that both were asked, each at its last measured point whose weights stand."
        for name in ids[:n]:
            pair = tuple(_told(side, tables.attempts[name][0]) for side, tables in zip(sides, judged, strict=True))
            worth.append(Worth(kind, rule, samples.get(name, Sample(name, "")), pair))
    return worth


def _by_family(ids: Sequence[str], samples: Mapping[str, Sample]) -> list[str]:
    families: dict[str, list[str]] = {}
    for name in ids:
        families.setdefault(str(samples[name].meta.get("family", "")) if name in samples else "", []).append(name)
    return [name for turn in zip_longest(*families.values()) for name in turn if name is not None]


def _told(side: Side, attempt: Attempt) -> Attempt:
    return replace(attempt, where=f"{side.name}, {attempt.where}")
