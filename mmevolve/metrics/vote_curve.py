"""Weighted voting among k attempts: what a critic's scores add to the majority."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from mmevolve.metrics.best_of_n import classes
from mmevolve.metrics.mean import mean
from mmevolve.text import stable_seed
from mmevolve.types import Group

EXACT = 5_000  # subsets that are all gone through
DRAWS = 2_000  # seeded draws where there are more


@dataclass(frozen=True)
class WeightedVote:
    """Expected accuracy of the answer with the most weight among k attempts, for each k; the companion of `BestOfN`.

    An attempt's weight is its score; one without a score or an answer has no vote, equal weights share the win, and a
    draw without any weight is not right. All ways to draw k of n are gone through when there are at most 5,000, else
    2,000 draws that depend on the sample's id only.

    Paper: M-STaR, arXiv:2412.17451 (PRM-weighted vote); Li et al. 2023, arXiv:2206.02336 (voting verifier).

    Attributes:
        ks: attempts to vote among.
        rank_by: the critic whose scores are the weights.
        critic: the verifier.

    Raises:
        ValueError: when a sample has fewer attempts than the largest k, or a weight is below 0.
    """

    ks: tuple[int, ...] = (1, 2, 4)
    rank_by: str = "prm"
    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        rows = [self._row(group) for group in groups]
        return {
            f"weighted_vote@{k}_{self.rank_by}": mean([by_weight(a, w, r, k, seed) for a, w, r, seed in rows])
            for k in self.ks
        }

    def _row(self, group: Group) -> tuple[list[int | None], list[float], list[bool], str]:
        n = len(group.trajectories)
        if n < max(self.ks) or min(self.ks) < 1:
            raise ValueError(f"voting with ks={self.ks} on {n} attempts (sample '{group.sample.id}'): 1 to {n} fit")
        weights = [score or 0.0 for score in group.scores(self.rank_by)]
        odd = next((w for w in weights if not w >= 0), None)
        if odd is not None:
            raise ValueError(
                f"critic '{self.rank_by}' scores {odd} on sample '{group.sample.id}': a vote weighs 0 or more"
            )
        right = [score is not None and score > 0 for score in group.scores(self.critic)]
        answers = classes([t.answer for t in group.trajectories], group.sample.choices)
        return answers, weights, right, group.sample.id


def by_weight(
    answers: Sequence[int | None], weights: Sequence[float], right: Sequence[bool], k: int, seed: object = ""
) -> float:
    """Chance that the answer with the most weight among k drawn attempts is right; answers are given as classes."""
    n = len(answers)
    if math.comb(n, k) <= EXACT:
        draws = list(itertools.combinations(range(n), k))
    else:
        seeded = Random(stable_seed(seed, "vote", k))
        draws = [tuple(sorted(seeded.sample(range(n), k))) for _ in range(DRAWS)]
    return mean([_win(draw, answers, weights, right) for draw in draws])


def _win(draw: Sequence[int], answers: Sequence[int | None], weights: Sequence[float], right: Sequence[bool]) -> float:
    tally: dict[int, float] = {}
    for i in draw:
        answer = answers[i]
        if answer is not None and weights[i] > 0:
            tally[answer] = math.fsum((tally.get(answer, 0.0), weights[i]))
    most = max(tally.values(), default=0.0)
    winners = [a for a, weight in tally.items() if weight >= most * (1 - 1e-12)]
    # A class's worth is that of its members in the draw: equal answers are judged alike.
    return mean([mean([right[i] for i in draw if answers[i] == a]) for a in winners]) if winners else 0.0
