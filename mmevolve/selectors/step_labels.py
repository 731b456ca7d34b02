"""Labels for a step-reward model, from a critic's step scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.keys import without_defaults
from mmevolve.prompts import template
from mmevolve.text import ask, stable_seed
from mmevolve.types import Group, Labelled, Trajectory


@dataclass(frozen=True)
class StepLabels:
    """One row an attempt, one label a step.

    Paper: Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935: hard label 1 when any rollout succeeds (Eq. 2), soft
    label the share that succeed (Eq. 3).

    Attributes:
        critic: whose step scores are the labels.
        kind: `soft` keeps them, `hard` makes any score above 0 a 1, `kept` takes the share of the value so far that a
            step keeps (`share_kept`, ours): it tells a slip from a hard question.
        dedup: keep one of several attempts with the same text.
        prompt: prompt template of the rows.
        rollouts: completions behind a step's score. With it every label gets its `confidence` as the weight in the loss
            (the less sure of the two that a `kept` label divides); the last step's score is a verdict, which is sure.
        budget: labels of the round at most; whole attempts are taken in a seeded order while they fit. None for all.
        seed: of that order.

    Raises:
        KeyError: when the critic said nothing about a group.
        ValueError: when an attempt has not one score a step, a soft label is not a probability, or the budget is below
            1.
    """

    example: ClassVar[type[Labelled]] = Labelled
    critic: str = "value"
    kind: Literal["hard", "soft", "kept"] = "soft"
    dedup: bool = True
    prompt: str = "question"
    rollouts: Annotated[int, Range(1)] | None = None
    budget: Annotated[int, Range(1)] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"a label budget of {self.budget} labels no step: expected 1 or more, or none")

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("rollouts", "budget", "seed"))

    def __call__(self, groups: Iterable[Group]) -> Iterator[Labelled]:
        rows = self._rows(groups)
        return rows if self.budget is None else self._afforded(list(rows), self.budget)

    def _afforded(self, rows: list[Labelled], budget: int) -> Iterator[Labelled]:
        """The rows that the budget pays for, in their own order."""
        kept: set[int] = set()
        for i in sorted(range(len(rows)), key=lambda i: stable_seed(self.seed, "budget", rows[i].source)):
            labels = sum(not math.isnan(label) for label in rows[i].labels)
            if labels <= budget:
                budget -= labels
                kept.add(i)
        yield from (row for i, row in enumerate(rows) if i in kept)

    def _rows(self, groups: Iterable[Group]) -> Iterator[Labelled]:
        for group in groups:
            start = self._best_start(group)
            group.scores(self.critic)  # a critic that is not there is an error, not an empty round
            said = group.by(self.critic)
            seen: set[str] = set()
            for trajectory in group.trajectories:
                critique = said.get(trajectory.id)
                if critique is None or not critique.step_scores or (self.dedup and trajectory.text in seen):
                    continue
                seen.add(trajectory.text)
                labels = self._labels(trajectory, critique.step_scores)
                weights = self._weights(critique.step_scores)
                if self.kind == "kept":
                    labels = share_kept(labels, start)
                    if all(math.isnan(label) for label in labels):
                        continue
                chat = ask(group.sample, template(self.prompt))
                yield Labelled(chat, trajectory.text, labels, weights, source=trajectory.id)

    def _labels(self, trajectory: Trajectory, scores: tuple[float, ...]) -> tuple[float, ...]:
        """One label a step; NaN stays NaN, a step without a label."""
        about = f"trajectory '{trajectory.id}' (critic '{self.critic}')"
        if len(scores) != len(trajectory.steps):
            raise ValueError(f"{about}: {len(scores)} step scores for {len(trajectory.steps)} steps")
        if self.kind == "hard":
            return tuple(s if math.isnan(s) else float(s > 0) for s in scores)
        if any(s < 0 or s > 1 for s in scores):
            raise ValueError(f"{about}: {self.kind} labels {scores}, expected shares from 0 to 1; or kind: hard")
        return scores

    def _weights(self, scores: tuple[float, ...]) -> tuple[float, ...]:
        """How sure each label is; empty, which is 1, when it is not known from how many rollouts."""
        if self.rollouts is None:
            return ()
        sure = [confidence(s, self.rollouts) for s in scores[:-1]] + [1.0]  # the last is the verifier's verdict
        if self.kind == "kept":
            sure = [min(pair) for pair in zip(sure, [1.0, *sure], strict=False)]
        return tuple(sure)

    def _best_start(self, group: Group) -> float:
        """The best value that any attempt's first step has: what the question is worth before anything is said."""
        first = [c.step_scores[0] for c in group.by(self.critic).values() if c.step_scores]
        return max((value for value in first if not math.isnan(value)), default=0.0)


def share_kept(values: tuple[float, ...], start: float) -> tuple[float, ...]:
    """The share of the value so far that each step keeps: min(1, V_k / V_(k-1)), V_0 the question's best start.

    A step after which nothing is left to lose has no label: what follows a fatal slip says nothing of its own. Nor has
    one whose own value, or that of the step before, is not known.
    """
    labels = []
    before = start
    for value in values:
        labels.append(min(1.0, value / before) if before > 0 and not math.isnan(value) else math.nan)
        before = value
    return tuple(labels)


def confidence(share: float, rollouts: int) -> float:
    """How sure a value is that `rollouts` completions gave: 1 less its standard deviation in units of not knowing.

    The standard deviation of the Beta(s + 1, f + 1) posterior, s and f the completions that ended well and badly, over
    that of the uniform prior. 0 without completions or a value, 1 for ever more; ours, for want of a published one.
    """
    if math.isnan(share):
        return 0.0
    a, b = share * rollouts + 1, (1 - share) * rollouts + 1
    return 1 - math.sqrt(12 * a * b / ((a + b) ** 2 * (a + b + 1)))
