"""How often the answer is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Accuracy:
    """Mean over samples of the share of attempts that a critic passes; with one greedy attempt, accuracy.

    Also gives `unparsed`, the share of attempts without an extractable answer: they count as wrong.

    Attributes:
        critic: the verifier.
        name: of the number.
    """

    critic: str = "answer"
    name: str = "accuracy"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        unparsed = [t.answer is None for g in groups for t in g.trajectories]
        return {
            self.name: mean([share_right(g, self.critic) for g in groups]),
            f"{self.name}_unparsed": mean(unparsed),
        }


@dataclass(frozen=True)
class PassAtK:
    """Chance that at least one of k attempts is right, without bias, from n >= k attempts.

    pass@k = mean over samples of 1 - C(n - c, k) / C(n, k), c the number right.
    Paper: Chen et al. 2021, arXiv:2107.03374, Eq. 1.

    Attributes:
        k: attempts allowed.
        critic: the verifier.

    Raises:
        ValueError: when a sample has fewer than k attempts.
    """

    k: Annotated[int, Range(1)] = 8
    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        chances = []
        for group in groups:
            n, c = len(group.trajectories), round(share_right(group, self.critic) * len(group.trajectories))
            if n < self.k:
                raise ValueError(f"pass@{self.k} needs {self.k} attempts, sample '{group.sample.id}' has {n}")
            chances.append(1.0 - math.comb(n - c, self.k) / math.comb(n, self.k))
        return {f"pass@{self.k}": mean(chances)}


def share_right(group: Group, critic: str) -> float:
    """Share of a sample's attempts that a critic passes; an attempt it could not judge is not passed."""
    scores = group.scores(critic)
    return sum(s is not None and s > 0 for s in scores) / max(1, len(scores))
