"""VisOnlyQA: the rule stage of the official answer parser.

Paper: Kamoi et al. 2024, "VisOnlyQA: Large Vision Language Models Still Struggle with Visual Perception of Geometric
Information", arXiv:2412.00947.
Reference code: psunlpgroup/VisOnlyQA, src/evaluation/evaluation.py.
Differs: None where the official code asks GPT-4o (always so for questions with several answers).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmevolve.answers import yes_no
from mmevolve.answers.extract import extract
from mmevolve.answers.options import letters

_LETTER = re.compile(r"(?<![A-Za-z])([a-zA-Z])(?![A-Za-z])")


def parse_choice(response: str, choices: Sequence[str], *, several: bool = False) -> str | None:
    """The only option found as `(x)`; else the only option found anywhere, even inside a word.

    Of an option that contains others, as `10` contains `1`, the first of these counts, as in the official code.
    """
    if several:
        return None
    for form in ("({})", "{}"):
        found = [choice for choice in choices if form.format(choice) in response]
        if len(found) == 1:
            return next(choice for choice in choices if choice in found[0])
    return None


def parse_own(response: str, choices: Sequence[str], *, several: bool = False) -> str | None:
    """Our own reading in this benchmark's terms: `True`, `b`, or `a,c` where several may be named, or None."""
    if not several:
        letter = extract(response, choices=choices, strict=False)
        if letter is None or len(letter) != 1:
            verdict = yes_no.parse(response) if "True" in choices else None
            return None if verdict is None else "True" if verdict == "yes" else "False"
        known = letters(choices)  # `answer : 6` is one character too, and names no option
        return choices[known.index(letter)] if letter in known else None
    said = extract(response, strict=True) or response.strip().rpartition("\n")[2]
    named = sorted({m.lower() for m in _LETTER.findall(said)} & set(choices))
    return ",".join(named) or None
