"""How different the attempts at one sample are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.types import Group


@dataclass(frozen=True)
class Diversity:
    """Mean over samples of distinct texts, distinct answers and distinct right texts, each as a share of the attempts.

    A falling share of distinct texts is the first sign of collapse.

    Attributes:
        critic: the verifier that says which are right.
    """

    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        texts = answers = right = 0.0
        for group in groups:
            n = max(1, len(group.trajectories))
            passed = [s is not None and s > 0 for s in group.scores(self.critic)]
            texts += len({t.text for t in group.trajectories}) / n
            answers += len({t.answer for t in group.trajectories}) / n
            right += len({t.text for t, p in zip(group.trajectories, passed, strict=True) if p}) / n
        count = max(1, len(groups))
        return {
            "distinct_texts": texts / count,
            "distinct_answers": answers / count,
            "distinct_right_texts": right / count,
        }
