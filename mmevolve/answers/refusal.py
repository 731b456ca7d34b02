"""Whether a response declines to answer."""

from __future__ import annotations

import re

_WINDOW = 2_000  # characters read at either end
_DECLINES = re.compile(
    r"\b(?:i['’]?m (?:really )?sorry|i am sorry|i apologi[sz]e|as an ai|unable to|please provide|"
    r"(?:i|we) (?:can['’]?t|cannot|can not|could not|couldn['’]t|am unable|do not have|don['’]t have)|"
    r"(?:is|are|it['’]s) (?:not possible|impossible)|"
    r"cannot (?:be )?(?:determine|answer|provide|identify|confidently|definitively)|"
    r"(?:not|without) (?:enough|sufficient|more|additional) (?:information|context|details)|"
    r"does not provide (?:enough|sufficient|any|the)|insufficient information)",
    re.IGNORECASE,
)


def declines(response: str) -> bool:
    """Whether a response says that it cannot answer, whatever else it says."""
    ends = response if len(response) <= 2 * _WINDOW else f"{response[:_WINDOW]} {response[-_WINDOW:]}"
    return _DECLINES.search(ends) is not None
