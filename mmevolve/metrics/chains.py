"""Chains of steps beside what is known of them: what the critic benchmarks are counted over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmevolve.types import Critique, Group


@dataclass(frozen=True)
class Chain:
    """One attempt's steps under a critic and under the one that knows.

    Attributes:
        said: the critic's score of each step; None where it could not judge the attempt.
        right: whether each step is right; None for a step without a label.
    """

    said: tuple[float, ...] | None
    right: tuple[bool | None, ...]

    @property
    def first_wrong(self) -> int | None:
        """Index of the first wrong step; None when no step is wrong."""
        return next((i for i, right in enumerate(self.right) if right is False), None)

    def first_below(self, threshold: float) -> int | None:
        """Index of the first step that the critic scores below a threshold, of a chain that it judged."""
        return next((i for i, score in enumerate(self.said or ()) if score < threshold), None)


def chains(groups: Sequence[Group], rank_by: str, oracle: str) -> Iterator[Chain]:
    """Attempts whose steps the oracle labels, in order; attempts that it does not label are passed over.

    A label above 0 is right, NaN is no label.

    Raises:
        KeyError: when a critic said nothing about any attempt of a sample.
        ValueError: when a critic's step scores are not one number a step.
    """
    for group in groups:
        for name in (rank_by, oracle):
            group.scores(name)  # for its complaint
        truth, said = group.by(oracle), group.by(rank_by)
        for trajectory in group.trajectories:
            labels = truth.get(trajectory.id)
            if labels is None or not labels.step_scores:
                continue
            scores = said.get(trajectory.id)
            if scores is not None and scores.step_scores:
                _check(scores, len(labels.step_scores))
            right = tuple(None if math.isnan(label) else label > 0 for label in labels.step_scores)
            yield Chain((scores.step_scores or None) if scores is not None else None, right)


def step_pairs(groups: Sequence[Group], rank_by: str, oracle: str) -> list[tuple[float, bool]]:
    """(score, is right) of every labelled step of the chains that the critic judged."""
    return [
        (score, right)
        for chain in chains(groups, rank_by, oracle)
        for score, right in zip(chain.said or (), chain.right, strict=False)
        if right is not None
    ]


def _check(critique: Critique, steps: int) -> None:
    odd = len(critique.step_scores) != steps or any(math.isnan(s) for s in critique.step_scores)
    if odd:
        raise ValueError(
            f"trajectory '{critique.trajectory_id}': step scores {critique.step_scores} by critic '{critique.critic}' "
            f"for {steps} steps, expected one number each"
        )
