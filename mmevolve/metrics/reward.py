"""How good a ranking critic is at finding right answers, and how honest right answers are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class RewardPassAtK:
    """Share of samples with a right answer among the k attempts that a critic ranks highest (reward-pass@k).

    Ties by sampling order; an attempt that the critic did not rank is not among them.

    Paper: M-STaR, arXiv:2412.17451 (Reward-Pass@2).

    Attributes:
        k: best-ranked attempts looked at.
        rank_by: the ranking critic.
        critic: the verifier.
    """

    k: Annotated[int, Range(1)] = 2
    rank_by: str = "prm"
    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        hits = []
        for group in groups:
            scored = zip(group.scores(self.rank_by), group.scores(self.critic), strict=True)
            ranked = sorted(((rank, right) for rank, right in scored if rank is not None), key=lambda pair: -pair[0])
            hits.append(any(right is not None and right > 0 for _, right in ranked[: self.k]))
        return {f"reward_pass@{self.k}": mean(hits)}


@dataclass(frozen=True)
class RightAnswerWrongStep:
    """Of the attempts with a right answer, the share that the oracle does not pass: right for a wrong reason.

    NaN when no answer is right.

    Attributes:
        critic: the verifier.
        oracle: the critic that judges steps.
    """

    critic: str = "answer"
    oracle: str = "oracle"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        unsound = []
        for group in groups:
            for answer, steps in zip(group.scores(self.critic), group.scores(self.oracle), strict=True):
                if answer is not None and answer > 0:
                    unsound.append(steps is None or steps <= 0)
        return {"right_answer_wrong_step": mean(unsound)}


@dataclass(frozen=True)
class StepAUROC:
    """Chance that a critic ranks a right step above a wrong one, by the oracle; 0.5 is guessing.

    The area under the ROC curve by ranks, ties at half (Mann-Whitney). Unparsable and `follows` steps count as wrong.

    Attributes:
        rank_by: the critic under test.
        oracle: the critic that knows.
    """

    rank_by: str = "prm"
    oracle: str = "oracle"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        pairs: list[tuple[float, bool]] = []
        for group in groups:
            truth, said = group.by(self.oracle), group.by(self.rank_by)
            for t in group.trajectories:
                if said[t.id].step_scores:
                    pairs += zip(said[t.id].step_scores, (s > 0 for s in truth[t.id].step_scores), strict=True)
        return {f"step_auroc_{self.rank_by}": auroc(pairs)}


def auroc(pairs: Sequence[tuple[float, bool]]) -> float:
    """Area under the ROC curve of (score, is positive) pairs; NaN when one class is missing.

    Raises:
        ValueError: when a score is not a number, as it has no rank.
    """
    unranked = sum(math.isnan(score) for score, _ in pairs)
    if unranked:
        raise ValueError(f"{unranked} of {len(pairs)} step scores are NaN: they have no rank")
    positives = sum(good for _, good in pairs)
    negatives = len(pairs) - positives
    if not positives or not negatives:
        return float("nan")
    ordered = sorted(pairs, key=lambda p: p[0])
    total, i = 0.0, 0
    while i < len(ordered):
        j = i
        while j < len(ordered) and ordered[j][0] == ordered[i][0]:
            j += 1
        rank = (i + j + 1) / 2  # mean rank of a run of ties, ranks from 1
        total += rank * sum(good for _, good in ordered[i:j])
        i = j
    return (total - positives * (positives + 1) / 2) / (positives * negatives)
