"""M3CoT: the official reading of a response as a letter.

Paper: Chen et al. 2024, "M3CoT: A Novel Benchmark for Multi-Domain Multi-step Multi-modal Chain-of-Thought",
arXiv:2405.16473.
Reference code: LightChen233/M3CoT, utils/metric.py.
Differs: None where the official code says FAILED; a seventh and later option has a letter, where the official code
stops with an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BRACKETED = re.compile(r"\(([A-Za-z])\)")
_PUNCTUATION = str.maketrans("\n.,!?", "     ")


def parse_choice(response: str, choices: Sequence[str]) -> str | None:
    """Letter that a response states.

    The last bracketed letter of any kind; else the last option, in the order of the options, whose text is contained;
    else the last option whose capital letter stands as a word, else its small letter.
    """
    if "[Answer]" in response:
        response = response.rpartition("[Answer]")[2].partition("[Rationale]")[0].partition("[Context]")[0]
    bracketed = _BRACKETED.findall(response)
    if bracketed:
        return bracketed[-1].upper()
    letters = [chr(ord("A") + i) for i in range(len(choices))]
    lowered = response.lower()
    words = set(response.translate(_PUNCTUATION).split(" "))
    for said in (
        [letter for letter, choice in zip(letters, choices, strict=True) if choice.lower() in lowered],
        [letter for letter in letters if letter in words],
        [letter for letter in letters if letter.lower() in words],
    ):
        if said:
            return said[-1]
    return None
