"""Pairs from what a review changed: a mistake that it mended, or a right answer that it broke."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.keys import describe, without_defaults
from mmevolve.prompts import template
from mmevolve.text import ask, conversation
from mmevolve.types import Group, Preference, Sample, Trajectory

log = logging.getLogger(__name__)
TYPES = {
    (True, True): "right -> right",
    (False, True): "wrong -> right",
    (True, False): "right -> wrong",
    (False, False): "wrong -> wrong",
}


@dataclass(frozen=True)
class Corrections:
    """One pair a revision that changed the verdict: the right text chosen, the wrong one rejected.

    Of the four outcomes of a review (right or wrong before, right or wrong after) only wrong -> right and right ->
    wrong make pairs. Both sides stand under the question's own prompt, so a policy trained on them gives better first
    answers; it does not learn to review, unless `teach` says so. How many revisions had each outcome is logged;
    `metrics.SelfCorrection` keeps their shares.

    Paper: He et al. 2024, "Self-Correction is More than Refinement" (SCL, SelfCorSet), arXiv:2410.04055.
    Differs: the published records keep the question without its options, though the model saw them; here the prompt has
    them. The published pairs come from the splits that are then reported; here questions in `evaluated` are refused.
    `teach: both` is ours: the same two texts stand under the conversation that the revision answered, too, so that the
    policy also learns which answers to keep and which to mend.

    Attributes:
        require: the critic that must score above 0; a side that it could not judge makes no pair.
        most: pairs a sample at most; None keeps all.
        dedup: keep one of several pairs with the same texts.
        whole: leave out pairs with a side that was cut at the token limit.
        prompt: template of the first turn.
        teach: `first` for rows under the question alone, `both` for as many again under question, answer and review.
        review: template of the review; read for `both` alone.
        evaluated: questions that results will be reported on; `loops.evolve` refuses those of its own evaluations.

    Raises:
        KeyError: when the critic said nothing about a group.
        ValueError: when a question is also evaluated, or a revision's parent is not among the sample's attempts.
    """

    example: ClassVar[type[Preference]] = Preference
    require: str = "answer"
    most: Annotated[int, Range(1)] | None = None
    dedup: bool = True
    whole: bool = True
    prompt: str = "question"
    evaluated: Sequence[Sample] = ()
    teach: Literal["first", "both"] = "first"
    review: str = "review"

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("teach", "review"))

    def __call__(self, groups: Iterable[Group]) -> Iterator[Preference]:
        counts: Counter[str] = Counter()
        for group in groups:
            if group.sample.id in self._evaluated or content(group.sample) in self._evaluated:
                raise ValueError(
                    f"sample '{group.sample.id}' is also evaluated: pairs made from it would teach the test; train on "
                    "another split"
                )
            yield from self._pairs(group, counts)
        if counts:
            log.warning("corrections: %s", ", ".join(f"{counts[name]} {name}" for name in TYPES.values()))

    @cached_property
    def _evaluated(self) -> frozenset[str]:
        return frozenset(key for s in self.evaluated for key in (s.id, content(s)))

    def _pairs(self, group: Group, counts: Counter[str]) -> Iterator[Preference]:
        by_id = {t.id: t for t in group.trajectories}
        verdicts = dict(zip(by_id, group.scores(self.require), strict=True))
        seen: list[tuple[str, str]] = []
        for after in group.trajectories:
            if after.parent is None:
                continue
            if after.parent not in by_id:
                raise ValueError(
                    f"trajectory '{after.id}' revises '{after.parent}', which is not among the {len(by_id)} attempts"
                )
            before = by_id[after.parent]
            scores = verdicts[before.id], verdicts[after.id]
            if None in scores:
                continue
            right = tuple(score > 0 for score in scores)
            counts[TYPES[right]] += 1
            if right[0] == right[1] or not self._usable(before, after):
                continue
            chosen, rejected = (after, before) if right[1] else (before, after)
            texts = (chosen.text, rejected.text)
            if (self.dedup and texts in seen) or (self.most is not None and len(seen) >= self.most):
                continue
            seen.append(texts)
            asked = template(self.prompt)
            yield Preference(ask(group.sample, asked), *texts, source=chosen.id)
            if self.teach == "both":
                chat = conversation(group.sample, asked, template(self.review), said(before, by_id))
                yield Preference(chat, *texts, source=chosen.id)

    def _usable(self, *sides: Trajectory) -> bool:
        """Whether both sides can be learned from: text, and an end that the policy wrote."""
        return all(t.text for t in sides) and not (self.whole and any(t.stop_reason == "length" for t in sides))


def said(last: Trajectory, by_id: Mapping[str, Trajectory]) -> list[str]:
    """The turns of a conversation up to an answer, oldest first."""
    turns = [last.text]
    while last.parent is not None:
        last = by_id[last.parent]
        turns.insert(0, last.text)
    return turns


def content(sample: Sample) -> str:
    """A digest of question, options and pictures, wherever the pictures lie."""
    return str(describe([Sample("", sample.question, sample.images, choices=sample.choices)]))
