"""FOBAR: a vote that also asks, of each answer, whether the question can be recovered from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar

from mmevolve.answers import equal, extract
from mmevolve.config.ranges import Range
from mmevolve.critics.look_back_calls import Calls, Draw, Prompt
from mmevolve.critics.shown import by_sample, seen
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory

_NUMBER = re.compile(r"(?<![\w.,])\d{1,15}(?:[.,]\d{1,15})*(?!\w)")


@dataclass(frozen=True)
class ForwardBackward:
    """P_f(a)^alpha P_b(a)^(1 - alpha) of the attempt's answer a: a forward and a backward vote.

    P_f(a) is the share of the sample's attempts that answer a. For the backward vote a number of the question is put
    behind X, the model is told the answer a and asked for X, `chains` times for each of at most `masks` numbers; Z(a)
    counts the replies that recover it. P_b(a) = (Z(a) + eps / |A|) / (sum of Z + eps) over the distinct answers A. An
    answer that no backward chain supports is nearly vetoed while another one is supported. A question without a number
    has P_f alone; an attempt without an answer scores 0.

    A wrong answer u that leads the vote is overruled by v exactly when
    P_f(u) / P_f(v) < (P_b(v) / P_b(u))^((1 - alpha) / alpha).

    A number that can be read off the picture is recovered whatever the answer is, and the backward vote is flat: it
    helps where the number stands in the question only. `sees_image: false` asks backward without the picture. The
    critique's text has the counts.

    Paper: Jiang et al. 2023, "Forward-Backward Reasoning in Large Language Models for Mathematical Verification",
    arXiv:2308.07758 (alpha 1/2, 10 forward and 8 backward chains, eps 1e-8).
    Differs: the attempts are the forward chains; a bound on the masked numbers; the picture; the words of the prompt.

    Attributes:
        model: the one that is asked backward; the policy itself in the paper.
        name: the column other parts refer to.
        words: template with `{question}`, in which a number is X, and `{answer}`.
        chains: M_B, backward replies for each masked number.
        masks: numbers of a question that are masked, one at a time, the first ones.
        alpha: weight of the forward vote; 1 is a plain vote, 0 the backward one alone.
        eps: of the backward vote.
        sees_image: show the picture when asking backward.
        temperature: of the backward replies.
        max_tokens: longest backward reply.
        seed: of the draws.

    Raises:
        ValueError: when the template lacks the answer, or for several chains at temperature 0.
    """

    sees_outcome: ClassVar[bool] = False

    model: VLM
    name: str = "forward_backward"
    words: str = "backward"
    chains: Annotated[int, Range(1)] = 8
    masks: Annotated[int, Range(1)] = 4
    alpha: Annotated[float, Range(0.0, 1.0)] = 0.5
    eps: Annotated[float, Range(0.0)] = 1e-8
    sees_image: bool = True
    temperature: Annotated[float, Range(0.0)] = 0.7
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if "{answer}" not in template(self.words):
            raise ValueError(f"prompt '{self.words}' has no field {{answer}}: critic '{self.name}' would not tell it")
        if not self.temperature > 0 and self.chains > 1:
            raise ValueError(
                f"critic '{self.name}': {self.chains} chains at temperature 0 are one, expected more than 0"
            )
        if not self.eps > 0:
            raise ValueError(f"critic '{self.name}': eps is {self.eps}, expected more than 0")

    @cached_property
    def calls(self) -> Calls:
        """What was asked of the model since this critic was made, and what was spared."""
        return Calls()

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        votes = {name: _votes(sample, tried) for name, (sample, tried) in by_sample(items).items()}
        by_id = {sample.id: sample for sample, _ in items}
        backward = self._backward(by_id, votes)
        for sample, t in items:
            counts, attempts = votes[sample.id]
            mine = None if t.answer is None else next(a for a in counts if _same(sample, a, t.answer))
            if mine is None:
                yield Critique(t.id, self.name, 0.0, text="no answer")
                continue
            masked = len(masked_questions(sample.question, self.masks))
            text = f"forward {counts[mine]} of {attempts}"
            score = counts[mine] / attempts
            if masked:
                shares = backward_shares(backward[sample.id], self.eps)
                score = combined(score, shares[mine], self.alpha)
                text += f", backward {backward[sample.id][mine]} of {masked * self.chains}"
            looked = self.sees_image and bool(sample.images) and masked > 0
            yield Critique(t.id, self.name, score, text=text, sees_image=looked)

    def _backward(
        self, by_id: Mapping[str, Sample], votes: Mapping[str, tuple[dict[str, int], int]]
    ) -> dict[str, dict[str, int]]:
        """Z of every answer of every sample."""
        asked: list[tuple[str, str, str]] = []
        prompts: list[Prompt] = []
        for name, (counts, _) in votes.items():
            for question, number in masked_questions(by_id[name].question, self.masks):
                for answer in counts:
                    asked.append((name, answer, number))
                    prompts.append(self._prompt(replace(by_id[name], question=question), answer))
        draw = Draw(self.chains, self.temperature, self.max_tokens, self.seed)
        found = {name: dict.fromkeys(counts, 0) for name, (counts, _) in votes.items()}
        replies = self.calls.replies("backward chains", self.model, prompts, draw) if prompts else []
        for (name, answer, number), said in zip(asked, replies, strict=True):
            stated = [extract(reply) for reply in said]
            self.calls.unread["backward chains"] += stated.count(None)
            found[name][answer] += sum(equal(x, number) for x in stated)
        return found

    def _prompt(self, sample: Sample, answer: str) -> Prompt:
        return Prompt.of(ask(seen(sample, self.sees_image), template(self.words), answer=_shown(sample, answer)))


def combined(forward: float, backward: float, alpha: float) -> float:
    """P_f^alpha P_b^(1 - alpha)."""
    return forward**alpha * backward ** (1 - alpha)


def backward_shares(counts: Mapping[str, int], eps: float) -> dict[str, float]:
    """P_b of each answer; they add up to 1."""
    total = sum(counts.values()) + eps
    return {answer: (z + eps / len(counts)) / total for answer, z in counts.items()}


def masked_questions(question: str, most: int) -> list[tuple[str, str]]:
    """The question with one of its numbers as X, and that number; for the first numbers of it.

    >>> masked_questions("3 of 12 are red. How many are not ?", 1)
    [('X of 12 are red. How many are not ?', '3')]
    """
    found = list(_NUMBER.finditer(question))[:most]
    return [(f"{question[: m.start()]}X{question[m.end() :]}", m[0]) for m in found]


def _votes(sample: Sample, tried: Sequence[Trajectory]) -> tuple[dict[str, int], int]:
    """Attempts behind each distinct answer, and attempts in all; equal answers are one, as the first has it."""
    counts: dict[str, int] = {}
    for t in tried:
        if t.answer is not None:
            known = next((a for a in counts if _same(sample, a, t.answer)), t.answer)
            counts[known] = counts.get(known, 0) + 1
    return counts, len(tried)


def _same(sample: Sample, one: str, other: str) -> bool:
    return one == other or equal(other, one, choices=sample.choices)


def _shown(sample: Sample, answer: str) -> str:
    """The answer as it is told: an option's letter with its words."""
    place = ord(answer) - ord("A") if len(answer) == 1 else -1
    return f"({answer}) {sample.choices[place]}" if 0 <= place < len(sample.choices) else answer
