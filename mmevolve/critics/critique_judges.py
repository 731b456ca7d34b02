"""Judges of critiques, for the second term of Critic-V's reward: by rule, and a model with a rubric."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.prompts.error_list import errors_of, parse
from mmevolve.protocols import VLM
from mmevolve.text import ask, stable_seed
from mmevolve.types import Critique, Sample, Trajectory

_GRADE = re.compile(r"(?<![\d.])(10|\d)(?:\.0)?(?!\d|\.\d|\s*-\s*\d)")


@dataclass(frozen=True)
class MendedErrors:
    """Of the inserted errors, the share at whose step the critique says exactly what should stand there, in [0, 1].

    A judge by rule: a critique that knows better is worth more than one that only points. 1 where nothing is wrong and
    nothing is listed, 0 where nothing is wrong and something is.

    Attributes:
        name: the column other parts refer to.
    """

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = True

    name: str = "mended"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for sample, t in items:
            errors, said = errors_of(sample.meta), parse(t.text, sample.meta.get("steps"))
            if errors is None or said is None:
                why = f"sample '{sample.id}' has no known errors on record" if errors is None else "it cannot be read"
                yield Critique(t.id, self.name, None, error=why)
                continue
            words: dict[int | None, list[str]] = {}
            for d in said:
                words.setdefault(d.step, []).append(_plain(d.words))
            hits = [any(_plain(e.original) in own for own in words.get(e.step, ())) for e in errors]
            yield Critique(t.id, self.name, sum(hits) / len(hits) if hits else float(not said))


@dataclass(frozen=True)
class CritiqueRubric:
    """A model's grade of a critique, 0 to 10, divided by 10: coverage, accuracy, precision and effect.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (GPT-4o as judge, 0 to 10).
    Differs: the words of the rubric; a reply without a grade is asked for again `retries` times, then has no score.

    Attributes:
        judge: the model that is asked; it is shown the inserted errors.
        name: the column other parts refer to.
        words: template with `{question}`, `{errors}` and `{critique}`.
        retries: further tries, drawn at 0.7: a greedy one would say the same.
        max_tokens: longest reply.
        seed: of the further tries.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = True

    judge: VLM
    name: str = "rubric"
    words: str = "critique_rubric"
    retries: Annotated[int, Range(0)] = 2
    max_tokens: Annotated[int, Range(1)] = 64
    seed: int = 0

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        errors = [errors_of(sample.meta) for sample, _ in items]
        known = [i for i, one in enumerate(errors) if one is not None]
        text, said = template(self.words), dict.fromkeys(known, "")
        for attempt in range(self.retries + 1):
            todo = [i for i in known if grade(said[i]) is None]
            chats = [self._chat(items[i], text, errors[i] or ()) for i in todo]
            drawn = self.judge.generate(
                chats, n=1, temperature=0.7 if attempt else 0.0, max_tokens=self.max_tokens,
                seeds=[stable_seed(self.seed, self.name, items[i][1].id, attempt) for i in todo],
            ) if todo else []  # fmt: skip
            said |= {i: reply.text for i, (reply,) in zip(todo, drawn, strict=True)}
        for i, (sample, t) in enumerate(items):
            found = grade(said.get(i, ""))
            error = None if found is not None else "the judge gives no grade from 0 to 10"
            if i not in said:
                error = f"sample '{sample.id}' has no known errors on record"
            score = None if found is None else found / 10
            yield Critique(t.id, self.name, score, text=said.get(i, ""), sees_image=bool(sample.images), error=error)

    def _chat(self, item: tuple[Sample, Trajectory], text: str, errors: Sequence) -> tuple:
        lines = "\n".join(f"- step {e.step + 1}: '{e.changed}' should be '{e.original}'" for e in errors)
        return ask(item[0], text, errors=lines or "- none", critique=item[1].text)


def grade(reply: str) -> int | None:
    """The last whole number from 0 to 10 of a reply.

    >>> grade("Coverage is good. 8/10")
    8
    """
    found = _GRADE.findall(re.sub(r"/\s*10\b", "", reply))
    return int(found[-1]) if found else None


def _plain(words: str) -> str:
    return " ".join(words.lower().removeprefix("it should be:").split())
