"""A judge that first writes down what a right answer must do, and then looks for one thing at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

from mmevolve.answers import checklist, yes_no
from mmevolve.config.ranges import Range
from mmevolve.critics.look_back_calls import Calls, Draw, Prompt
from mmevolve.critics.shown import seen
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class Checklist:
    """Share of a checklist's yes-or-no questions that an attempt fulfils, in [0, 1].

    The checklist is written from the question alone, once for all attempts at it; each of its items is then put to the
    judge in a call of its own, with the attempt in sight. An item that is answered neither yes nor no counts neither
    way; an attempt has no score when the checklist is empty or none of its items could be answered. The critique's text
    has a line an item, which `samplers.ChecklistRefine` tells the policy and `metrics.ChecklistItems` counts, with the
    lines of the checklist that ask nothing.

    Paper: Cook et al. 2024, "TICKing All the Boxes: Generated Checklists Improve LLM Evaluation and Generation",
    arXiv:2410.03608 (TICK).
    Differs: no examples in the prompts, whose words are ours; an item is answered by YES or NO alone; the judge sees
    the picture.

    Attributes:
        judge: answers the items.
        writer: writes the checklists; None for the judge itself.
        name: the column other parts refer to.
        write: template of the checklist's prompt, with `{question}` and `{most}`.
        answer: template of an item's prompt, with `{attempt}` and `{item}`; it may have `{question}`.
        most: items of a checklist.
        sees_image: show the pictures to writer and judge; false where these read text alone.
        max_tokens: longest checklist.
        answer_tokens: longest answer to an item.
        temperature: 0 is greedy.
        seed: of the draws.

    Raises:
        ValueError: when a template lacks a field.
    """

    sees_outcome: ClassVar[bool] = False

    judge: VLM
    writer: VLM | None = None
    name: str = "checklist"
    write: str = "checklist_write"
    answer: str = "checklist_answer"
    most: Annotated[int, Range(1)] = 8
    sees_image: bool = True
    max_tokens: Annotated[int, Range(1)] = 512
    answer_tokens: Annotated[int, Range(1)] = 8
    temperature: Annotated[float, Range(0.0)] = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for words, field in ((self.write, "question"), (self.answer, "attempt"), (self.answer, "item")):
            if f"{{{field}}}" not in template(words):
                raise ValueError(f"prompt '{words}' of critic '{self.name}' has no field {{{field}}}")

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        whole = [(sample, t) for sample, t in items if t.steps]
        lists = self._lists({s.id: s for s, _ in whole})
        places = [(sample, t, item) for sample, t in whole for item in lists[sample.id][0]]
        prompts = [
            Prompt.of(ask(seen(s, self.sees_image), template(self.answer), attempt=t.text, item=item))
            for s, t, item in places
        ]
        replies = iter(self.calls.replies("items", self.judge, prompts, self._draw(self.answer_tokens)))
        for sample, t in items:
            if not t.steps:
                yield Critique(t.id, self.name, None, error="the attempt has no steps")
                continue
            asked, left, wrote = lists[sample.id]
            verdicts = [self._verdict(next(replies)) for _ in asked]
            known = [verdict for verdict in verdicts if verdict is not None]
            nothing = f"none of {len(asked)} items was answered by yes or no"
            if not asked:
                nothing = f"the checklist is empty: {wrote[:60]!r}"
            yield Critique(
                t.id, self.name, sum(known) / len(known) if known else None,
                text=checklist.written(asked, verdicts, left, reply="" if asked else wrote),
                sees_image=self.sees_image and bool(sample.images), error=None if known else nothing,
            )  # fmt: skip

    @cached_property
    def calls(self) -> Calls:
        """What was asked of the models since this critic was made, and what was spared."""
        return Calls()

    def _lists(self, samples: dict[str, Sample]) -> dict[str, tuple[tuple[str, ...], int, str]]:
        """Of each question its items, how many lines ask nothing, and the reply that they stand in."""
        prompts = [
            Prompt.of(ask(seen(s, self.sees_image), template(self.write), most=str(self.most)))
            for s in samples.values()
        ]
        writer = self.judge if self.writer is None else self.writer
        replies = self.calls.replies("checklists", writer, prompts, self._draw(self.max_tokens))
        found = {}
        for name, reply in zip(samples, replies, strict=True):
            asked, left = checklist.items("".join(reply), self.most)
            self.calls.unread["checklists"] += not asked
            found[name] = asked, left, "".join(reply)
        return found

    def _verdict(self, reply: tuple[str, ...]) -> bool | None:
        said = yes_no.parse(reply[0]) if reply else None
        self.calls.unread["items"] += said is None
        return None if said is None else said == "yes"

    def _draw(self, max_tokens: int) -> Draw:
        return Draw(1, self.temperature, max_tokens, self.seed)
