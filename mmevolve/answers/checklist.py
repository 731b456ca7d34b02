"""Checklists: yes-or-no questions out of a reply, and a critique that says which of them an attempt fulfils.

A critique has a line an item: `YES: Does it name the colour of the box?`, `NO: ...`, and `UNREAD: ...` where the judge
said neither. `lines not read: 2` counts lines of the checklist's reply that ask nothing; where all do, the reply itself
stands under that, behind bars.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARK = re.compile(r"\s{0,20}(?:[-*\u2022]|\(?\d{1,3}[.):])?\s{0,8}(?:\[\s?\]|\u2610)?\s{0,8}")
_LONGEST = 20_000
_WORDS = {True: "YES", False: "NO", None: "UNREAD"}
_VERDICTS = {word: verdict for verdict, word in _WORDS.items()}
_LEFT = "lines not read: "


def items(reply: str, most: int) -> tuple[tuple[str, ...], int]:
    r"""The questions of a reply, each once and at most so many, and how many lines ask nothing.

    >>> items("The checklist:\n1. Is the box red?", most=3)
    (('Is the box red?',), 1)
    """
    lines = [line for line in reply[:_LONGEST].splitlines() if line.strip()]
    plain = [" ".join(_MARK.sub("", line, count=1).strip(" *_\"'").split()) for line in lines]
    asked = [line for line in plain if line.endswith("?")]
    return tuple(dict.fromkeys(asked))[:most], len(plain) - len(asked)


def written(asked: Sequence[str], verdicts: Sequence[bool | None], left: int = 0, reply: str = "") -> str:
    """Items with their verdicts as lines; `reply` is kept for a reader, and read no more."""
    lines = [f"{_WORDS[verdict]}: {item}" for item, verdict in zip(asked, verdicts, strict=True)]
    kept = [f"| {line}" for line in reply.splitlines()]
    return "\n".join([*lines, *([f"{_LEFT}{left}"] if left else []), *kept])


def parse(text: str) -> list[tuple[str, bool | None]]:
    r"""The items of a critique with what was said of them: fulfilled, not, or None where it could not be read.

    >>> parse("YES: Is it short?\nNO: Is it true?")
    [('Is it short?', True), ('Is it true?', False)]
    """
    found = []
    for line in text.splitlines():
        word, colon, item = line.partition(": ")
        if colon and word in _VERDICTS:
            found.append((item, _VERDICTS[word]))
    return found


def not_read(text: str) -> int:
    """Lines of the checklist's reply that ask nothing, as a critique counts them."""
    counts = [line.removeprefix(_LEFT) for line in text.splitlines() if line.startswith(_LEFT)]
    return sum(int(count) for count in counts if count.isdecimal())
