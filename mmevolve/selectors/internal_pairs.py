"""Rows for SCIR: two attempts at a question, and the model's own verdict on them in both orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

from mmevolve.answers import judge_reply, pair_verdicts
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
    y1 once at most. Train on them with `shuffle: false` and a `batch_size` that is a multiple of 3.

    No critic is asked for the letter. With `reasons` it comes after what the judge wrote of the two in that order,
    without it at once. A judge that knows nothing at once, as a small model does, may know after its own solution.

    Paper: SCIR, arXiv:2502.08922 (preference pairs labelled by the internal rewards at each step).
    Differs: of n attempts n - 1 pairs, each with its neighbour; reasons are those of the policy that drew the attempts.

    Attributes:
        words: the judge's template, with `{question}`, `{first}` and `{second}`; `better : A` is a reply to it.
        differ: leave out pairs whose answers are the same.
        most: pairs a sample at most; None keeps all.
        whole: leave out attempts that were cut at the token limit.
        prompt: template of the question.
        reasons: the `critics.PairwiseJudge` whose replies come before the letter, with the same `words`; a pair is
            left out where one of them does not end in `better :` and a verdict. None for a letter at once.

    Raises:
        ValueError: when the judge's template lacks one of the two; for a pair that the judge did not compare.
    """

    example: ClassVar[type[Preference]] = Preference
    words: str = "judge_pair_direct"
    differ: bool = False
    most: Annotated[int, Range(1)] | None = None
    whole: bool = True
    prompt: str = "question"
    reasons: str | None = None

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
        said = self._said(group, one, other)
        if said is None:
            return
        yield Preference(ask(group.sample, template(self.prompt)), one.text, other.text, source=one.id)
        for (first, second, own), before in zip(orders(one, other), said, strict=True):
            chat = ask(group.sample, template(self.words), first=first.text, second=second.text)
            letters = (own, SECOND if own == FIRST else FIRST)
            yield Preference(chat, *letters, prefix=before, scope="step", source=one.id)

    def _said(self, group: Group, one: Trajectory, other: Trajectory) -> list[str] | None:
        """What stands before the letter in both orders; None where one reply of the judge cannot be read."""
        if self.reasons is None:
            return [BEFORE, BEFORE]
        critiques, said = group.by(self.reasons), []
        for first, second, _ in orders(one, other):
            text = critiques[first.id].text if first.id in critiques else ""
            reply = next((row.said for row in pair_verdicts.parse(text) if row.other == second.id), None)
            if reply is None:
                raise ValueError(
                    f"critic '{self.reasons}' has not compared '{first.id}' with '{second.id}': expected a "
                    "critics.PairwiseJudge among the loop's critics that compares all pairs of a question"
                )
            before = judge_reply.reasons(reply)
            if before is None:
                return None
            said.append(before)
        return said


def orders(one: Trajectory, other: Trajectory) -> tuple[tuple[Trajectory, Trajectory, str], ...]:
    """Both orders of a pair, with the letter of its first attempt."""
    return (one, other, FIRST), (other, one, SECOND)
