"""Judging as a task of its own: samples that ask for a rationale and a score of an answer whose worth is known.

A judge is then a policy like any other: it samples judgments, critics score them, `loops.evolve` trains it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from random import Random
from typing import Annotated, Literal

from mmevolve.answers import equal
from mmevolve.answers.numbers import parse
from mmevolve.answers.options import to_letter
from mmevolve.config.ranges import Range
from mmevolve.data.shapes.dataset import gold as world_solution
from mmevolve.prompts import template
from mmevolve.prompts.judging import JUDGING, SOLUTION
from mmevolve.text import ask, stable_seed
from mmevolve.types import Sample

log = logging.getLogger(__name__)


def judging(
    samples: Sequence[Sample],
    *,
    low: int = 1,
    high: int = 5,
    right: Annotated[float, Range(0.0, 1.0)] = 0.5,
    wrong: Literal["any", "near"] = "any",
    words: str = "judge",
    seed: int = 0,
) -> list[Sample]:
    """Samples whose question shows a question and an answer to be judged; `answer` is the score that it deserves.

    The answer shown is the reference (`high`) or a wrong one (`low`): another option, or, without options, the answer
    of another sample that is not equal by rule. Their `meta["judging"]` holds question, answer and gold score, and the
    right solution where one is known: the embedded world's, or a column `solution`. A sample without a reference
    answer, or for which no wrong answer is found, is left out, and how many is logged.

    Paper: "Self-Rationalization Improves LLM as a Fine-grained Judge", arXiv:2410.05495 (a judge of answers on a Likert
    scale, with gold scores).
    Differs: gold scores come from reference answers, so only the ends of the scale are ever deserved.

    Args:
        samples: questions with reference answers.
        low: lowest score, that of a wrong answer.
        high: highest score, that of the right one.
        right: share of right answers, by a draw a sample.
        wrong: which answers of other samples are shown, where there are no options: `any` that is not equal, or `near`:
            of numbers one of the four nearest, of anything else no number, as a model's own errors mostly are.
        words: template of the task, with `{question}`, `{attempt}`, `{low}` and `{high}`.
        seed: another seed shows other answers.

    Raises:
        ValueError: when the template lacks the answer, the scale is none, or no sample is left.
    """
    text = template(words)
    if "{attempt}" not in text:
        raise ValueError(f"prompt '{words}' has no field {{attempt}}: the judge would not see what it judges")
    if not low < high:
        raise ValueError(f"a scale from {low} to {high}: expected low below high")
    others = sorted({s.answer for s in samples if s.answer is not None and not s.choices})
    near, numbers = wrong == "near", {other: parse(other) for other in others}
    made = []
    for sample in samples:
        draw = Random(stable_seed("judging", seed, sample.id))
        is_right = draw.random() < right
        shown = _right(sample) if is_right else _wrong(sample, _near(sample.answer, numbers) if near else others, draw)
        if shown is not None:
            made.append(_task(sample, shown, high if is_right else low, (low, high), text))
    if len(made) < len(samples):
        log.warning("judging: %d of %d samples have no answer to show", len(samples) - len(made), len(samples))
    if samples and not made:
        raise ValueError(f"none of {len(samples)} samples has a reference answer, or a wrong one to show in its place")
    return made


def _right(sample: Sample) -> str | None:
    if sample.answer is None or not sample.choices:
        return sample.answer
    letter = to_letter(sample.answer, sample.choices)
    return f"({letter}) {sample.choices[ord(letter) - ord('A')]}" if letter else sample.answer


def _wrong(sample: Sample, others: Sequence[str], draw: Random) -> str | None:
    """Another option, or another sample's answer; None where there is none that is wrong."""
    if sample.answer is None:
        return None
    if sample.choices:
        right = to_letter(sample.answer, sample.choices)
        wrong = [f"({chr(65 + i)}) {c}" for i, c in enumerate(sample.choices) if right and chr(65 + i) != right]
        return draw.choice(wrong) if wrong else None
    for _ in range(8):  # looking through all of a large set for every sample would take its square
        other = draw.choice(others)
        if not equal(other, sample.answer):
            return other
    return next((other for other in others if not equal(other, sample.answer)), None)


def _near(answer: str | None, numbers: Mapping[str, float | None]) -> list[str]:
    """Of other samples' answers those that are most easily taken for this one; all where none is like it."""
    value = parse(answer) if answer is not None else None
    alike = [other for other, number in numbers.items() if (number is None) == (value is None) and other != answer]
    if value is not None:
        far = {other: abs(number - value) for other in alike if (number := numbers[other]) is not None}
        alike = sorted((other for other in alike if far[other] > 0), key=lambda other: (far[other], other))[:4]
    return alike or list(numbers)


def _task(sample: Sample, shown: str, gold: int, scale: tuple[int, int], text: str) -> Sample:
    (message,) = ask(sample, text, attempt=shown, low=str(scale[0]), high=str(scale[1]))
    facts = {"question": sample.question, "answer": shown, "gold": gold} | _solution(sample)
    question = message["content"][-1]["text"]
    return Sample(f"judge-{sample.id}", question, sample.images, str(gold), source=sample.source, meta={JUDGING: facts})


def _solution(sample: Sample) -> dict[str, str]:
    if sample.meta.get("world") == "shapes":
        return {SOLUTION: world_solution(sample)}
    written = sample.meta.get("solution")
    return {SOLUTION: written.strip()} if isinstance(written, str) and written.strip() else {}
