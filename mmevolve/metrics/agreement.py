"""Whether two critics order attempts alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Agreement:
    """`agree_...`: of pairs of attempts at one sample on which both critics have an opinion, the share ordered alike.

    `agree_decided_...` is the share of all pairs on which both have one: each scores one of the two strictly higher.
    Pairs are pooled over samples.

    Paper: SCIR, arXiv:2502.08922 (how often a model's internal rewards, as judge and by its log-ratio, prefer the same
    of two answers).

    Attributes:
        one: a critic.
        other: another critic.
    """

    one: str = "pairwise"
    other: str = "implicit"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        alike: list[bool] = []
        pairs = 0
        for group in groups:
            both = zip(group.scores(self.one), group.scores(self.other), strict=True)
            for (a, b), (c, d) in combinations(both, 2):
                pairs += 1
                if a is not None and b is not None and c is not None and d is not None and a != c and b != d:
                    alike.append((a > c) == (b > d))
        names = f"{self.one}_{self.other}"
        return {f"agree_{names}": mean(alike), f"agree_decided_{names}": len(alike) / pairs if pairs else float("nan")}
