"""What revising does to answers: fixes, breaks and their difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmevolve.metrics.mean import mean
from mmevolve.types import Group, Trajectory


@dataclass(frozen=True)
class CorrectionGain:
    """Shares of revisions that fix a wrong answer and that break a right one; the gain is their difference.

    `_gain`, `_fixed` and `_broken` are of all revisions. `_fix_rate` is the share of wrong attempts that are fixed,
    `_break_rate` of right ones that are broken, `_score` their difference: VISCO's correction score, P(right after |
    wrong before) - P(wrong after | right before), which does not depend on how many were right before. NaN where there
    are none of a kind. An attempt that the verifier could not judge is not right.

    Paper: VISCO, arXiv:2412.02172 (correction score); SCoRe, arXiv:2409.12917 (changes i->c and c->i).

    Attributes:
        critic: the verifier.
        against: each revision's parent, or, for the last revision of a chain, the attempt that the chain began with.

    Raises:
        ValueError: when a revision's parent is not among the sample's attempts.
    """

    critic: str = "answer"
    against: Literal["parent", "first"] = "parent"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        pairs = [pair for group in groups for pair in self._verdicts(group)]
        fixed = [after and not before for before, after in pairs]
        broken = [before and not after for before, after in pairs]
        fix_rate = mean([f for f, (before, _) in zip(fixed, pairs, strict=True) if not before])
        break_rate = mean([b for b, (before, _) in zip(broken, pairs, strict=True) if before])
        return {
            "correction_gain": mean(fixed) - mean(broken),
            "correction_fixed": mean(fixed),
            "correction_broken": mean(broken),
            "correction_fix_rate": fix_rate,
            "correction_break_rate": break_rate,
            "correction_score": fix_rate - break_rate,
        }

    def _verdicts(self, group: Group) -> Iterator[tuple[bool, bool]]:
        """(right before, right after) of each comparison in one sample."""
        scores = group.scores(self.critic)
        right = {t.id: s is not None and s > 0 for t, s in zip(group.trajectories, scores, strict=True)}
        for before, after in compared(group.trajectories, self.against):
            yield right[before.id], right[after.id]


def compared(
    trajectories: Sequence[Trajectory], against: Literal["parent", "first"] = "parent"
) -> Iterator[tuple[Trajectory, Trajectory]]:
    """(before, after) of every revision, or of the last revision of each chain and the attempt that began it.

    Raises:
        ValueError: when a revision's parent is not among the attempts.
    """
    by_id = {t.id: t for t in trajectories}
    for t in trajectories:
        if t.parent is not None and t.parent not in by_id:
            raise ValueError(f"trajectory '{t.id}' revises '{t.parent}', which is not among the {len(by_id)} attempts")
    revised = {t.parent for t in trajectories}
    for t in trajectories:
        if t.parent is None or (against == "first" and t.id in revised):
            continue
        before = by_id[t.parent]
        while against == "first" and before.parent is not None:
            before = by_id[before.parent]
        yield before, t
