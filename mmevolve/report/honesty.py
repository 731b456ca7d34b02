"""Whether a critic's step scores can be believed: held against the oracle, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.report.folder import RunFolder
from mmevolve.types import Critique

ORACLE = "oracle"
PASS = 0.5


@dataclass(frozen=True)
class StepTest:
    """One critic's step scores in one round, against the oracle's.

    Attributes:
        critic: the critic under test.
        loop: which loop.
        round: which round.
        right: steps that the oracle says are right.
        wrong: all other steps.
        accepted: right steps that the critic scores at least one half.
        rejected: wrong steps that it scores less.
        bins: by tenths of the score: how many steps, and the share of them that is right.
    """

    critic: str
    loop: str
    round: int
    right: int
    wrong: int
    accepted: int
    rejected: int
    bins: tuple[tuple[int, float], ...]


def step_tests(folder: RunFolder) -> list[StepTest]:
    """Every learned critic in every round whose critiques hold the oracle's as well."""
    found = []
    for loop in folder.loops:
        for at in folder.points(loop):
            said = folder.table(loop, at, "critiques") if isinstance(at, int) else []
            truth = {c.trajectory_id: c.step_scores for c in said if c.critic == ORACLE and c.step_scores}
            for critic in step_critics(said) if truth else ():
                pairs = [
                    (score, real > 0)
                    for c in said
                    if c.critic == critic and len(c.step_scores) == len(truth.get(c.trajectory_id, ())) > 0
                    for score, real in zip(c.step_scores, truth[c.trajectory_id], strict=True)
                ]
                if pairs:
                    found.append(_test(critic, loop, int(at), pairs))
    return found


def step_critics(critiques: Sequence[Critique]) -> list[str]:
    """Critics that score steps by degrees: learned ones, as against the oracle."""
    return [
        name
        for name in dict.fromkeys(c.critic for c in critiques)
        if name != ORACLE and any(s not in (0.0, 1.0) for c in critiques if c.critic == name for s in c.step_scores)
    ]


def _test(critic: str, loop: str, round: int, pairs: Sequence[tuple[float, bool]]) -> StepTest:
    right = sum(real for _, real in pairs)
    bins = []
    for tenth in range(10):
        inside = [real for score, real in pairs if min(9, max(0, int(score * 10))) == tenth]
        bins.append((len(inside), sum(inside) / len(inside) if inside else 0.0))
    accepted = sum(real and score >= PASS for score, real in pairs)
    rejected = sum(not real and score < PASS for score, real in pairs)
    return StepTest(critic, loop, round, right, len(pairs) - right, accepted, rejected, tuple(bins))
