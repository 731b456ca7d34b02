"""Rows for SCIR: two attempts at a question, and the model's own verdict on them in both orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Group, Preference, Trajectory

BEFORE, FIRST, SECOND = "better :", " A", " B"  # words apart: the tiny VLM of the rehearsal knows them so


@dataclass(frozen=True)
class InternalPairs:
    """Each distinct attempt beside the next one in sampling order, as three rows that `losses.SCIR` reads together.

    The first row is y1 against y2 under the question; the second the letter that would be y1's when the judge is shown
    y1, then y2, against the other one; the third the same when it is shown y2 first. Which of the two is better is not
    said here: the loss asks both rewards, as they are at that step. All three have y1's id as `source`; an attempt is
    y1 once at most. No critic is asked. Train on them with `shuffle: false` and a `batch_size` that is a multiple of 3.

    Paper: SCIR, arXiv:2502.08922 (preference pairs labelled by the internal rewards at each step).
    Differs: of n attempts n - 1 pairs, each with its neighbour; the judge gives its letter at once, without reasons.

    Attributes:
        words: the judge's template, with `{question}`, `{first}` and `{second}`; `better : A` is a reply to it.
        differ: leave out pairs whose answers are the same.
        most: pairs a sample at most; None keeps all.
        whole: leave out attempts that were cut at the token limit.
        prompt: template of the question.

    Raises:
        ValueError: when the judge's template lacks one of the two.
    """

    example: ClassVar[type[Preference]] = Preference
    words: str = "judge_pair_direct"
    differ: bool = False
    most: Annotated[int, Range(1)] | None = None
    whole: bool = True
    prompt: str = "question"

    def __post_init__(self) -> None:
        for field in ("{first}", "{second}"):
            if field not in template(self.words):
                raise ValueError(f"prompt '{self.words}' has no field {field}: the judge would not see it")

    def __call__(self, groups: Iterable[Group]) -> Iterator[Preference]:
        for group in groups:
            distinct: dict[str, Trajectory] = {}
            for t in group.trajectories:
                if t.text and not (self.whole and t.stop_reason == "length"):
                    distinct.setdefault(t.text, t)
            tried = list(distinct.values())
            pairs = [pair for pair in pairwise(tried) if self._wanted(*pair)]
            for one, other in pairs[: self.most]:
                yield from self._rows(group, one, other)

    def _wanted(self, one: Trajectory, other: Trajectory) -> bool:
        return not self.differ or one.answer != other.answer

    def _rows(self, group: Group, one: Trajectory, other: Trajectory) -> Iterator[Preference]:
        yield Preference(ask(group.sample, template(self.prompt)), one.text, other.text, source=one.id)
        for first, second, own in ((one, other, FIRST), (other, one, SECOND)):
            chat = ask(group.sample, template(self.words), first=first.text, second=second.text)
            letters = (own, SECOND if own == FIRST else FIRST)
            yield Preference(chat, *letters, prefix=BEFORE, scope="step", source=one.id)
