"""Where in a response the answer stands that was read: the place whose change would change what is read.

The rules of extraction give no places, and the official ones are not ours to change. So each place that could be the
answer is exchanged for another answer, from the last one back, and the rule reads again: where it then reads something
else, that is the place. A response whose answer hangs on no single place has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mmevolve.answers import options
from mmevolve.benchmarks.read import EXTRACTORS, VERDICT
from mmevolve.benchmarks.score import Scored

Span = tuple[int, int]
TRIED = 12  # places of a response, from the last one back
_YES_NO = {"yes": ("yes", "true", "correct"), "no": ("no", "false", "not")}
_TURNED = {"yes": "no", "no": "yes", "true": "false", "false": "true", "correct": "wrong", "not": "yes"}


def spans(scored: Scored) -> tuple[Span, ...]:
    """Character spans of the response, in order; none where nothing was read or no place decides."""
    text, read = scored.response, scored.read
    if text is None or read is None:
        return ()
    if isinstance(read, tuple):
        last = {int(m[1]): m.span(2) for m in VERDICT.finditer(text)}
        return tuple(sorted(last[i] for i in range(1, len(read) + 1) if i in last))
    rule = EXTRACTORS[scored.rule]
    wanted = [read] if isinstance(read, str) else sorted(str(part) for part in read)
    found = []
    for start, end, other in _places(text, wanted, scored.sample.choices, scored.rule)[:TRIED]:
        if rule(text[:start] + other + text[end:], scored.sample) != read:
            found.append((start, end))
            break
    return tuple(found)


def _places(text: str, wanted: Sequence[str], choices: Sequence[str], rule: str) -> list[tuple[int, int, str]]:
    """Where the answer could stand, each with what to put there instead; the last first, then the longest."""
    found = {(m.start(), m.end()): other for word, other in _words(wanted, choices, rule) for m in _find(word, text)}
    return sorted(((*span, other) for span, other in found.items()), key=lambda p: (-p[1], p[0]))


def _words(wanted: Sequence[str], choices: Sequence[str], rule: str) -> Iterator[tuple[str, str]]:
    """Words that may have been read, each with another answer of its kind."""
    known = options.letters(choices)
    for word in wanted:
        place = known.index(word) if word in known else list(choices).index(word) if word in choices else None
        if place is not None and len(choices) > 1:
            other = (place + 1) % len(choices)
            yield known[place], known[other]
            yield str(choices[place]), str(choices[other])
            if rule == "preference":
                yield str(place + 1), str(other + 1)
        elif word in _YES_NO:
            yield from ((said, _TURNED[said]) for said in _YES_NO[word])
        else:
            yield word, f"{word}9" if word[-1:].isdigit() else "zebra"


def _find(word: str, text: str) -> Iterator[re.Match[str]]:
    """A word by itself, whatever its case."""
    if not word.strip():
        return iter(())
    before = r"(?<!\w)" if word[0].isalnum() else ""
    after = r"(?!\w)" if word[-1].isalnum() else ""
    return re.finditer(before + re.escape(word) + after, text, re.IGNORECASE)
