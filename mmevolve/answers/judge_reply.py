"""What a judge's reply says: a number on a stated scale, or which of two is better. A reply that says neither is None.

Read is what stands after the last `Score:` (rating, grade; `score is`) or the last `Better:` (winner, verdict), or a
reply that is nothing else. A number of another scale (`4/5` where 10 is the highest), outside of the scale or of a
range (`7-8`) is none: a judge's words are not mended.
"""

from __future__ import annotations

import re
from typing import Literal

Better = Literal["A", "B", "tie"]
_LONGEST = 100_000  # characters of a reply; what follows is not read
_SCALE = re.compile(r"[(\[]\s{0,3}\d{1,6}\s{0,3}(?:-|\u2013|to)\s{0,3}\d{1,6}\s{0,3}[)\]]")  # `Score (1-10): 7`
_NAMED = re.compile(r"\b(?:score|rating|grade)\b(?:\s{1,3}is\b|[^\w\n]{0,4}[:=])[^\w\n+-]{0,8}(?=\S)", re.IGNORECASE)
_NUMBER = re.compile(
    r"([-+]?\d{1,9}(?:\.\d{1,6})?)"
    r"(?:[\s\])*_]{0,6}(?:/|out of)\s{0,3}(\d{1,9}(?:\.\d{1,6})?))?"
    r"(?!\d|[.,]\d|%|[\s\])*_]{0,6}(?:/|-|\u2013|to\b|out of\b|or\b)\s{0,3}\d)"
)
_WRAP = " \t\r\n*_\"'()[]"
_CHOSEN = re.compile(r"\b(?:better|winner|verdict|preferred)\b[^\w\n]{0,4}[:=][^\w\n]{0,8}", re.IGNORECASE)
_WHICH = re.compile(
    r"(?:(?i:the\s{1,3})?(?i:answer|attempt|response|solution)\s{1,3})?\W{0,4}(A\b|B\b|(?i:tie|tied|equal|neither)\b)"
    r"(?!\W{0,4}(?:(?i:or|and)\b\W{0,4}|[/,]\s{0,3})[AB]\b)"
)


def score(reply: str, low: float, high: float) -> float | None:
    """The number that a reply gives on the scale from `low` to `high`.

    >>> score("Two steps are right. Score: 7/10", 1, 10)
    7.0
    """
    text = _SCALE.sub("", reply[:_LONGEST])
    named = list(_NAMED.finditer(text))
    bare = text.strip(_WRAP).rstrip("." + _WRAP)
    found = _NUMBER.match(text, named[-1].end()) if named else _NUMBER.fullmatch(bare)
    if found is None or (found[2] is not None and float(found[2]) != high):
        return None
    value = float(found[1])
    return value if low <= value <= high else None


def better(reply: str) -> Better | None:
    """Which of A and B a reply calls better; `tie` where it says that neither is.

    >>> better("A reads the colours right. Better: A")
    'A'
    """
    text = reply[:_LONGEST]
    named = list(_CHOSEN.finditer(text))
    found = _WHICH.match(text, named[-1].end()) if named else _WHICH.fullmatch(text.strip(_WRAP).rstrip("." + _WRAP))
    if found is None:
        return None
    return found[1] if found[1] in ("A", "B") else "tie"  # type: ignore[return-value]


def reasons(reply: str) -> str | None:
    """What a reply says up to the word for the better one, `Better:` included; None where that cannot be read.

    >>> reasons("A reads the colours right. Better: A")
    'A reads the colours right. Better:'
    """
    text = reply[:_LONGEST]
    named = list(_CHOSEN.finditer(text))
    found = _WHICH.match(text, named[-1].end()) if named else None
    return text[: found.start(1)].rstrip(" ") if found else None
