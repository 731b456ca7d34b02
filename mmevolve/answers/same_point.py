"""Whether an explanation makes the point of a reference, offline: by the words and numbers that they share.

A stand-in for a judge: VISCO asks GPT-4o (arXiv:2412.02172). What it counts must not be called VISCore; `VISCore-local`
says so. It knows no paraphrase and no negation: it is steady, free and coarse.
"""

from __future__ import annotations

import re

LEAST = 0.4  # F1 of the words in common from which on two explanations make the same point
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_EMPTY = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "does", "for", "from", "has", "have", "in", "is", "it",
    "its", "not", "of", "on", "or", "s", "so", "step", "that", "the", "there", "these", "this", "those", "to", "was",
    "were", "which", "with", "incorrect", "wrong", "should", "would",
})  # fmt: skip


def overlap(said: str, reference: str) -> float:
    """F1 of the sets of content words and numbers of two texts, in [0, 1]; 0 where one has none.

    >>> overlap("The bar is red.", "The bar is blue, not red")
    0.8
    """
    a, b = _words(said), _words(reference)
    return 2 * len(a & b) / (len(a) + len(b)) if a and b else 0.0


def same_point(said: str, reference: str, *, least: float = LEAST) -> bool:
    """Whether the overlap reaches the least one."""
    return overlap(said, reference) >= least


def _words(text: str) -> set[str]:
    words = (word.casefold() for word in _WORD.findall(text))
    return {_number(word) if word[0].isdigit() else word for word in words if word not in _EMPTY}


def _number(word: str) -> str:
    return f"{float(word):g}" if len(word) < 16 else word
