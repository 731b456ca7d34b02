"""Pairs of a sample's own attempts, each side with its critique: for reward models that write before they score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.prompts.error_list import listed
from mmevolve.text import ask
from mmevolve.types import Chat, Group, Preference, Trajectory


@dataclass(frozen=True)
class CritiquePairs:
    """Every pair of attempts of which one critic scores one higher; each side is what another critic wrote of it.

    A row's `prompt` shows the question and the better attempt and asks for a critique, `chosen` is that attempt's
    critique; `rejected_prompt` and `rejected` are the same of the other. `losses.CritiqueReward` trains on them, as on
    those of `data.critique_pairs`, whose errors were put in. An attempt without a score, without a critique or without
    steps is in no pair.

    Paper: Zhang et al. 2025, "MM-RLHF", arXiv:2502.10391 (answers of models, ranked and criticised by people).
    Differs: whatever critic is named ranks and writes; of attempts with the same text only the first counts.

    Attributes:
        rank_by: the critic whose score ranks.
        critique: the critic whose words are read before the score; the reward model itself may be the one.
        words: template of the task, as the reward model is asked with.
        regions: show the boxes that steps cite.
        most: pairs a sample at most, those with the largest differences; ties by sampling order. None keeps all.

    Raises:
        KeyError: when one of the critics said nothing about a group.
        ValueError: when the template lacks the steps.
    """

    example: ClassVar[type[Preference]] = Preference
    rank_by: str = "answer"
    critique: str = "gold"
    words: str = "critique"
    regions: bool = False
    most: Annotated[int, Range(1)] | None = None

    def __post_init__(self) -> None:
        if "{steps}" not in template(self.words):
            raise ValueError(f"prompt '{self.words}' has no field {{steps}}: the critic would not see what it judges")

    def __call__(self, groups: Iterable[Group]) -> Iterator[Preference]:
        for group in groups:
            group.scores(self.critique)  # refuses a group of which this critic said nothing
            written = {name: critique.text for name, critique in group.by(self.critique).items() if critique.text}
            distinct: dict[str, tuple[float, Trajectory]] = {}
            for t, score in zip(group.trajectories, group.scores(self.rank_by), strict=True):
                if score is not None and t.steps and t.id in written:
                    distinct.setdefault(t.text, (score, t))
            rows = [
                Preference(
                    self._asked(group, good), written[good.id], written[bad.id],
                    rejected_prompt=self._asked(group, bad), margin=score - below, scope="critique", source=good.id,
                )
                for score, good in distinct.values()
                for below, bad in distinct.values()
                if score > below
            ]  # fmt: skip
            yield from rows if self.most is None else sorted(rows, key=lambda row: -row.margin)[: self.most]

    def _asked(self, group: Group, t: Trajectory) -> Chat:
        """What asks for the critique of an attempt, as `critics.Written` does."""
        steps = listed(t.steps, regions=self.regions)
        return ask(group.sample, template(self.words), steps=steps, answer=t.answer or "none")
