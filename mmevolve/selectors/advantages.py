"""Rewards of a group become advantages: the rows of GRPO and RLOO."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import ClassVar, Literal

from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Group, Rollout, Trajectory

log = logging.getLogger(__name__)
TINY = 1e-4  # added to a group's spread, as TRL does


@dataclass(frozen=True)
class Advantages:
    """One row an attempt: how much better its reward is than those of the sample's other attempts.

    A group whose attempts are all rewarded alike says nothing and is left out, as is one with fewer than two rewarded
    attempts; how many is logged, and `metrics.RewardSpread` keeps the share.

    Paper: `grpo`: (r - mean) / (std + 1e-4), Shao et al. 2024 (DeepSeekMath), arXiv:2402.03300, Section 4.1.2;
    `dr_grpo`: r - mean, Liu et al. 2025, arXiv:2503.20783; `rloo`: r - mean of the others, Ahmadian et al. 2024,
    arXiv:2402.14740. Dropping groups without spread: DAPO, arXiv:2503.14476, Section 3.2.
    Differs: std is the sample's (n - 1) and has 1e-4 added, as in TRL 1.16. DAPO draws more groups in place of those
    that it drops; here the round is smaller.

    Attributes:
        reward: the critic whose score is the reward; an attempt without a score is no row and counts in no mean.
        kind: how rewards become advantages.
        prompt: prompt template that the attempts were sampled with.

    Raises:
        KeyError: when the critic said nothing about a group.
        ValueError: when an attempt was sampled with another prompt, revises another, or keeps no token ids: its row
            would not be what the policy did.
    """

    example: ClassVar[type[Rollout]] = Rollout
    reward: str = "answer"
    kind: Literal["grpo", "dr_grpo", "rloo"] = "grpo"
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Rollout]:
        tied = total = 0
        for group in groups:
            if not group.trajectories:
                continue
            total += 1
            scores = zip(group.trajectories, group.scores(self.reward), strict=True)
            rewarded = [(t, score) for t, score in scores if score is not None]
            if len({score for _, score in rewarded}) < 2:
                tied += 1
                continue
            chat = ask(group.sample, template(self.prompt))
            for (t, _), advantage in zip(rewarded, advantages([s for _, s in rewarded], self.kind), strict=True):
                self._refuse(t)
                yield Rollout(chat, t.token_ids, t.logprobs, (advantage,), source=t.id)
        if tied:
            log.warning("advantages: groups whose attempts are all rewarded alike, left out: %d of %d", tied, total)

    def _refuse(self, t: Trajectory) -> None:
        if t.parent is not None:
            raise ValueError(
                f"trajectory '{t.id}' revises '{t.parent}': a rollout is an attempt at the question by itself"
            )
        check_sampled(t, self.prompt)


def check_sampled(t: Trajectory, prompt: str) -> None:
    """Refuse an attempt whose row would not be what the policy did.

    Raises:
        ValueError: when it was sampled with another prompt, or keeps no token ids with their log-probabilities.
    """
    about = f"trajectory '{t.id}'"
    used = t.sampling.get("prompt", prompt)
    if used != prompt:
        raise ValueError(f"{about} was sampled with prompt '{used}', expected '{prompt}', that of the rollouts")
    if not t.token_ids or len(t.token_ids) != len(t.logprobs):
        raise ValueError(
            f"{about} has {len(t.token_ids)} token ids and {len(t.logprobs)} log-probabilities, expected one "
            "log-probability for each sampled token: sample with a policy that gives them"
        )


def advantages(rewards: Sequence[float], kind: Literal["grpo", "dr_grpo", "rloo"]) -> list[float]:
    """Advantages of two rewards or more."""
    middle, n = fmean(rewards), len(rewards)
    if kind == "rloo":  # r - (n mean - r) / (n - 1)
        return [(reward - middle) * n / (n - 1) for reward in rewards]
    scale = stdev(rewards) + TINY if kind == "grpo" else 1.0
    return [(reward - middle) / scale for reward in rewards]
