"""A generative judge that is asked a yes-or-no question about an attempt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from mmevolve.answers.yes_no import parse
from mmevolve.config.ranges import Range
from mmevolve.protocols import VLM
from mmevolve.text import ask
from mmevolve.types import Chat, Critique, Sample, Trajectory


@dataclass(frozen=True)
class YesNo:
    """How likely the judge's first token is yes rather than no, in [0, 1]; or what its reply says.

    With `odds`, score = p(yes) / (p(yes) + p(no)), p of the first token: it is always there, whatever the judge would
    have written. With `text`, its greedy reply is read: 1 for yes, 0 for no, and no score, with a reason, where the
    reply says both or neither; it is never asked twice.

    Paper: PARM, arXiv:2501.13926 (softmax over the first token, yes against no); Zhang et al. 2024, "Generative
    Verifiers", arXiv:2408.15240.
    Differs: their code asks again, without end, when the first token is neither.

    Attributes:
        judge: the model that is asked.
        name: the column other parts refer to.
        asks: what it is asked: a template with `{question}` and `{attempt}`.
        reads: the first token's odds, or the reply's text.
        yes: the word for yes; its first token counts.
        no: the word for no.
        least: probability that yes and no must have together; below it there is no score.
        max_tokens: longest reply that is read.

    Raises:
        ValueError: when the template lacks the attempt, or both words begin with the same token.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False

    judge: VLM
    name: str = "yes_no"
    asks: str = "{question}\nAn attempt:\n{attempt}\nIs the attempt right? Answer yes or no."
    reads: Literal["odds", "text"] = "odds"
    yes: str = "yes"
    no: str = "no"
    least: Annotated[float, Range(0.0, 1.0)] = 0.0
    max_tokens: Annotated[int, Range(1)] = 8

    def __post_init__(self) -> None:
        if "{attempt}" not in self.asks:
            raise ValueError(f"'asks' of critic '{self.name}' has no field {{attempt}}: the judge would not see it")

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        chats = [ask(sample, self.asks, attempt=t.text) for sample, t in items]
        read = self._odds if self.reads == "odds" else self._text
        for (sample, t), (score, text, error) in zip(items, read(chats), strict=True):
            yield Critique(t.id, self.name, score, text=text, sees_image=bool(sample.images), error=error)

    def _odds(self, chats: Sequence[Chat]) -> Iterator[tuple[float | None, str, str | None]]:
        both = self.judge.logprobs([*chats, *chats], [self.yes] * len(chats) + [self.no] * len(chats))
        for yes, no in zip(both[: len(chats)], both[len(chats) :], strict=True):
            if yes.token_ids[0] == no.token_ids[0]:
                raise ValueError(
                    f"critic '{self.name}': '{self.yes}' and '{self.no}' begin with the same token for this judge: "
                    "give other words as `yes` and `no`, or `reads: text`"
                )
            p, q = math.exp(yes.logprobs[0]), math.exp(no.logprobs[0])
            if not p + q > self.least:
                yield None, "", f"yes and no have {p + q:.2g} of the first token together, expected over {self.least:g}"
            else:
                yield p / (p + q), "", None

    def _text(self, chats: Sequence[Chat]) -> Iterator[tuple[float | None, str, str | None]]:
        for (reply,) in self.judge.generate(chats, max_tokens=self.max_tokens) if chats else ():
            said = parse(reply.text)
            error = None if said else f"the judge says neither yes nor no: {reply.text[:60]!r}"
            yield (None if said is None else float(said == "yes")), reply.text, error
