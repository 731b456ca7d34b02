"""Whether attempts at a sample differ in reward: without that a group teaches a policy gradient nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class RewardSpread:
    """`reward_tied`: share of samples whose attempts are all rewarded alike; `reward_mean`: mean reward.

    Of the tied ones, `reward_tied_high` is the share of all samples whose attempts all pass (scored above 0): solved,
    not hopeless. Attempts without a score are left out; a sample with fewer than two scored ones counts as tied.

    Paper: DAPO, arXiv:2503.14476, Section 3.2 (dynamic sampling drops groups whose accuracy is 0 or 1).

    Attributes:
        critic: whose score is the reward.
    """

    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        rewards = [[s for s in g.scores(self.critic) if s is not None] for g in groups if g.trajectories]
        tied = [len(set(scores)) < 2 for scores in rewards]
        high = [t and bool(scores) and scores[0] > 0 for t, scores in zip(tied, rewards, strict=True)]
        return {
            "reward_mean": mean([mean(scores) for scores in rewards if scores]),
            "reward_tied": mean(tied),
            "reward_tied_high": mean(high),
        }
