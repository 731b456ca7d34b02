"""The embedded world's oracle of errors: which steps are wrong in themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.data.shapes.dataset import world_of
from mmevolve.data.shapes.oracle import judge
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class ErrorOracle:
    """Step scores 0 for a step that is wrong or no sentence of the world, and 1 for one that is right or follows.

    `Oracle` also calls a step wrong that follows from a wrong one; a critic of errors (Critic-V, VISCO) is asked for
    each mistake once, where it was made. The score is 1 where there is no error, else 0. It reads the scene.

    Attributes:
        name: the column other parts refer to.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = True

    name: str = "errors"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for sample, t in items:
            scene, program = world_of(sample)
            verdicts = judge([s.text for s in t.steps], program, scene)
            scores = tuple(float(v.status in ("right", "follows")) for v in verdicts)
            if scores:
                text = "\n".join(v.detail for v in verdicts)
                yield Critique(t.id, self.name, min(scores), scores, text, sees_image=True)
            else:
                yield Critique(t.id, self.name, None, sees_image=True, error="the attempt has no steps")
