"""MMStar: whether a response starts with, or states, the gold letter.

Paper: Chen et al. 2024, "Are We on the Right Way for Evaluating Large Vision-Language Models?", arXiv:2403.20330.
Reference code: MMStar-Benchmark/MMStar, eval/vlmeval/evaluate/mmstar.py.
"""

from __future__ import annotations


def correct(response: str, gold: str) -> bool:
    """The first character, `(x`, `option x` or `the answer is x` is the gold letter, whatever the case."""
    said = response.strip().lower().replace("\n", " ")
    letter = gold.strip().lower()
    return len(letter) == 1 and said.startswith((letter, f"({letter}", f"option {letter}", f"the answer is {letter}"))
