"""Labels for a step-reward model, from a critic's step scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Group, Labelled


@dataclass(frozen=True)
class StepLabels:
    """One row an attempt, one label a step.

    Paper: Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935: hard label 1 when any rollout succeeds (Eq. 2), soft label
    the share that succeed (Eq. 3).

    Attributes:
        critic: whose step scores are the labels.
        kind: `soft` keeps them, `hard` makes any score above 0 a 1.
        dedup: keep one of several attempts with the same text.
        prompt: prompt template of the rows.
    """

    example: ClassVar[type[Labelled]] = Labelled
    critic: str = "value"
    kind: Literal["hard", "soft"] = "soft"
    dedup: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Labelled]:
        for group in groups:
            said = group.by(self.critic)
            seen: set[str] = set()
            for trajectory in group.trajectories:
                critique = said.get(trajectory.id)
                if critique is None or not critique.step_scores or (self.dedup and trajectory.text in seen):
                    continue
                seen.add(trajectory.text)
                scores = critique.step_scores
                labels = tuple(float(v > 0) for v in scores) if self.kind == "hard" else scores
                yield Labelled(ask(group.sample, template(self.prompt)), trajectory.text, labels, source=trajectory.id)
