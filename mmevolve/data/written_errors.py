"""Errors put into right solutions by a model, for data that no rule knows the errors of."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.shapes.errors import Corrupted
from mmevolve.prompts import template
from mmevolve.prompts.error_list import KINDS, Error, ErrorKind, listed
from mmevolve.protocols import VLM
from mmevolve.text import ask, split_steps, stable_seed
from mmevolve.types import Sample, Step

log = logging.getLogger(__name__)
_LONGEST = 50_000  # characters of a reply; what follows is not read


@dataclass(frozen=True)
class WrittenErrors:
    """Asks a model to put errors into each sample's right solution, and to say in JSON what it changed.

    A reply counts when it changes as many of the steps as were asked for, each to other words. One that does not is
    asked for again, `retries` times at most; a solution that still has none is given up, counted and logged. Whether
    what was written is really wrong, nobody checks: look at some.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (GPT-4o puts 1 to 5 false details into a right answer and
    numbers them). Differs: errors are tied to steps; their code asks again for ever.

    Attributes:
        model: writes the errors.
        column: the key of `meta` under which the right solution stands, one step a line.
        words: template with `{question}`, `{steps}`, `{count}` and `{kinds}`.
        kinds: that the model may choose from.
        retries: further tries.
        temperature: of the first try; later ones are drawn at 0.7 at least.
        max_tokens: longest reply.
    """

    model: VLM
    column: str = "solution"
    words: str = "insert_errors"
    kinds: tuple[ErrorKind, ...] = ("perception", "logic", "arithmetic", "hallucinated object")
    retries: Annotated[int, Range(0)] = 2
    temperature: Annotated[float, Range(0.0)] = 0.7
    max_tokens: Annotated[int, Range(1)] = 1024

    def __call__(
        self, samples: Sequence[Sample], counts: Sequence[int], seeds: Sequence[int]
    ) -> list[Corrupted | None]:
        """Each sample's solution with so many errors, fewer where it has fewer steps; None where that failed.

        Raises:
            ValueError: when a sample has no solution.
        """
        right = [self._solution(s) for s in samples]
        wanted = [min(count, len(steps)) for count, steps in zip(counts, right, strict=True)]
        made: list[Corrupted | None] = [
            None if n else Corrupted(steps, tuple(s.text for s in steps), (), _text(steps))
            for n, steps in zip(wanted, right, strict=True)
        ]
        failures = 0
        for attempt in range(self.retries + 1):
            todo = [i for i, one in enumerate(made) if one is None]
            if not todo:
                break
            drawn = self.model.generate(
                [self._chat(samples[i], right[i], wanted[i]) for i in todo], n=1,
                temperature=max(self.temperature, 0.7) if attempt else self.temperature, max_tokens=self.max_tokens,
                seeds=[stable_seed("insert", seeds[i], attempt) for i in todo],
            )  # fmt: skip
            for i, (reply,) in zip(todo, drawn, strict=True):
                made[i] = changed(reply.text, right[i], wanted[i])
                failures += made[i] is None
        if failures:
            log.warning("inserted errors: %d replies could not be used", failures)
        return made

    def _solution(self, sample: Sample) -> tuple[Step, ...]:
        lines = split_steps(str(sample.meta.get(self.column) or ""))
        if not lines:
            raise ValueError(f"sample '{sample.id}' has no solution under meta['{self.column}'] to put errors into")
        return tuple(map(Step, lines))

    def _chat(self, sample: Sample, steps: Sequence[Step], count: int) -> tuple:
        return ask(sample, template(self.words), steps=listed(steps), count=str(count), kinds=", ".join(self.kinds))


def changed(reply: str, steps: Sequence[Step], count: int) -> Corrupted | None:
    """The solution as a reply changes it; None when the reply does not do what was asked."""
    rows = _rows(reply[:_LONGEST])
    if rows is None or len(rows) != count:
        return None
    now, errors = list(steps), []
    for row in rows:
        number, kind, text = row.get("step"), row.get("kind"), row.get("text")
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(steps):
            return None
        if kind not in KINDS or not isinstance(text, str):
            return None
        words, was = " ".join(text.split()), steps[number - 1].text
        if (
            not words
            or words.casefold() == " ".join(was.split()).casefold()
            or any(e.step == number - 1 for e in errors)
        ):
            return None
        now[number - 1] = Step(words, steps[number - 1].kind)
        errors.append(Error(number - 1, kind, was, words))
    return Corrupted(
        tuple(now), tuple(s.text for s in steps), tuple(sorted(errors, key=lambda e: e.step)), _text(steps)
    )


def _rows(reply: str) -> list[Mapping[str, Any]] | None:
    """The list under `errors` of the first JSON object that has one."""
    decoder, at = json.JSONDecoder(strict=False), reply.find("{")
    for _ in range(20):  # a reply of braces alone is not searched without end
        if at < 0:
            return None
        try:
            value, _ = decoder.raw_decode(reply[at:])
        except (ValueError, RecursionError):
            value = None
        rows = value.get("errors") if isinstance(value, dict) else None
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        at = reply.find("{", at + 1)
    return None


def _text(steps: Sequence[Step]) -> str:
    return "\n".join(s.text for s in steps)
