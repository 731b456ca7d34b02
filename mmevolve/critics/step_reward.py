"""A trained step-reward model as a critic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory

FOLDS = {
    "min": min,
    "last": lambda scores: scores[-1],
    "mean": lambda scores: sum(scores) / len(scores),
    "product": math.prod,
}


@dataclass(frozen=True)
class StepReward:
    """Scores each step by a reward model and folds the steps to one number.

    Paper: M-STaR, arXiv:2412.17451: the reward of a response is the minimum over its steps.

    Attributes:
        model: a `StepRewardModel`.
        name: the column other parts refer to.
        fold: min, last, mean or product of the step scores.
        prompt: the prompt template under which the attempts are read.

    Raises:
        ValueError: when the model does not give one number a step.
    """

    model: Any
    name: str = "prm"
    fold: Literal["min", "last", "mean", "product"] = "min"
    prompt: str = "question"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        words = template(self.prompt)
        scores = self.model.score_steps([ask(s, words) for s, _ in items], [t.text for _, t in items])
        for (_, trajectory), steps in zip(items, scores, strict=True):
            if len(steps) != len(trajectory.steps) or any(math.isnan(s) for s in steps):
                raise ValueError(
                    f"trajectory '{trajectory.id}': step scores {steps} for {len(trajectory.steps)} steps "
                    f"(critic '{self.name}'), expected one number each"
                )
            if not steps:
                yield Critique(trajectory.id, self.name, None, sees_image=True, error="the attempt has no steps")
                continue
            yield Critique(trajectory.id, self.name, FOLDS[self.fold](steps), steps, sees_image=True)
