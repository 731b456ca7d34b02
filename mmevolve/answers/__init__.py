"""Answer extraction and equality: our own rules here, the official ones in one module a benchmark.

Outcomes of a sample are correct, wrong, unparsed (no rule finds an answer) and error (there is no text to read).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mmevolve.answers.equal import equal
from mmevolve.answers.extract import extract

Outcome = Literal["correct", "wrong", "unparsed", "error"]

__all__ = ["Outcome", "equal", "extract", "outcome"]


def outcome(text: str | None, reference: str, *, choices: Sequence[str] = (), strict: bool = False) -> Outcome:
    """What became of one attempt, by our own extractor and equality.

    Args:
        text: the model's text; None when generation failed.
        reference: the sample's answer.
        choices: option texts.
        strict: accept only an explicit statement of the answer.
    """
    if text is None:
        return "error"
    answer = extract(text, choices=choices, strict=strict)
    if answer is None:
        return "unparsed"
    return "correct" if equal(answer, reference, choices=choices) else "wrong"
