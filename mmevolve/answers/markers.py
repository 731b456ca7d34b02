r"""Explicit statements of an answer: `answer : X`, `the answer is X`, `\boxed{X}`, `<answer>X</answer>`, `#### X`."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

# every repeat of spaces is bounded, so that a page of spaces costs no more than a page
_LINE = re.compile(
    r"(?:^|[\n.!?:;>*#\]{]|\s-)[ \t]{0,4}[*_#>`\[]{0,4}[ \t]{0,4}(?:(?:so|thus|hence|therefore)[, ]{1,2})?(?:the )?"
    r"(?:(?:final|correct|right|best|my|predicted) ){0,2}(?:answer|ans|choice|solution|option)[*_`\]]{0,4}"
    r"[ \t]{0,4}[:=：][*_`]{0,4}[ \t]{0,4}",
    re.IGNORECASE,
)
_PHRASE = re.compile(
    r"(?:answer|choice|option)(?: (?:to|for) (?:the|this|that) (?:question|problem))? {1,2}"
    r"(?:is|are|was|would be|should be|must be|will be|equals)(?![a-z])[ \t]{0,4}:?[ \t]{0,4}",
    re.IGNORECASE,
)
_TAG = re.compile(r"<answer>", re.IGNORECASE)
_HASHES = re.compile(r"(?:^|\n)[ \t]{0,4}####[ \t]{0,4}")
_READ = 40  # statements of one kind that are read; of more, the last
_BOX = "boxed{"
_STOP = re.compile(r"\n|<|[.!?](?=\s|$)(?<![A-Z]\.M\.)|[。]")


@dataclass(frozen=True)
class Statement:
    """What follows a marker.

    Attributes:
        start: where the marker starts in the text.
        end: where the content ends.
        content: what stands there: the rest of the sentence, or the content of the box.
        rest: the rest of the line.
    """

    start: int
    end: int
    content: str
    rest: str


def statements(text: str) -> list[Statement]:
    """The last explicit statements of an answer, in reading order; those without content are left out."""
    found = [_boxed(text, at) for at in _boxes(text)]
    for pattern in (_LINE, _PHRASE, _TAG, _HASHES):
        matches = deque(pattern.finditer(text), maxlen=_READ)
        found += [_after(text, match.start(), match.end()) for match in matches]
    return sorted((s for s in found if s and s.content), key=lambda s: s.start)


def unbox(text: str) -> str:
    r"""Content of the last `\boxed{}` in a text; the text itself where there is none."""
    boxes = _boxes(text)
    box = _boxed(text, boxes[-1]) if boxes else None
    return box.content if box else text


def _boxes(text: str) -> list[int]:
    """Where the last few boxes start; more than these are never read."""
    found: list[int] = []
    at = text.rfind(_BOX)
    while at != -1 and len(found) < 4:
        found.append(at)
        at = text.rfind(_BOX, 0, at)
    return found[::-1]


def _boxed(text: str, at: int) -> Statement | None:
    depth, begin = 0, at + len(_BOX)
    for i in range(begin, min(len(text), begin + 2_000)):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            if depth == 0:
                content = text[begin:i].strip()
                return Statement(at, i, content, content)
            depth -= 1
    return None


def _after(text: str, start: int, end: int) -> Statement:
    """The rest of the sentence; or, where the line ends at the marker, the next line."""
    window = text[end : end + 2_000].lstrip(" \t*_`:")
    if window.startswith(("\n", "\r")):
        window = window.lstrip()
    line = window.partition("\n")[0].strip()
    stop = _STOP.search(window)
    content = (window[: stop.start()] if stop else window).strip()
    return Statement(start, end + len(content), content, line)
