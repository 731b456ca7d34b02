"""Keep a random few of what passes: the control for every ranking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.selectors.kept import demonstration, passing
from mmevolve.text import stable_seed
from mmevolve.types import Demonstration, Group


@dataclass(frozen=True)
class RandomK:
    """Of each sample's distinct passing attempts, `k` at random.

    Paper: M-STaR's Random-2 control, arXiv:2412.17451.

    Attributes:
        k: rows a sample at most.
        rank_by: a critic whose score must be above `above`; None asks no critic but the required one. Chance among
            what a reward passes keeps attempts that the reward finds right but not likely, which its top k would not.
        above: the floor for `rank_by`.
        require: the critic that must score above 0.
        dedup: keep one of several attempts with the same text.
        whole: leave out attempts that were cut at the token limit.
        prompt: prompt template of the rows.
        seed: of the choice, with the sample's id.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    k: Annotated[int, Range(1)] = 2
    require: str = "answer"
    rank_by: str | None = None
    above: float = 0.0
    dedup: bool = True
    whole: bool = True
    prompt: str = "question"
    seed: int = 0

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        for group in groups:
            kept = passing(group, self.require, dedup=self.dedup, whole=self.whole)
            if self.rank_by is not None and kept:
                said = group.by(self.rank_by)
                kept = [t for t in kept if (score := said[t.id].score) is not None and score > self.above]
            chosen = Random(stable_seed(self.seed, group.sample.id)).sample(kept, min(self.k, len(kept)))
            for trajectory in chosen:
                yield demonstration(group, trajectory, self.prompt)
