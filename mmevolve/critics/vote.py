"""Majority vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.answers import equal
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class Vote:
    """Share of the sample's attempts that give the same answer; an attempt without an answer scores 0.

    Answers are the same as they are for the verifier: `12` and `12.0` are one answer.

    Paper: Wang et al. 2023, self-consistency, arXiv:2203.11171.

    Attributes:
        name: the column other parts refer to.
    """

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = False

    name: str = "vote"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        votes: dict[str, Counter[str | None]] = {}
        for sample, trajectory in items:
            tally = votes.setdefault(sample.id, Counter())
            tally[_same(sample, trajectory, tally)] += 1
        for sample, trajectory in items:
            tally = votes[sample.id]
            share = 0.0 if trajectory.answer is None else tally[_same(sample, trajectory, tally)] / tally.total()
            yield Critique(trajectory.id, self.name, share)


def _same(sample: Sample, trajectory: Trajectory, answers: Iterable[str | None]) -> str | None:
    """The first of the answers that equals the trajectory's, or else its own."""
    if trajectory.answer is None:
        return None
    return next((a for a in answers if equal(a, trajectory.answer, choices=sample.choices)), trajectory.answer)
