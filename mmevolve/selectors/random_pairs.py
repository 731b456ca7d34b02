"""Pairs whose sides are drawn: the control for every ranking of pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random
from typing import ClassVar

from mmevolve.prompts import template
from mmevolve.selectors.ranked_pairs import RankedPairs
from mmevolve.text import ask, stable_seed
from mmevolve.types import Group, Preference


@dataclass(frozen=True)
class RandomPairs:
    """As many pairs of each sample as `like` makes, of the same attempts; which two, and which is chosen, is drawn.

    What training on them does is what pairs of one's own attempts do whatever is preferred; what `like` does more, its
    ranking does. No two attempts are paired twice. `margin` is the difference of the scores and may be below 0.

    Paper: none; the control that Critic-V, arXiv:2411.18203, leaves out.

    Attributes:
        like: how many pairs, and what an attempt must have to be in one. Where it finds none, none are drawn.
        seed: of the draws, with the sample's id.

    Raises:
        KeyError: when the critic of `like` said nothing about a group.
    """

    example: ClassVar[type[Preference]] = Preference
    like: RankedPairs = field(default_factory=RankedPairs)
    seed: int = 0

    def __call__(self, groups: Iterable[Group]) -> Iterator[Preference]:
        every = replace(self.like, least=0.0, most=None)
        for group in groups:
            wanted = len(list(self.like([group])))
            ranked = {text for row in every([group]) for text in (row.chosen, row.rejected)}
            distinct: dict[str, tuple[float, str]] = {}
            for t, score in zip(group.trajectories, group.scores(self.like.rank_by), strict=True):
                if score is not None and t.text in ranked:
                    distinct.setdefault(t.text, (score, t.id))
            draw = Random(stable_seed(self.seed, "pairs", group.sample.id))
            chat = ask(group.sample, template(self.like.prompt))
            for pair in draw.sample(list(combinations(distinct, 2)), wanted):
                chosen, rejected = draw.sample(pair, 2)
                (score, name), (below, _) = distinct[chosen], distinct[rejected]
                yield Preference(chat, chosen, rejected, margin=score - below, source=name)
