"""Samples whose `meta` holds a written solution as rows for supervised fine-tuning: M3CoT's rationales, ScienceQA's."""

from __future__ import annotations

from collections.abc import Sequence

from mmevolve.data.cells import show
from mmevolve.prompts import template
from mmevolve.text import ask, fill
from mmevolve.types import Demonstration, Sample


def worked_examples(
    samples: Sequence[Sample], column: str, *, prompt: str = "question", end: str = "Answer: {answer}"
) -> list[Demonstration]:
    """One row a sample: its question, and the solution followed by the answer.

    Args:
        samples: with the solution under `meta[column]`.
        column: `rationale` of M3CoT, `solution` of ScienceQA, `response` of MathV360K.
        prompt: prompt text.
        end: last line of the completion; empty to end with the solution.

    Raises:
        ValueError: with every sample that has no solution or no answer.
    """
    text = template(prompt)
    problems = [said for sample in samples if (said := _lacks(sample, column, end))]
    if problems:
        more = [f"and {len(problems) - 60} more"] if len(problems) > 60 else []
        raise ValueError("worked examples: " + "\n  ".join([f"{len(problems)} problems", *problems[:60], *more]))
    return [
        Demonstration(ask(sample, text), "\n".join(_lines(sample, column, end)), source=sample.id) for sample in samples
    ]


def _lines(sample: Sample, column: str, end: str) -> list[str]:
    solution = [line.rstrip() for line in sample.meta[column].strip().splitlines() if line.strip()]
    return [*solution, *([fill(end, answer=sample.answer or "")] if end else [])]


def _lacks(sample: Sample, column: str, end: str) -> str:
    found = sample.meta.get(column)
    if not isinstance(found, str) or not found.strip():
        return f"sample '{sample.id}': {column} is {show(found)}, expected a written solution"
    return f"sample '{sample.id}' has no answer" if end and sample.answer is None else ""
