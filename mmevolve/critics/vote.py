"""Majority vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class Vote:
    """Share of the sample's attempts that give the same answer; an attempt without an answer scores 0.

    Paper: Wang et al. 2023, self-consistency, arXiv:2203.11171.

    Attributes:
        name: the column other parts refer to.
    """

    name: str = "vote"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        votes: dict[str, Counter[str | None]] = {}
        for sample, trajectory in items:
            votes.setdefault(sample.id, Counter())[trajectory.answer] += 1
        for sample, trajectory in items:
            tally = votes[sample.id]
            share = 0.0 if trajectory.answer is None else tally[trajectory.answer] / tally.total()
            yield Critique(trajectory.id, self.name, share)
