"""Keep the best-ranked of what passes: M-STaR's re-ranking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.selectors.kept import demonstration, passing
from mmevolve.types import Demonstration, Group


@dataclass(frozen=True)
class TopK:
    """Of each sample's distinct passing attempts, the `k` that a critic scores highest; ties by sampling order.

    Paper: M-STaR, arXiv:2412.17451: H(1[answer right] * R_p), Top-K (best K = 2) or a threshold on R_p.

    Attributes:
        k: rows a sample at most.
        require: the critic that must score above 0.
        rank_by: the critic whose score ranks.
        above: with a number, only attempts ranked above it (its value in the paper is not published).
        dedup: keep one of several attempts with the same text.
        whole: leave out attempts that were cut at the token limit.
        prompt: prompt template of the rows.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    k: Annotated[int, Range(1)] = 2
    require: str = "answer"
    rank_by: str = "prm"
    above: float | None = None
    dedup: bool = True
    whole: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        for group in groups:
            if not group.trajectories:
                continue
            rank = dict(zip((t.id for t in group.trajectories), group.scores(self.rank_by), strict=True))
            kept = passing(group, self.require, dedup=self.dedup, whole=self.whole)
            kept = [t for t in kept if rank[t.id] is not None and (self.above is None or rank[t.id] > self.above)]
            for trajectory in sorted(kept, key=lambda t: -rank[t.id])[: self.k]:
                yield demonstration(group, trajectory, self.prompt)
