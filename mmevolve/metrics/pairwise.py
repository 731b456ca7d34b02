"""Pairwise accuracy: how often a reward ranks the better of two attempts higher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class PairwiseAccuracy:
    """Of all two attempts at one question of which one is better by the truth, the share ranked so (`acc`).

    A tie of the reward counts one half. A pair with an attempt that the reward does not score counts one half too:
    it cannot rank it; `unranked` is the share of these. `acc+` is the share of questions all of whose pairs are ranked
    right. Pairs of a question count together as one, so that a question with many counts no more than another. NaN
    where no question has a pair.

    Paper: Zhang et al. 2025, "MM-RLHF", arXiv:2502.10391 (ACC and ACC+ of MM-RLHF-RewardBench).
    Differs: ACC there is over pairs; here over questions first, which intervals over questions go with.

    Attributes:
        rank_by: the rewards under test.
        truth: the critic that knows which is better.
    """

    rank_by: Sequence[str] = ("reward",)
    truth: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        out: dict[str, float] = {}
        for name in self.rank_by:
            found = [own for own in (list(ranked(g, name, self.truth)) for g in groups) if own]
            out[f"pairwise_acc_{name}"] = mean([mean([0.5 if w is None else w for w in own]) for own in found])
            out[f"pairwise_acc+_{name}"] = mean([all(w == 1.0 for w in own) for own in found])
            out[f"pairwise_unranked_{name}"] = mean([mean([w is None for w in own]) for own in found])
        return out


def ranked(group: Group, rank_by: str, truth: str) -> Iterator[float | None]:
    """Of each pair of attempts that the truth tells apart: 1 ranked right, 0 wrong, 0.5 tied, None not ranked."""
    both = list(zip(group.scores(rank_by), group.scores(truth), strict=True))
    for i, (a, better) in enumerate(both):
        for b, worse in both[:i] + both[i + 1 :]:
            if better is None or worse is None or not better > worse:
                continue
            yield None if a is None or b is None else 1.0 if a > b else 0.0 if a < b else 0.5
