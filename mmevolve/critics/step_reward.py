"""A trained step-reward model as a critic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Any, ClassVar, Literal

from mmevolve.keys import without_defaults
from mmevolve.prompts import template
from mmevolve.protocols import Critic
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory

FOLDS = {
    "min": min,
    "last": lambda scores: scores[-1],
    "mean": lambda scores: sum(scores) / len(scores),
    "product": math.prod,
}
SO_FAR = {
    "alone": lambda scores: scores,
    "min": lambda scores: tuple(accumulate(scores, min)),
    "product": lambda scores: tuple(accumulate(scores, mul)),
}


@dataclass(frozen=True)
class StepReward:
    """Scores each step by a reward model and folds the steps to one number.

    Paper: M-STaR, arXiv:2412.17451: the reward of a response is the minimum over its steps.
    Differs: `so_far`. A model whose labels are the share of the value that a step keeps says nothing of the steps
    before it; the product of the shares is then what is left of the value, as a step built on a wrong one is wrong.

    Attributes:
        model: a `StepRewardModel`.
        name: the column other parts refer to.
        fold: min, last, mean or product of the steps' own scores, as the model gives them.
        so_far: what a step score of the critique says: the step `alone`, or the least or the product (of probabilities)
            of all up to it.
        prompt: the prompt template under which the attempts are read.
        given: a verifier; an attempt that it does not pass is not read and scores 0, as in R = 1[answer right] * min
            over steps, and has no step scores. For selection only: it sees the outcome, so reward-pass@k, best-of-n
            and a controller that tunes by them would know the answer. None reads all.

    Raises:
        ValueError: when the model does not give one number a step.
    """

    sees_image: ClassVar[bool] = True

    model: Any
    name: str = "prm"
    fold: Literal["min", "last", "mean", "product"] = "min"
    so_far: Literal["alone", "min", "product"] = "alone"
    prompt: str = "question"
    given: Critic | None = None

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("so_far", "given"))

    @property
    def sees_outcome(self) -> bool:
        return self.given is not None and self.given.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        words = template(self.prompt)
        passed = [True] * len(items)
        if self.given is not None:
            passed = [c.score is not None and c.score > 0 for c in self.given(items)]
        read = [item for item, good in zip(items, passed, strict=True) if good]
        scores = iter(self.model.score_steps([ask(s, words) for s, _ in read], [t.text for _, t in read]))
        for (_, trajectory), good in zip(items, passed, strict=True):
            if not good:
                yield Critique(trajectory.id, self.name, 0.0, sees_image=True)
                continue
            steps = next(scores)
            if len(steps) != len(trajectory.steps) or any(math.isnan(s) for s in steps):
                raise ValueError(
                    f"trajectory '{trajectory.id}': step scores {steps} for {len(trajectory.steps)} steps "
                    f"(critic '{self.name}'), expected one number each"
                )
            if not steps:
                yield Critique(trajectory.id, self.name, None, sees_image=True, error="the attempt has no steps")
                continue
            shown = SO_FAR[self.so_far](steps)
            yield Critique(trajectory.id, self.name, FOLDS[self.fold](steps), shown, sees_image=True)
