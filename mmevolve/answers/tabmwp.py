"""TabMWP: the official reading of an answer and its normal form.

Paper: Lu et al. 2022, "Dynamic Prompt Learning via Policy Gradient for Semi-structured Mathematical Reasoning",
arXiv:2209.14610.
Reference code: lupantech/PromptPG, run_gpt3/utilities.py.
Differs: None where the official code draws a random option for a letter beyond the last; patterns are anchored at the
start of a run of number characters, which finds the same last match in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_FRACTION = re.compile(r"\$?\\frac\{([\d.,\-]+)\}\{([\d.,]+)\}\$?")
_END = re.compile(r"(?<![AP]\.M)\.$")
_TIGHT_EQUALS = re.compile(r"(?<=\d)=(?=[-$\d])")
_LETTER = (
    re.compile(r"^\(([A-Za-z])\)$"),
    re.compile(r"^([A-Za-z])$"),
    re.compile(r"^([A-Za-z]). "),
    re.compile(r"[Th]he answer is ([A-Z])"),  # `the` in small letters does not count, as in the official pattern
    re.compile(r"^\(([A-Za-z])\) [\s\S]+$"),
    re.compile(r"[Th]he answer is \(([A-Za-z])\) [\s\S]+$"),
)
_LETTERS = "ABCDEF"
_CHARS = r"[\d$.,/:]"
_SIGNED = r"(?<![-\d$.,/:])[-\d$.,/:]*\d"
_FREE = (
    re.compile(r"[Th]he answer is ([\s\S]+)$"),
    re.compile(rf"[Th]he table shows that ({_CHARS}+) "),
    re.compile(rf" = ({_CHARS}+)"),
    re.compile(r"(?: be| is) ([-\d$.,/:]*\d)"),
    re.compile(r"(?: are| was) ([-\d$.,/:]*\d)"),
    re.compile(r" were ([-\d$.,/:]*\d)"),
    re.compile(rf" ({_CHARS}+ [AP]\.M\.)"),
    re.compile(rf"({_SIGNED})"),
)
_BESIDE = re.compile(r"(?:^|The answer is )(?:\([A-H]\) |[A-H][.,] )(.+)$")
_NUMERIC = re.compile(r"[-+]?[\d,./]+")
_INTEGER = re.compile(r"[-+]?\d+")


def extract(output: str, choices: Sequence[str] = ()) -> str | None:
    """The stated answer: an option's text where there are options, else what the first pattern to fire caught last."""
    text = _TIGHT_EQUALS.sub(" = ", _END.sub("", _FRACTION.sub(r"\1/\2", output))).replace("−", "-")
    return _option(text, choices) if choices else _free(text)


def stated_option(output: str) -> str | None:
    """Text beside a stated letter, in small letters: `(B) no`, `The answer is A, yes.`; not an official rule."""
    match = _BESIDE.search(_END.sub("", output.strip()))
    return match[1].strip().lower() if match else None


def is_number(answer: str) -> bool:
    """Whether a reference answer is that of a free-form question, all of which are numbers."""
    return _NUMERIC.fullmatch(answer) is not None


def normalise(text: str, unit: str | None = None) -> str:
    """Normal form: no dollar sign, no trailing mark, numbers to 3 decimals; other text without its unit."""
    text = re.sub(r"[,./]$", "", text.removeprefix("$"))
    if not _NUMERIC.fullmatch(text):
        return text.replace(unit, "").strip() if unit else text
    bare = text.replace(",", "")
    try:
        if _INTEGER.fullmatch(bare):
            return str(int(bare))
        top, slash, bottom = bare.partition("/")
        number = float(top) / float(bottom.partition("/")[0]) if slash else float(bare)
    except (ValueError, ZeroDivisionError):
        return bare
    return re.sub(r"\.0+$", "", str(round(number, 3)))


def _option(text: str, choices: Sequence[str]) -> str | None:
    for pattern in _LETTER:
        match = pattern.search(text)
        if match and match[1].upper() in _LETTERS:
            index = _LETTERS.index(match[1].upper())
            return choices[index] if index < len(choices) else None
    similar = [_similarity(choice, text) for choice in choices]
    return choices[similar.index(max(similar))]


def _similarity(a: str, b: str) -> float:
    """Share of common words; 2 for equal strings."""
    if a == b:
        return 2.0
    if " " not in a and " " not in b:
        return 0.0
    words_a, words_b = a.split(" "), b.split(" ")
    return len(set(words_a) & set(words_b)) / max(len(words_a), len(words_b))


def _free(text: str) -> str:
    for pattern in _FREE:
        found = pattern.findall(text)
        if found:
            said = found[-1].strip()
            return said[:-1] if said.endswith(".") and ".M." not in said else said
    return text
