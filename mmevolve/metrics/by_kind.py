"""A critic's reading of steps, kind by kind: what is seen, what is worked out, what is answered."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.chains import step_pairs
from mmevolve.metrics.mean import mean
from mmevolve.metrics.reward import auroc
from mmevolve.types import Critique, Group, StepKind, Trajectory

KINDS: tuple[StepKind, ...] = typing.get_args(StepKind)


@dataclass(frozen=True)
class StepAUROCByKind:
    """`StepAUROC` over the steps of one kind at a time: perception, reasoning, answer.

    `..._wrong` is the share of the kind's steps that are wrong. NaN for a kind that has no right or no wrong step.

    Attributes:
        rank_by: the critic under test.
        oracle: the critic that knows.
    """

    rank_by: str = "prm"
    oracle: str = "oracle"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for kind in KINDS:
            pairs = step_pairs([_only(group, kind) for group in groups], self.rank_by, self.oracle)
            name = f"step_auroc_{self.rank_by}_{kind}"
            numbers |= {name: auroc(pairs), f"{name}_wrong": mean([not right for _, right in pairs])}
        return numbers


def _only(group: Group, kind: StepKind) -> Group:
    """The group with the steps of one kind, and with what every critic scored them."""
    by_id = {t.id: t for t in group.trajectories}
    said = tuple(_cut(c, by_id[c.trajectory_id], kind) for c in group.critiques)
    steps = {t.id: tuple(s for s in t.steps if s.kind == kind) for t in group.trajectories}
    tried = tuple(
        Trajectory(t.id, t.sample_id, t.author, steps[t.id], t.answer, t.round, t.parent) for t in group.trajectories
    )
    return Group(group.sample, tried, said)


def _cut(said: Critique, trajectory: Trajectory, kind: StepKind) -> Critique:
    scores = zip(trajectory.steps, said.step_scores, strict=True) if said.step_scores else ()
    kept = tuple(score for step, score in scores if step.kind == kind)
    return Critique(said.trajectory_id, said.critic, said.score, kept, error=said.error)
