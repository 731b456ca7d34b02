"""The answer verifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.answers import equal
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class AnswerMatch:
    """1 when the extracted answer equals the reference answer by rule, else 0; an attempt without an answer is wrong.

    Attributes:
        name: the column other parts refer to.
    """

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = True

    name: str = "answer"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for sample, trajectory in items:
            if sample.answer is None:
                yield Critique(trajectory.id, self.name, None, error=f"sample '{sample.id}' has no reference answer")
                continue
            right = trajectory.answer is not None and equal(trajectory.answer, sample.answer, choices=sample.choices)
            yield Critique(trajectory.id, self.name, float(right))
