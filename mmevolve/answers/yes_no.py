"""Yes or no: the official POPE reading, and a stricter one of our own.

Paper: Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models", arXiv:2305.10355.
Reference code: AoiDragon/POPE, evaluate.py.
Differs: `parse` says None where a response says both or neither; the official rule says yes to whatever does not deny.
"""

from __future__ import annotations

import re
from typing import Literal

YesNo = Literal["yes", "no"]
_YES = frozenset({"yes", "true", "yeah", "yep"})
_NO = frozenset({"no", "false", "nope"})
_OPENING = re.compile(
    r"[\s*_\"'(]{0,8}(yes|true|yeah|yep|false|nope|no(?=[\s*_\"')]{0,4}(?:$|[,.!;:\n-]|(?:it|there|this|that|they|the|he|she|i)\b)))\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+")


def pope(response: str) -> YesNo:
    """The official rule: `No`, `no` or `not` among the words before the first full stop is no; all else is yes."""
    words = response.partition(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def opening(text: str) -> YesNo | None:
    """Yes or no where a text opens with it; `No classrooms have ...` opens with a number word, not with an answer."""
    match = _OPENING.match(text)
    if match is None:
        return None
    return "yes" if match[1].lower() in _YES else "no"


def parse(text: str) -> YesNo | None:
    """Yes or no where a text opens with it, or where only one of the two is said at all."""
    opens = opening(text)
    if opens:
        return opens
    words = set(_WORD.findall(text.lower()))
    yes, no = bool(_YES & words), bool(_NO & words)
    if yes == no:
        return None
    return "yes" if yes else "no"
