"""Numbers in words, digits and signs, as people and models write them."""

from __future__ import annotations

import math
import re

_LONGEST = 400  # characters of a text that may be one number
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "‑": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "％": "%", "，": ","}
)
_CURRENCY = re.compile(r"^([-+]?)\s*(?:us\s?\$|[$€£¥₹])\s*", re.IGNORECASE)
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(rf"[-+]?(?:{_DIGITS})(?:[eE][-+]?\d{{1,4}})?")
_FRACTION = re.compile(r"([-+]?)(?:(\d+)\s+)?(\d+)\s*/\s*(\d+)")
_WRITTEN = r"[-+]?(?:[$€£])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,4})?(?:\s?/\s?\d+)?\s?%?"
_WITHIN = re.compile(rf"(?<![\w.,]){_WRITTEN}|(?<![\w.])[-+]?\.\d+%?")
_STATED = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals|has|have|to)|=|≈) {0,2}"
    rf"(?:about|approximately|around|exactly|only|roughly|a total of)? {{0,2}}({_WRITTEN})(?![\w/^*])"
)
_THERE = re.compile(
    rf"\bthere (?:is|are|was|were) (?:only |exactly |about |a total of )?({_WRITTEN}|[a-z]+)\b", re.IGNORECASE
)
_MEASURE = re.compile(rf"({_WRITTEN})\s?[a-zA-Z°%²³]*")
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SMALL += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: float(i) for i, word in enumerate(_SMALL)} | {word: 10.0 * (i + 2) for i, word in enumerate(_TENS)}


def parse(text: str) -> float | None:
    """The number that a whole text is.

    Read are `1,204.5`, `-3/4`, `2 1/2`, `$1.20`, `45%` (as 0.45), `1.5 million`, `1e-3` and `twenty one`.

    >>> parse("1,204.5")
    1204.5
    """
    if len(text) > _LONGEST:
        return None
    text = _CURRENCY.sub(r"\1", text.strip().translate(_SIGNS)).strip().lower()
    if text.endswith("%"):
        number = _plain(text[:-1].strip())
        return None if number is None else number / 100
    for word, scale in _SCALES.items():
        if text.endswith(f" {word}"):
            number = _plain(text.removesuffix(word).strip())
            return None if number is None else number * scale
    return _plain(text)


def last_number(text: str) -> str | None:
    """The last number written in a text, as it is written."""
    last = None
    for last in _WITHIN.finditer(text.translate(_SIGNS)):  # noqa: B007
        pass
    return last.group().strip() if last else None


def last_stated(text: str) -> str | None:
    """The last number that a verb or an equals sign leads to: `There are 3 boxes of 12 eggs` says 3."""
    found = _STATED.findall(text.translate(_SIGNS))
    return found[-1].strip() if found else None


def counted(text: str) -> str | None:
    """What the last `there are N` counts, in digits or as a number word: `There are two bars below 6` says two."""
    found = [n for n in _THERE.findall(text.translate(_SIGNS)) if n[0].isdigit() or n.lower() in _WORDS]
    return found[-1].strip() if found else None


def measure(text: str) -> float | None:
    """The number that a short text is, with or without a unit: `60°`, `3 cm`, `$5`."""
    number = parse(text)
    if number is None and len(text) <= _LONGEST and (match := _MEASURE.fullmatch(text.strip().translate(_SIGNS))):
        number = parse(match[1])
    return number


def last_word(text: str) -> str | None:
    """The last number word of a text, from `two` on; `one` is mostly a pronoun."""
    found = [word for word in re.findall(r"[a-z]+", text.lower()) if word in _WORDS and word != "one"]
    return found[-1] if found else None


def decimals(text: str) -> int | None:
    """Digits after the point where a text is a plain decimal; None otherwise."""
    plain = re.fullmatch(r"[-+]?\d*(?:,\d{3})*\.(\d+)", text.strip())
    return len(plain[1]) if plain else None


def _plain(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        number = float(text.replace(",", ""))
        return number if math.isfinite(number) else None
    if fraction := _FRACTION.fullmatch(text):
        sign, whole, top, bottom = fraction.groups()
        if len(top) > 300 or len(bottom) > 300 or len(whole or "") > 300 or float(bottom) == 0:
            return None
        number = float(whole or 0) + float(top) / float(bottom)
        return -number if sign == "-" else number
    words = text.replace("-", " ").split()
    if 1 <= len(words) <= 2 and all(word in _WORDS for word in words):
        values = [_WORDS[word] for word in words]
        if len(values) == 1 or (values[0] >= 20 and 0 < values[1] < 10):
            return sum(values)
    return None
