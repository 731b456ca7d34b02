"""Keep what a reward puts above a threshold: B-STaR's selection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.selectors.kept import demonstration
from mmevolve.types import Demonstration, Group, Trajectory


@dataclass(frozen=True)
class Above:
    """Every distinct attempt whose score is above a threshold, at most `most` a sample, in sampling order.

    Paper: B-STaR, arXiv:2412.17256: r > tau with r = 1[answer] + r_prm (`critics.AnswerPlusStep`), so a tau below 0
    also keeps wrong answers whose steps look good. `schedules.Balance` sets `above`.

    Attributes:
        rank_by: the critic whose score is the reward.
        above: the threshold.
        most: rows a sample at most; None keeps all.
        dedup: keep one of several attempts with the same text.
        whole: leave out attempts that were cut at the token limit.
        prompt: prompt template of the rows.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    rank_by: str = "reward"
    above: float = 0.0
    most: Annotated[int, Range(1)] | None = None
    dedup: bool = True
    whole: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        for group in groups:
            kept: dict[str, Trajectory] = {}
            for trajectory, score in zip(group.trajectories, group.scores(self.rank_by), strict=True):
                if score is not None and score > self.above and not (self.whole and trajectory.stop_reason == "length"):
                    kept.setdefault(trajectory.text if self.dedup else trajectory.id, trajectory)
            for trajectory in list(kept.values())[: self.most]:
                yield demonstration(group, trajectory, self.prompt)
