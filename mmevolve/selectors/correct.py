"""Keep what passes: the selector of rejection fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.selectors.kept import demonstration, passing
from mmevolve.types import Demonstration, Group


@dataclass(frozen=True)
class Correct:
    """Every distinct attempt that a critic passes, at most `most` a sample, in sampling order.

    Papers: Zelikman et al. 2022 (STaR), arXiv:2203.14465; Yuan et al. 2023 (RFT), arXiv:2308.01825.

    Attributes:
        require: the critic that must score above 0.
        most: rows a sample at most; None keeps all.
        dedup: keep one of several attempts with the same text.
        whole: leave out attempts that were cut at the token limit.
        prompt: prompt template of the rows.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    require: str = "answer"
    most: Annotated[int, Range(1)] | None = None
    dedup: bool = True
    whole: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        for group in groups:
            for trajectory in passing(group, self.require, dedup=self.dedup, whole=self.whole)[: self.most]:
                yield demonstration(group, trajectory, self.prompt)
