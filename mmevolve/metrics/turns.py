"""The algebra of two turns: every correction metric from the shares of the four outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmevolve.metrics.correction import compared
from mmevolve.metrics.mean import mean
from mmevolve.types import Group, StepKind, Trajectory

RATIOS = ("cl", "cs", "rss", "visco_gain")  # undefined where nothing was right, or wrong, at first
Outcomes = tuple[float, float, float, float]


@dataclass(frozen=True)
class Pair:
    """An attempt and what became of it.

    Attributes:
        group: its question.
        before: the first turn.
        after: the second, or the last of the chain.
        p_before: chance that the first is right; a verdict is 0 or 1.
        p_after: chance that the second is.
    """

    group: Group
    before: Trajectory
    after: Trajectory
    p_before: float
    p_after: float

    @property
    def outcomes(self) -> Outcomes:
        """Shares right both times, right then wrong, wrong then right, wrong both times."""
        a, b = self.p_before, self.p_after
        return a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)


def pairs(
    groups: Sequence[Group], critic: str, against: Literal["parent", "first"] = "first", *, graded: bool = False
) -> list[Pair]:
    """Every comparison of a first turn with a later one.

    Args:
        groups: attempts and critiques.
        critic: the verifier; what it could not judge is not right.
        against: the revision's parent, or the attempt that its chain began with.
        graded: take its scores as chances from 0 to 1 in place of verdicts; what it could not judge is left out.

    Raises:
        KeyError: when the critic said nothing about a sample's attempts.
        ValueError: when a parent is not among the attempts, or a graded score is not from 0 to 1.
    """
    made = []
    for group in groups:
        found = list(compared(group.trajectories, against))
        if not found:
            continue
        scores = dict(zip((t.id for t in group.trajectories), group.scores(critic), strict=True))
        for before, after in found:
            first, second = (_chance(scores[t.id], t, critic, graded) for t in (before, after))
            if first is not None and second is not None:
                made.append(Pair(group, before, after, first, second))
    return made


def _chance(score: float | None, trajectory: Trajectory, critic: str, graded: bool) -> float | None:
    if not graded:
        return float(score is not None and score > 0)
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"trajectory '{trajectory.id}': score {score} by '{critic}', expected a chance from 0 to 1")
    return score


def by_question(found: Sequence[Pair]) -> dict[str, Outcomes]:
    """Mean outcomes of each question, questions in order of their ids."""
    own: dict[str, list[Outcomes]] = {}
    for pair in found:
        own.setdefault(pair.group.sample.id, []).append(pair.outcomes)
    return {name: _means(own[name]) for name in sorted(own)}


def _means(rows: Sequence[Outcomes]) -> Outcomes:
    kept, broken, fixed, stuck = (mean(column) for column in zip(*rows, strict=True))
    return kept, broken, fixed, stuck


def figures(outcomes: Sequence[float]) -> dict[str, float]:
    """All metrics of mean outcomes (kept, broken, fixed, stuck); NaN what is undefined.

    With a = `acc_t1`: `acc_t2` = a CL + (1 - a) CS; `delta` = `delta_i_to_c` - `delta_c_to_i` (SCoRe);
    `delta_i_to_c` = (1 - a) CS and `delta_c_to_i` = a (1 - CL), which are SCL's types 2 and 3; `cl` = P(right after |
    right before), `cs` = P(right after | wrong before), `rss` = (acc_t2 - a^2) / (2 a (1 - a)) (Yang et al.);
    `visco_gain` = CL + CS - 1 (VISCO's correction score).
    """
    kept, broken, fixed, stuck = outcomes
    first, wrong, second = kept + broken, fixed + stuck, kept + fixed
    cl = kept / first if first > 0 else math.nan
    cs = fixed / wrong if wrong > 0 else math.nan
    both = 2 * first * wrong
    return {
        "acc_t1": first,
        "acc_t2": second,
        "delta": second - first,
        "delta_i_to_c": fixed,
        "delta_c_to_i": broken,
        "right_both": kept,
        "wrong_both": stuck,
        "cl": cl,
        "cs": cs,
        "rss": (second - first**2) / both if both > 0 else math.nan,
        "visco_gain": cl + cs - 1,
    }


def first_of_each(found: Sequence[Pair]) -> list[Pair]:
    """Of each question the first pair: one verdict a question."""
    one: dict[str, Pair] = {}
    for pair in found:
        one.setdefault(pair.group.sample.id, pair)
    return list(one.values())


def split(found: Sequence[Pair], label: Callable[[Pair], str | None]) -> Iterator[tuple[str, list[Pair]]]:
    """Pairs by label, labels in order; those without one are left out."""
    own: dict[str, list[Pair]] = {}
    for pair in found:
        name = label(pair)
        if name is not None:
            own.setdefault(name, []).append(pair)
    for name in sorted(own):
        yield name, own[name]


def first_wrong_kind(pair: Pair, critic: str, threshold: float = 0.5) -> StepKind | Literal["none"] | None:
    """Kind of the first step of the first turn that a critic scores below a threshold; None where it scored no steps.

    Raises:
        ValueError: when its step scores are not one a step.
    """
    said = pair.group.by(critic).get(pair.before.id)
    if said is None or not said.step_scores:
        return None
    if len(said.step_scores) != len(pair.before.steps):
        raise ValueError(
            f"trajectory '{pair.before.id}': {len(said.step_scores)} step scores by critic '{critic}' for "
            f"{len(pair.before.steps)} steps, expected one each"
        )
    steps = zip(pair.before.steps, said.step_scores, strict=True)
    return next((step.kind for step, score in steps if score < threshold), "none")
