"""How different the attempts at one sample are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Diversity:
    """Mean over samples of distinct texts, distinct answers and distinct right texts, each as a share of the attempts.

    A falling share of distinct texts is the first sign of collapse. Attempts without an answer add no distinct answer.

    Attributes:
        critic: the verifier that says which are right.
    """

    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        texts, answers, right = [], [], []
        for group in groups:
            n = max(1, len(group.trajectories))
            passed = [s is not None and s > 0 for s in group.scores(self.critic)]
            texts.append(len({t.text for t in group.trajectories}) / n)
            answers.append(len({t.answer for t in group.trajectories if t.answer is not None}) / n)
            right.append(len({t.text for t, p in zip(group.trajectories, passed, strict=True) if p}) / n)
        return {"distinct_texts": mean(texts), "distinct_answers": mean(answers), "distinct_right_texts": mean(right)}
