"""Pairs of judgments of one answer, by four rules: Self-Rationalization."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Group, Preference

PairBy = Literal["gold", "majority", "margin", "meta"]


@dataclass(frozen=True)
class JudgmentPairs:
    """Every pair of a sample's judgments (rationale and score) of which a rule prefers one; it is chosen.

    A judgment's worth is, by rule,

    - `gold`: 1 where its score is the gold score, else 0;
    - `majority`: 1 where its score is the one most often given, else 0; where two scores are given as often, there is
      no majority and no pair;
    - `margin`: how near its score is to the gold score; pairs that differ by less than `least` are left out;
    - `meta`: what a judge of judgments scores it.

    A judgment without a score of its own, or without one by the critic that its rule needs, is in no pair.

    Paper: Trivedi et al. 2024, "Self-Rationalization Improves LLM as a Fine-grained Judge", arXiv:2410.05495 (gold
    score or not, majority score or not, a margin between scores, a meta-judge; two rounds of DPO).
    Differs: which side of a margin is chosen is read as the one nearer to the gold score; of judgments with the same
    text only the first counts.

    Attributes:
        pair_by: the rule.
        given: the critic that reads a judgment's score, `critics.GivenScore`.
        gold: the critic that says how near it is, `critics.NearGold`; for gold and margin.
        meta: the critic that judges judgments, such as `critics.Judge` with `words: judge_judgment`; for meta.
        least: least difference of worth, in [0, 1]; above 0 for margin.
        most: pairs a sample at most, those with the largest differences; ties by sampling order. None keeps all.
        whole: leave out judgments that were cut at the token limit.
        prompt: template of the rows; the sample's question is the whole task.

    Raises:
        KeyError: when a critic that the rule needs said nothing about a group.
        ValueError: for margin without a least difference.
    """

    example: ClassVar[type[Preference]] = Preference
    pair_by: PairBy = "gold"
    given: str = "given"
    gold: str = "gold"
    meta: str = "meta"
    least: Annotated[float, Range(0.0, 1.0)] = 0.0
    most: Annotated[int, Range(1)] | None = None
    whole: bool = True
    prompt: str = "question"

    def __post_init__(self) -> None:
        if self.pair_by == "margin" and not self.least > 0:
            raise ValueError("JudgmentPairs: pair_by is margin and least is 0, expected a least difference above 0")

    def __call__(self, groups: Iterable[Group]) -> Iterator[Preference]:
        for group in groups:
            distinct: dict[str, tuple[float, str]] = {}
            for t, worth in zip(group.trajectories, self._worth(group), strict=True):
                if worth is not None and t.text and not (self.whole and t.stop_reason == "length"):
                    distinct.setdefault(t.text, (worth, t.id))
            chat = ask(group.sample, template(self.prompt))
            rows = [
                Preference(chat, text, other, margin=worth - below, source=name)
                for text, (worth, name) in distinct.items()
                for other, (below, _) in distinct.items()
                if worth > below and worth - below >= self.least
            ]
            yield from rows if self.most is None else sorted(rows, key=lambda row: -row.margin)[: self.most]

    def _worth(self, group: Group) -> list[float | None]:
        """Each judgment's worth by the rule; None where it has no score, or the rule says nothing of it."""
        given = group.scores(self.given)
        if self.pair_by == "majority":
            counts = Counter(score for score in given if score is not None).most_common(2)
            if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
                return [None] * len(given)
            return [None if score is None else float(score == counts[0][0]) for score in given]
        by = group.scores(self.meta if self.pair_by == "meta" else self.gold)
        worth = [None if score is None else value for score, value in zip(given, by, strict=True)]
        if self.pair_by == "gold":
            return [None if value is None else float(value >= 1) for value in worth]
        return worth
