"""All strictly ordered pairs of a sample's attempts by one critic's score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Group, Preference


@dataclass(frozen=True)
class RankedPairs:
    """Every pair of attempts at one sample of which one scores strictly higher; it is chosen, the other rejected.

    On critiques of one corrupted answer, scored by `critics.RuleBasedReward`, these are Critic-V's rows. `margin` is
    the difference of the scores. An attempt without a score is in no pair.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (every ordered pair with a strictly higher reward).
    Differs: of attempts with the same text only the first counts, so that no pair repeats another.

    Attributes:
        rank_by: the critic whose score ranks.
        least: pairs whose scores differ by less are left out; every strict pair has more than 0.
        most: pairs a sample at most, those with the largest differences; ties by sampling order. None keeps all.
        whole: leave out attempts that were cut at the token limit.
        prompt: prompt template of the rows.

    Raises:
        KeyError: when the critic said nothing about a group.
    """

    example: ClassVar[type[Preference]] = Preference
    rank_by: str = "rbr"
    least: Annotated[float, Range(0.0)] = 0.0
    most: Annotated[int, Range(1)] | None = None
    whole: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Preference]:
        for group in groups:
            scores = group.scores(self.rank_by)
            distinct: dict[str, tuple[float, str]] = {}
            for t, score in zip(group.trajectories, scores, strict=True):
                if score is not None and t.text and not (self.whole and t.stop_reason == "length"):
                    distinct.setdefault(t.text, (score, t.id))
            chat = ask(group.sample, template(self.prompt))
            rows = [
                Preference(chat, text, other, margin=score - below, source=name)
                for text, (score, name) in distinct.items()
                for other, (below, _) in distinct.items()
                if score > below and score - below >= self.least
            ]
            yield from rows if self.most is None else sorted(rows, key=lambda row: -row.margin)[: self.most]
