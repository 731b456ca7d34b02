"""Labels for a step-reward model, from a critic's step scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from mmevolve.prompts import template
from mmevolve.text import ask
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

    Raises:
        KeyError: when the critic said nothing about a group.
        ValueError: when an attempt has not one score a step, or a soft label is not a probability.
    """

    example: ClassVar[type[Labelled]] = Labelled
    critic: str = "value"
    kind: Literal["hard", "soft", "kept"] = "soft"
    dedup: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Labelled]:
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
                if self.kind == "kept":
                    labels = share_kept(labels, start)
                    if all(math.isnan(label) for label in labels):
                        continue
                yield Labelled(ask(group.sample, template(self.prompt)), trajectory.text, labels, source=trajectory.id)

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

    def _best_start(self, group: Group) -> float:
        """The best value that any attempt's first step has: what the question is worth before anything is said."""
        return max((c.step_scores[0] for c in group.by(self.critic).values() if c.step_scores), default=0.0)


def share_kept(values: tuple[float, ...], start: float) -> tuple[float, ...]:
    """The share of the value so far that each step keeps: min(1, V_k / V_(k-1)), V_0 the question's best start.

    A step after which nothing is left to lose has no label: what follows a fatal slip says nothing of its own.
    """
    labels = []
    before = start
    for value in values:
        labels.append(min(1.0, value / before) if before > 0 else math.nan)
        before = value
    return tuple(labels)
