"""MMMU validation: the official parser of letters and of open answers.

Paper: Yue et al. 2023, "MMMU: A Massive Multi-discipline Multimodal Understanding and Reasoning Benchmark for Expert
AGI", arXiv:2311.16502.
Reference code: MMMU-Benchmark/MMMU, mmmu/utils/eval_utils.py.
Differs: where the official code draws a random letter, `parse_choice` returns None; numbers are found by `mmmu_numbers`
in linear time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mmevolve.answers.mmmu_numbers import numbers

_EDGES = ",.!?;:'"  # stripped one character after another, in this order
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset(":,.!?;'")

Parsed = str | float


def parse_choice(response: str, options: Mapping[str, str]) -> str | None:
    """Letter that a response states: the last `(X)`, else the last ` X `, else the option text mentioned last.

    Args:
        response: what the model wrote.
        options: letter -> option text, in order.
    """
    text = f" {strip_edges(response)} "
    for form in ("({})", " {} "):
        found = {letter: text.rfind(form.format(letter)) for letter in options}
        found = {letter: at for letter, at in found.items() if at >= 0}
        if found:
            return latest(found)
    return by_text(text, options)


def by_text(text: str, options: Mapping[str, str]) -> str | None:
    """Letter of the option whose text is mentioned last; only in responses of more than five words."""
    if len(text.split()) <= 5:
        return None
    lowered = text.lower()
    found = {letter: lowered.rfind(option.lower()) for letter, option in options.items()}
    found = {letter: at for letter, at in found.items() if at >= 0}
    return latest(found) if found else None


def latest(positions: Mapping[str, int]) -> str:
    """Key of the largest position; the first of several."""
    return max(positions, key=positions.__getitem__)


def strip_edges(response: str) -> str:
    """The response without the punctuation that the official parser removes at both ends."""
    for mark in _EDGES:
        response = response.strip(mark)
    return response


def parse_open(response: str) -> frozenset[Parsed]:
    """Everything that an open response may be saying: tails of its key lines, and the numbers in them."""
    keys = _key_phrases(response)
    found = [*keys, *(number for key in keys for number in numbers(key))]
    return frozenset(form for text in found for form in _forms(text))


def choice_correct(parsed: str | None, gold: str | Sequence[str]) -> bool:
    """Whether a letter is (one of) the gold letter(s)."""
    return parsed == gold if isinstance(gold, str) else parsed in gold


def open_correct(parsed: Iterable[Parsed], gold: str | Sequence[str]) -> bool:
    """Whether some parsed string contains a gold string, or some parsed number equals a gold number to 2 decimals."""
    golds = [form for text in ([gold] if isinstance(gold, str) else gold) for form in _forms(text)]
    gold_texts = [g for g in golds if isinstance(g, str)]
    return any(any(g in p for g in gold_texts) if isinstance(p, str) else p in golds for p in parsed)


def _key_phrases(response: str) -> list[str]:
    """For each line, the shortest tail after an indicator word; the whole response where no line has one.

    The official code also means to split at sentences, but lower-cases first, so that only line breaks ever split.
    """
    whole = response.strip().strip(".").lower()
    lines = whole.split("\n")
    keys = []
    for index, line in enumerate(lines):
        last = index == len(lines) - 1
        best = ""
        for indicator in (*_INDICATORS, "=") if last else _INDICATORS:
            if indicator in line:
                tail = line.rsplit(indicator, 1)[1].strip()
                if not best or len(tail) < len(best):
                    best = tail
        if best and best not in _TRIVIAL:
            keys.append(best)
    return keys or [whole]


def _forms(text: str) -> list[Parsed]:
    """A number to 2 decimals; or lower-case text, one character padded so that it cannot match inside a word."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]
