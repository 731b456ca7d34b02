"""MMMU-Pro: the official letter parser for up to ten options.

Paper: Yue et al. 2024, "MMMU-Pro: A More Robust Multi-discipline Multimodal Understanding Benchmark", arXiv:2409.02813.
Reference code: MMMU-Benchmark/MMMU, mmmu-pro/evaluate.py.
Differs: None where the official code draws a random letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmevolve.answers.mmmu import by_text, latest, strip_edges

_MARKER = "Answer:"


def options_of(texts: Sequence[str]) -> dict[str, str]:
    """Letter -> option text."""
    return {chr(ord("A") + i): text for i, text in enumerate(texts)}


def parse_choice(response: str, options: Mapping[str, str]) -> str | None:
    """Letter that a response states.

    After the last `Answer:` a letter counts if it is the only option letter there, anywhere in the rest, even inside a
    word. Otherwise the last `(X)`; else a letter before a space, else before a full stop, where among several the one
    that stands alone last wins, and the first where none stands alone; else the option text mentioned last.
    """
    _, marker, stated = response.rpartition(_MARKER)
    if marker:
        named = [letter for letter in options if letter in stated]
        if len(named) == 1:
            return named[0]
    text = f" {strip_edges(response)} "
    bracketed = {letter: text.rfind(f"({letter})") for letter in options if f"({letter})" in text}
    if bracketed:
        return latest(bracketed)
    for end in (" ", "."):
        found = [letter for letter in options if f"{letter}{end}" in text]
        if found:
            return latest({letter: text.rfind(f" {letter} ") for letter in found})
    return by_text(text, options)
