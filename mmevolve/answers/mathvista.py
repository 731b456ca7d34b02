"""MathVista: from an extraction to a prediction, as the official scorer does it.

Paper: Lu et al. 2023, "MathVista: Evaluating Mathematical Reasoning of Foundation Models in Visual Contexts",
arXiv:2310.02255.
Reference code: lupantech/MathVista, evaluation/extract_answer.py and calculate_score.py.
Differs: the extraction itself is by an LLM there; `shortcut` holds only its rules. Official wart kept: on multiple
choice an empty extraction becomes the closest option, which is right for about one silent answer in five.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from mmevolve.answers.edit import distance

AnswerType = Literal["text", "integer", "float", "list"]
_BRACKETED = re.compile(r"\(([a-zA-Z])\)")
_QUOTED = re.compile(r'The answer is "(.*)"\.')
_LONGEST = 10_000  # characters whose edit distance is worked out; a longer extraction is cut


def shortcut(response: str, *, answer_type: AnswerType, choices: Sequence[str] = ()) -> str | None:
    """The extraction where no LLM is needed: an option, a bare number, or `The answer is "x".`; else None."""
    if response == "" or response in choices:
        return response
    if answer_type in ("integer", "float"):
        try:
            return str(int(response)) if answer_type == "integer" else str(float(response))
        except ValueError:
            pass
    quoted = _QUOTED.search(response)
    return quoted[1] if quoted else None


def normalise(
    extraction: str | float | None,
    *,
    answer_type: AnswerType,
    choices: Sequence[str] = (),
    precision: float | None = None,
    published: bool = False,
) -> str | None:
    """The prediction that is compared with the answer by string equality; None is wrong.

    Args:
        extraction: what was read out of the response; some files hold numbers.
        answer_type: type of the reference answer; unused where there are options.
        choices: option texts; empty for free-form questions.
        precision: decimals of a float answer.
        published: the scorer behind the published totals, which takes no decimal point for an integer; otherwise the
            one now in the repository, which cuts decimals off.
    """
    if choices:
        return _closest(str(extraction).strip(), choices)
    if extraction is None:
        return "None" if answer_type == "list" else None
    try:
        if answer_type == "integer":
            return str(int(extraction) if published else int(float(extraction)))
        if answer_type == "float":
            return None if precision is None else str(round(float(extraction), int(precision)))
    except (TypeError, ValueError, OverflowError):
        return None
    return str(extraction)


def _closest(extraction: str, choices: Sequence[str]) -> str:
    bracketed = _BRACKETED.search(extraction)
    letter = bracketed[1].upper() if bracketed else extraction
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices):
        return choices[ord(letter) - ord("A")]
    return min(choices, key=lambda choice: distance(letter[:_LONGEST], choice[:_LONGEST]))
