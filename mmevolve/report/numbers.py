"""The numbers of a run as its tables tell them: measured points, verdicts by question, where rows went, families."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmevolve.report.folder import At, RunFolder
from mmevolve.statistics import Interval, paired_interval
from mmevolve.types import Critique, Labelled, Trajectory

HELD_OUT, SAMPLES = "held_out", "samples"
ACCURACY, LOW = "/accuracy", "/accuracy/low"
SHORT = {
    f"{HELD_OUT}{ACCURACY}": "accuracy",
    f"{SAMPLES}/accuracy": "pass@1",
    f"{SAMPLES}/pass@8": "pass@8",
    f"{SAMPLES}/right_answer_wrong_step": "right_answer_wrong_step",
}


@dataclass(frozen=True)
class Point:
    """One place where the run was measured.

    Attributes:
        loop: which loop.
        at: `before`, or the round after whose training it was measured.
        numbers: as the metrics table holds them, with the four that every recipe reports under their short names.
        undone: whether a monitor undid the round: its numbers are not of weights that stand.
    """

    loop: str
    at: At
    numbers: Mapping[str, float | None]
    undone: bool = False

    @property
    def where(self) -> str:
        """The point in words, rounds counted from 0 as the folders count them."""
        place = f"{self.loop} round {self.at}" if isinstance(self.at, int) else f"{self.loop} {self.at}"
        return f"{place}, undone" if self.undone else place

    def number(self, name: str) -> float | None:
        """A number, None when it was not measured."""
        return self.numbers.get(name)


@dataclass(frozen=True)
class Flow:
    """Where the rows of one round went.

    Attributes:
        loop: which loop.
        round: which round.
        samples: questions taken.
        attempts: trajectories written for them.
        right: attempts that the verifier passed; None without a verifier.
        kept: rows that were trained on.
        labels: whether the rows are labels that teach a reward model, not attempts that teach the policy.
    """

    loop: str
    round: int
    samples: int
    attempts: int
    right: int | None
    kept: int
    labels: bool = False


@dataclass(frozen=True)
class Family:
    """Right answers to one family of held-out questions, at the first and the last measured point."""

    name: str
    n: int
    before: float
    after: float


def points(folder: RunFolder) -> list[Point]:
    """Every measured point of the run, in order."""
    short = SHORT | {f"{main_evaluation(folder)}{ACCURACY}": "accuracy"}
    found = []
    for loop in folder.loops:
        gone = folder.undone(loop)
        for at in folder.points(loop):
            if folder.has(loop, at, "metrics"):
                row = next(iter(folder.table(loop, at, "metrics")), {})
                found.append(Point(loop, at, {short.get(k, k): finite(v) for k, v in row.items()}, at in gone))
    return found


def benchmarks(folder: RunFolder) -> list[str]:
    """Evaluations that are benchmarks, in order: they tell the ends of their accuracy beside it."""
    found: dict[str, None] = {}
    for loop, at in _places(folder):
        row = next(iter(folder.table(loop, at, "metrics")), {})
        found |= dict.fromkeys(key.removesuffix(LOW) for key in row if key.endswith(LOW) and key.count("/") == 2)
    return list(found)


def main_evaluation(folder: RunFolder) -> str:
    """The evaluation that a run's accuracy is told of: `held_out`, in a run without it the first benchmark."""
    if any(folder.has(*place, f"{HELD_OUT}_trajectories") for place in _places(folder)):
        return HELD_OUT
    return next(iter(benchmarks(folder)), HELD_OUT)


def _places(folder: RunFolder) -> list[tuple[str, At]]:
    return [(loop, at) for loop in folder.loops for at in folder.points(loop)]


def finite(value: object) -> float | None:
    """A number, or None where there is none: not measured, or not a number."""
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return value
    return None


def charted(all_points: Sequence[Point], name: str) -> list[Point]:
    """Points that have a number, without a later loop's `before` where it only repeats the point in front of it."""
    shown: list[Point] = []
    for point in all_points:
        if point.number(name) is None:
            continue
        if shown and point.at == "before" and point.number(name) == shown[-1].number(name):
            continue
        shown.append(point)
    return shown


def verifier(critiques: Sequence[Critique], told: str | None = None) -> str | None:
    """The critic that says whether the answer is right: the one that the run's accuracy is `told` by, where it spoke.

    Else `answer`, or the first that only says 0 or 1.
    """
    names = _binary(critiques)
    return told if told in names else next(iter(names), None)


def _binary(critiques: Sequence[Critique]) -> list[str]:
    """Critics that may say whether the answer is right, `answer` first, then those that only say 0 or 1."""
    names = list(dict.fromkeys(c.critic for c in critiques))
    first = ["answer"] if "answer" in names else []
    return first + [
        n for n in names if n not in first and {c.score for c in critiques if c.critic == n} <= {0.0, 1.0, None}
    ]


def accuracy_critic(folder: RunFolder, evaluation: str | None = None) -> str | None:
    """The critic that a run's accuracy is told by: at every measured point its verdicts come to the number told.

    A judge that is evaluated has several critics that say 0 or 1. None where there is no such critic.
    """
    name = main_evaluation(folder) if evaluation is None else evaluation
    fits: list[str] | None = None
    for place in held_out(folder, name):
        number = finite(next(iter(folder.table(*place, "metrics")), {}).get(f"{name}{ACCURACY}"))
        if number is None:
            continue
        tried, said = (folder.table(*place, f"{name}_{table}") for table in ("trajectories", "critiques"))
        here = [c for c in _binary(said) if _agree(verdicts(tried, said, c), number)]
        fits = here if fits is None else [c for c in fits if c in here]
    return next(iter(fits or ()), None)


def _agree(right: Mapping[str, float], number: float) -> bool:
    return bool(right) and math.isclose(sum(right.values()) / len(right), number, abs_tol=1e-9)


def verdicts(
    trajectories: Sequence[Trajectory], critiques: Sequence[Critique], told: str | None = None
) -> dict[str, float]:
    """Share of right attempts by sample id, in the order of the table; an attempt without a score is not right."""
    critic = verifier(critiques, told)
    score = {c.trajectory_id: c.score for c in critiques if c.critic == critic}
    right: dict[str, list[bool]] = {}
    for t in trajectories:
        right.setdefault(t.sample_id, []).append((score.get(t.id) or 0.0) > 0)
    return {name: sum(passed) / len(passed) for name, passed in right.items()}


def held_out(folder: RunFolder, evaluation: str | None = None) -> list[tuple[str, At]]:
    """Loop and place of every finished evaluation on the held-out questions, or on those of the one named, in order."""
    name = main_evaluation(folder) if evaluation is None else evaluation
    return [
        place
        for place in _places(folder)
        if folder.has(*place, f"{name}_trajectories") and folder.has(*place, f"{name}_critiques")
    ]


def ends(folder: RunFolder, evaluation: str | None = None) -> list[tuple[str, At]]:
    """The first measured place and the last one whose weights stand: what a gain is told between; or fewer."""
    places = [(loop, at) for loop, at in held_out(folder, evaluation) if at not in folder.undone(loop)]
    return [places[0], places[-1]] if len(places) > 1 else places


def held_out_verdicts(folder: RunFolder, loop: str, at: At, evaluation: str | None = None) -> dict[str, float]:
    """Right or wrong by held-out question at one measured point."""
    name = main_evaluation(folder) if evaluation is None else evaluation
    tried, said = (folder.table(loop, at, f"{name}_{table}") for table in ("trajectories", "critiques"))
    return verdicts(tried, said, accuracy_critic(folder, name))


def gain_of(folder: RunFolder, evaluation: str | None = None) -> Interval | None:
    """Gain in held-out accuracy between the run's ends, paired by question, with its 95 % interval.

    None when fewer than two points were measured or they share fewer than two questions.
    """
    places = ends(folder, evaluation)
    if len(places) < 2:
        return None
    before, after = (held_out_verdicts(folder, *place, evaluation) for place in places)
    both = [name for name in before if name in after]
    if len(both) < 2:
        return None
    return paired_interval([before[n] for n in both], [after[n] for n in both])


def changed(folder: RunFolder) -> tuple[int, int]:
    """Held-out questions that went from wrong to right and from right to wrong, first against last measured point."""
    places = ends(folder)
    if len(places) < 2:
        return 0, 0
    before, after = (held_out_verdicts(folder, *place) for place in places)
    both = [(before[k], after[k]) for k in before if k in after]
    return sum(b < a for b, a in both), sum(b > a for b, a in both)


def flows(folder: RunFolder) -> list[Flow]:
    """Where rows went, for every round whose training rows were chosen."""
    found, told = [], accuracy_critic(folder)
    for loop in folder.loops:
        for at in folder.points(loop):
            if isinstance(at, int) and folder.has(loop, at, "examples"):
                said = folder.table(loop, at, "critiques")
                critic = verifier(said, told)
                right = sum((c.score or 0.0) > 0 for c in said if c.critic == critic) if critic else None
                sizes = [folder.count(loop, at, name) for name in ("samples", "trajectories")]
                rows = folder.table(loop, at, "examples")
                labels = bool(rows) and isinstance(rows[0], Labelled)
                found.append(Flow(loop, at, sizes[0], sizes[1], right, len(rows), labels))
    return found


def families(folder: RunFolder) -> list[Family]:
    """Held-out accuracy by question family, first against last measured point; empty when families are not known."""
    places = ends(folder)
    if len(places) < 2:
        return []
    meta = {k: s.meta.get("family") for k, s in folder.questions(main_evaluation(folder)).items()}
    before, after = (held_out_verdicts(folder, *place) for place in places)
    names = list(dict.fromkeys(str(meta[k]) for k in before if meta.get(k) is not None))
    found = []
    for name in names:
        ids = [k for k in before if str(meta.get(k)) == name and k in after]
        if ids:
            found.append(Family(name, len(ids), *(sum(v[k] for k in ids) / len(ids) for v in (before, after))))
    return found
