"""A model that gives an attempt a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from mmevolve.answers import judge_reply
from mmevolve.config.ranges import Range
from mmevolve.critics.look_back_calls import Calls, Draw, Prompt
from mmevolve.critics.shown import Items, seen
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory

NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Judge:
    """What a model that is asked to judge an attempt gives it on a stated scale, as a share of the scale, in [0, 1].

    Any VLM can judge: the policy itself, a larger one, one behind a server, one that reads text alone. Its reply is
    kept as the critique's text. A reply without a number on the scale gives no score, never the lowest: `error` says so
    and `metrics.Unscored` counts it. It is not asked again; attempts that say the same are judged once.

    Paper: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", arXiv:2306.05685 (single-answer
    grading, 1 to 10).
    Differs: the words of the prompt; the number becomes a share of the scale; the judge sees the picture.

    Attributes:
        judge: the model that is asked.
        name: the column other parts refer to.
        words: template with `{question}`, `{attempt}`, `{low}` and `{high}`.
        low: the worst number of the scale.
        high: the best.
        reads: what stands in `{attempt}`: all of it, or its final answer alone, for a judge that is to solve the
            question by itself; an attempt without an answer then has no score.
        sees_image: show the judge the pictures; false for one that reads text alone.
        temperature: 0 is greedy.
        max_tokens: longest reply.
        seed: of the draws.

    Raises:
        ValueError: when the template lacks the attempt, or the scale is none.
    """

    sees_outcome: ClassVar[bool] = False

    judge: VLM
    name: str = "judge"
    words: str = "judge"
    low: int = 1
    high: int = 10
    reads: Literal["attempt", "answer"] = "attempt"
    sees_image: bool = True
    temperature: Annotated[float, Range(0.0)] = 0.0
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if "{attempt}" not in template(self.words):
            raise ValueError(f"prompt '{self.words}' has no field {{attempt}}: critic '{self.name}' would not see it")
        if not self.low < self.high:
            raise ValueError(f"critic '{self.name}': a scale from {self.low} to {self.high}, expected low below high")

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        yield from self.judged(items)

    @cached_property
    def calls(self) -> Calls:
        """What was asked of the model since this critic was made, and what was spared."""
        return Calls()

    def judged(self, items: Items, references: Mapping[str, str] = NOTHING) -> Iterator[Critique]:
        """A critique an item; `references` are answers to compare with, by sample id.

        Raises:
            ValueError: when the template wants a reference and there is none.
        """
        refuse_unfilled(self.name, self.words, items, references)
        whole = [(sample, t) for sample, t in items if self._shown(t) is not None]
        prompts = [self._prompt(sample, t, references) for sample, t in whole]
        draw = Draw(1, self.temperature, self.max_tokens, self.seed)
        replies = iter(self.calls.replies("scores", self.judge, prompts, draw))
        for sample, t in items:
            if self._shown(t) is not None:
                yield self._read(sample, t, next(replies))
            else:
                lacks = "answer" if self.reads == "answer" else "steps"
                yield Critique(t.id, self.name, None, error=f"the attempt has no {lacks}")

    def _shown(self, t: Trajectory) -> str | None:
        """What the judge is to judge; None where there is nothing."""
        if self.reads == "answer":
            return t.answer or None
        return t.text if t.steps else None

    def _prompt(self, sample: Sample, t: Trajectory, references: Mapping[str, str]) -> Prompt:
        fields = {"reference": references.get(sample.id, ""), "low": str(self.low), "high": str(self.high)}
        return Prompt.of(
            ask(seen(sample, self.sees_image), template(self.words), attempt=self._shown(t) or "", **fields)
        )

    def _read(self, sample: Sample, t: Trajectory, reply: tuple[str, ...]) -> Critique:
        text = reply[0] if reply else ""
        number = judge_reply.score(text, self.low, self.high)
        looked = self.sees_image and bool(sample.images)
        if number is not None:
            return Critique(t.id, self.name, (number - self.low) / (self.high - self.low), text=text, sees_image=looked)
        self.calls.unread["scores"] += 1
        error = f"no number from {self.low} to {self.high} in the judge's reply: {text[-60:]!r}"
        return Critique(t.id, self.name, None, text=text, sees_image=looked, error=error if reply else "no reply")


def refuse_unfilled(name: str, words: str, items: Items, references: Mapping[str, str]) -> None:
    """A template that compares with a reference is of no use to a judge that has none.

    Raises:
        ValueError: saying where references come from.
    """
    if "{reference}" in template(words) and not all(sample.id in references for sample, _ in items):
        raise ValueError(f"prompt '{words}' has a field {{reference}}: wrap critic '{name}' in critics.SelfReference")
