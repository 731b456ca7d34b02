"""Our own equality of a predicted and a reference answer: option, yes or no, number, expression, list, text.

Differs: from MATH-Vision, which rounds both sides to two decimals, whole numbers and exact expressions must agree, and
only a decimal with at least two places stands for all values that round to it. From ChartQA, nothing is right within 5
percent. `math-verify` was tried in the place of `latex.value` and left out: on 4,758 distinct free-form answers of
MATH-Vision it says otherwise on 16. Two of these showed mistakes here, since mended; of the others it is right on a few
broken boxes, and wrong on units and on a difference in rounding. It took 29 ms an answer, this module well below one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from mmevolve.answers import numbers, options, yes_no
from mmevolve.answers.latex import value

_LONGEST = 2_000
_ARTICLES = re.compile(r"\b(?:a|an|the)\b ?")
_UNIT = re.compile(r"([-+$€£]?[\d.,/ ]*\d)\s*((?:\\?[a-zA-Z°$%²³^{}\d\\]+)(?: [a-zA-Z]+)?)")
_NAMED_UNIT = re.compile(r"[a-zA-Z°$%]")  # `45^2` is a square, not 45 of some unit
_OPTION = re.compile(r"^(?:\([A-Za-z]\)|[A-Z]\))\s{1,4}(?=\S)")
_VARIABLE = re.compile(r"^[a-zA-Z]\w{0,2}\s*=\s*(?=[^=])")
_SYMBOLS = re.compile(r"\\|[\d^/+*=√π×÷]")
_YES_NO = frozenset({"yes", "no", "true", "false"})


def equal(prediction: str | None, reference: str, *, choices: Sequence[str] = ()) -> bool:
    """Whether two answers are the same; a missing prediction never is.

    Args:
        prediction: what was extracted.
        reference: the sample's answer: with options, a letter or an option's text.
        choices: option texts.
    """
    if prediction is None or not prediction.strip() or not reference.strip():
        return False
    if len(prediction) > _LONGEST or len(reference) > _LONGEST:
        return prediction.strip() == reference.strip()
    if choices:
        said, wanted = options.to_letter(prediction, choices), options.to_letter(reference, choices)
        if said and wanted:
            return said == wanted
    return _same(prediction, reference)


def _same(a: str, b: str) -> bool:
    a, b = _bare(a), _bare(b)
    if _text(a) == _text(b):
        return _text(a) != "" or a == b
    if a.lower() in _YES_NO and b.lower() in _YES_NO:
        return yes_no.parse(a) == yes_no.parse(b)
    for left, right in _readings(a, b):
        x, y = _number(left), _number(right)
        if x is not None and y is not None:
            if _close(x, y, left, right):
                return True
            continue
    return _same_list(a, b)


def _readings(a: str, b: str) -> list[tuple[str, str]]:
    """The pair as written; then without a percent sign or a unit that only one of them has."""
    pairs = [(a, b)]
    bare_a, unit_a = _split_unit(a)
    bare_b, unit_b = _split_unit(b)
    if (unit_a and not unit_b) or (unit_b and not unit_a) or (unit_a and unit_a == unit_b):
        pairs.append((bare_a, bare_b))
    return pairs


def _split_unit(text: str) -> tuple[str, str]:
    if text.endswith("%"):
        return text.rstrip("\\% "), "%"
    match = _UNIT.fullmatch(text)
    if (
        match is None
        or not _NAMED_UNIT.search(match[2])
        or _SYMBOLS.search(match[2].replace("^2", "").replace("^3", "").replace("^\\circ", ""))
    ):
        return text, ""
    return match[1].strip(), match[2].lower().rstrip("s")


def _number(text: str) -> float | int | None:
    number = numbers.parse(text)
    return value(text) if number is None else number


def _close(x: float, y: float, left: str, right: str) -> bool:
    if x == y:
        return True
    if abs(x) > 1e300 or abs(y) > 1e300:
        return False
    if _is_whole(left) and _is_whole(right):
        return False
    if math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-12):
        return True
    return _rounds_to(x, y, numbers.decimals(left)) or _rounds_to(y, x, numbers.decimals(right))


def _rounds_to(rounded: float, exact: float, places: int | None) -> bool:
    """Whether a decimal with at least two places is what a value rounds to."""
    if places is None or places < 2 or not math.isclose(rounded, exact, rel_tol=1e-2):
        return False
    return abs(rounded - exact) <= 0.5 * 10.0**-places * (1 + 1e-9)


def _is_whole(text: str) -> bool:
    return text.replace(",", "").lstrip("-+").isdigit()


def _same_list(a: str, b: str) -> bool:
    """Equal elements in the same order, in brackets of any kind or none."""
    parts_a, parts_b = _elements(a), _elements(b)
    if len(parts_a) != len(parts_b) or not 2 <= len(parts_a) <= 20:
        return False
    return all(_same(x, y) for x, y in zip(parts_a, parts_b, strict=True))


def _elements(text: str) -> list[str]:
    text = text.strip()
    if len(text) > 1 and text[0] in "([{" and text[-1] in ")]}":
        text = text[1:-1]
    return [part.strip() for part in re.split(r",(?!\d{3}(?!\d))|;| and ", text)]


def _text(text: str) -> str:
    return _ARTICLES.sub("", options.normal(text)).replace(" ", "")


def _bare(text: str) -> str:
    """Without an option's label and a variable's name: `(B) no` is `no`, `x = 3` is `3`."""
    return _VARIABLE.sub("", _OPTION.sub("", _tidy(text)))


def _tidy(text: str) -> str:
    r"""Without outer marks, `$`, `\(`, `\text{}` and a trailing full stop."""
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]*)\}", r"\1", text.strip()).replace("~", " ")
    text = text.strip(" \t\r\n*_`\"“”'").removesuffix(".").strip()
    for open_, close in (("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(open_) and text.endswith(close):
            text = text[2:-2].strip()
    return text.strip("$").strip() if text.count("$") == 2 and text[:1] == text[-1:] == "$" else text
