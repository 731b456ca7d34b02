"""The embedded world's oracle as a critic: the ceiling for every learned one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.data.shapes.dataset import world_of
from mmevolve.data.shapes.oracle import complete, judge
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class Oracle:
    """Step scores 1 for a right step and 0 for any other; 1 overall when every step is right and none was skipped.

    It reads the scene. A recipe that selects by it trains on ground truth and must say so; in metrics it only measures.

    Attributes:
        name: says that it is the oracle wherever its verdicts appear.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = True

    name: str = "oracle"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for sample, trajectory in items:
            scene, program = world_of(sample)
            verdicts = judge([s.text for s in trajectory.steps], program, scene)
            scores = tuple(float(v.status == "right") for v in verdicts)
            whole = bool(scores) and all(scores) and complete(verdicts, program)
            text = "\n".join(v.status + (f" ({v.fault}): {v.detail}" if v.fault else "") for v in verdicts)
            yield Critique(trajectory.id, self.name, float(whole), scores, text, sees_image=True)
