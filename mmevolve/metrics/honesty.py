"""Whether a reward still means what it did: its scores beside a truth that it does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.metrics.reward import auroc
from mmevolve.types import Group


@dataclass(frozen=True)
class Honesty:
    """A critic's scores against a truth that it does not see, over attempts; meant for held-out questions, each round.

    `proxy_...` is the mean score and `truth_...` the share that is true; `proxy_top_...` and `truth_top_...` are the
    same of the attempt that the critic ranks highest in each sample, ties shared. When the proxy of the favourites
    climbs from round to round and their truth does not, the policy pleases its reward and nobody else (Goodhart).
    `auroc_...` is the chance that a true attempt scores above another; 0.5 means that the reward says nothing any more.
    Attempts that one of the two did not judge are left out.

    Paper: Gao et al. 2022, "Scaling Laws for Reward Model Overoptimization", arXiv:2210.10760 (proxy and gold reward).

    Attributes:
        rank_by: the critic under test.
        truth: the critic that knows: the verifier, or the oracle, which also sees wrong steps under right answers.
    """

    rank_by: str = "prm"
    truth: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        judged = []
        for group in groups:
            both = zip(group.scores(self.rank_by), group.scores(self.truth), strict=True)
            judged.append([(p, t > 0) for p, t in both if p is not None and t is not None])
        pairs = [pair for own in judged for pair in own]
        tops = [[(p, t) for p, t in own if p == max(q for q, _ in own)] for own in judged if own]
        name = f"{self.rank_by}_{self.truth}"
        return {
            f"proxy_{name}": mean([p for p, _ in pairs]),
            f"truth_{name}": mean([t for _, t in pairs]),
            f"proxy_top_{name}": mean([own[0][0] for own in tops]),
            f"truth_top_{name}": mean([mean([t for _, t in own]) for own in tops]),
            f"auroc_{name}": auroc(pairs),
        }
