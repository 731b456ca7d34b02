"""Numbers in an open answer of MMMU: those with thousands commas, then scientific ones, then plain ones.

Reference code: MMMU-Benchmark/MMMU, mmmu/utils/eval_utils.py, which is one pattern a kind; the three kinds are looked
for apart, so that `1,234` also gives the `234` in it. Here runs of digits are looked at on either side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_RUN = re.compile(r"\d+")
_EXPONENT = re.compile(r"[eE][+-]?\d+")
_WORDS = re.compile(r"[\w,]+")


def numbers(text: str) -> list[str]:
    """Numbers as they are written, by kind."""
    return [text[start:end] for kind in (_grouped, _scientific, _plain) for start, end in kind(text)]


def _signed(text: str, start: int, free: int) -> int:
    """Where a number starts, its minus counted in; what lies before `free` belongs to another one."""
    return start - 1 if start > free and text[start - 1] == "-" else start


def _grouped(text: str) -> Iterator[tuple[int, int]]:
    """`12,345,678`: one to three digits and groups of three, each between commas or the ends of a word."""
    free = 0
    for word in _WORDS.finditer(text):
        first, end, at = None, None, word.start()
        for piece in [*word[0].split(","), ""]:  # an empty piece ends what is open
            if first is not None and piece.isdecimal() and len(piece) == 3:
                end = at + 3
            else:
                if first is not None and end is not None:
                    yield _signed(text, first, free), end
                    free = end
                first, end = (at if piece.isdecimal() and len(piece) <= 3 else None), None
            at += len(piece) + 1


def _scientific(text: str) -> Iterator[tuple[int, int]]:
    """`1.5e-3`: digits, perhaps a point and digits, an exponent."""
    free = 0
    before: tuple[int, int] = (-1, -1)
    for run in _RUN.finditer(text):
        if run.start() < free:
            continue  # the digits of an exponent
        exponent = _EXPONENT.match(text, run.end())
        if exponent is None:
            before = run.span()
            continue
        start = before[0] if text[before[1] : run.start()] == "." and before[0] >= free else run.start()
        yield _signed(text, start, free), exponent.end()
        free, before = exponent.end(), (-1, -1)


def _plain(text: str) -> Iterator[tuple[int, int]]:
    """`12.5`, `.5` and `12`, which no exponent and no comma follows; `12` also where what follows its point is none."""
    free = 0
    for run in _RUN.finditer(text):
        start, end = run.span()
        if start < free:
            continue
        if start > free and text[start - 1] == "." and _ends(text, end):
            yield _signed(text, start - 1, free), end
            free = end
            continue
        decimals = _RUN.match(text, end + 1) if text[end : end + 1] == "." else None
        if decimals and _ends(text, decimals.end()):
            yield _signed(text, start, free), decimals.end()
            free = decimals.end()
        elif not _in_word(text, end) and _ends(text, end):
            yield _signed(text, start, free), end
            free = end


def _ends(text: str, end: int) -> bool:
    return text[end : end + 1] != "," and not _EXPONENT.match(text, end)


def _in_word(text: str, end: int) -> bool:
    return text[end : end + 1].isalnum() or text[end : end + 1] == "_"
