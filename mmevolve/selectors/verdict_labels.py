"""One label an attempt, from a critic's score: the rows of KTO and of outcome reward models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Group, Labelled


@dataclass(frozen=True)
class VerdictLabels:
    """Each judged attempt with 1 when a critic passes it, else 0.

    Paper: Ethayarajh et al. 2024, "KTO", arXiv:2402.01306 (desirable and undesirable answers); Cobbe et al. 2021,
    arXiv:2110.14168 (outcome labels).

    Attributes:
        require: the critic that must score above 0; an attempt that it could not judge is no row.
        dedup: keep one of several attempts with the same text.
        whole: leave out attempts that were cut at the token limit.
        prompt: prompt template of the rows.
    """

    example: ClassVar[type[Labelled]] = Labelled
    require: str = "answer"
    dedup: bool = True
    whole: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Labelled]:
        for group in groups:
            seen: set[str] = set()
            for t, score in zip(group.trajectories, group.scores(self.require), strict=True):
                cut = self.whole and t.stop_reason == "length"
                if score is None or cut or not t.text or (self.dedup and t.text in seen):
                    continue
                seen.add(t.text)
                chat = ask(group.sample, template(self.prompt))
                yield Labelled(chat, t.text, (float(score > 0),), source=t.id)
