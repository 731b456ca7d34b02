"""Our own multiple-choice rule: which option a text names.

Differs: from the official parsers of MMMU, MMMU-Pro and M3CoT, which it follows in what a plain response means, in
three
ways: an explicit statement (`the answer is X`) beats any other letter; small letters in brackets count; an `A` that is
an article and an `I` that is a pronoun do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from mmevolve.answers import numbers

_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_MARKS = re.compile(r"[$*_`\"“”‘’'?!;:,()\[\]{}]|\\text|\\mathrm|\\(?=[$%()\[\]])")
_STOP = re.compile(r"\.(?=\s|$)")
_LABEL = re.compile(r"(?:option|choice|answer)?[ \t]{0,4}[(\[{]?([A-Za-z])[)\]}.:,]?", re.IGNORECASE)
_LABEL_FIRST = re.compile(r"\(?([A-Z])[).:,]{0,4}[ \t]{0,4}")
_UNREAD = re.compile(r"\\[a-zA-Z]+|[^\w.+=<>/^-]|_")
_LEADING = re.compile(
    r"(?:(?:option|choice)[ \t]{1,4})?(?:[(\[]([A-Za-z])[)\]]|([A-Z])(?=[).:,\]]|[ \t]{0,4}$|[ \t]{1,4}-|\n))",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")
_BRACKETED_SMALL = re.compile(r"\(([a-z])\)")
_NAMED = re.compile(r"\b(?:option|choice)[ \t]{1,4}[*\"']{0,4}\(?([A-Z])\b", re.IGNORECASE)
_ALONE = re.compile(r"(?<![\w'’\\-])([A-Z])(?![\w'’°#♭♯^=+-])")
_THING = re.compile(
    r"(?:[∠△]|\b(?:angles?|points?|lines?|sides?|segment|triangle|circle|vertex|node|solution|samples?|at)) ?$",
    re.IGNORECASE,
)
_YES_NO = frozenset({"yes", "no", "true", "false"})
_ARTICLE = re.compile(
    r"[ \t]{1,4}(?:is|was|are|seems|looks|would|must|should|because|since|as|and|or|but)\b|[ \t]{0,4}(?:$|[^\w \t])"
)


def letters(choices: Sequence[str]) -> str:
    """Letters of the options: A, B, ...; at most 26."""
    return "".join(chr(ord("A") + i) for i in range(min(len(choices), 26)))


def to_letter(answer: str, choices: Sequence[str]) -> str | None:
    """Letter of the option that a short answer is: a letter with or without trimmings, or an option's text.

    >>> to_letter("(b) a dog", ("a cat", "a dog"))
    'B'
    """
    known = letters(choices)
    answer = _tidy(answer)
    if not answer or len(answer) > 2_000:
        return None
    label = _LABEL.fullmatch(answer)
    if label and label[1].upper() in known:
        return label[1].upper()
    exact = exactly(answer, choices)
    if exact:
        return exact
    leading = _LEADING.match(answer)
    if leading and (leading[1] or leading[2]).upper() in known:
        return (leading[1] or leading[2]).upper()
    return _by_number(answer, choices)


def _by_number(answer: str | None, choices: Sequence[str]) -> str | None:
    """Letter of the only option that is the same number, units apart."""
    number = numbers.measure(answer) if answer else None
    if number is None:
        return None
    equal = [
        letter
        for letter, choice in zip(letters(choices), choices, strict=False)
        if numbers.measure(_tidy(choice)) == number
    ]
    return equal[0] if len(equal) == 1 else None


def exactly(text: str, choices: Sequence[str]) -> str | None:
    """Letter of the option that a whole text is: its text, its letter, or its letter and its text."""
    known, flat = letters(choices), normal(text)
    label = _LABEL.fullmatch(_tidy(text))  # first, because options may be letters themselves
    if label and label[1].upper() in known:
        return label[1].upper()
    for letter, choice in zip(known, choices, strict=False):
        wanted = normal(choice)
        if wanted and flat in (wanted, f"{letter.lower()} {wanted}", f"option {letter.lower()} {wanted}"):
            return letter
    return _labelled(text, choices)


def _labelled(text: str, choices: Sequence[str]) -> str | None:
    r"""Letter of an option that is written beside its letter, markup apart: `B. \(r_{A}=2\) in` for `$r_{A}=2in$`."""
    label = _LABEL_FIRST.match(_tidy(text))
    index = letters(choices).find(label[1]) if label else -1
    if index == -1 or len(text) > 2_000:
        return None
    wanted = _squeeze(choices[index])
    return label[1] if wanted and _squeeze(_tidy(text)[label.end() :]) == wanted else None


def _squeeze(text: str) -> str:
    """Letters, digits and signs only."""
    return _UNREAD.sub("", _WRAPPED.sub(r"\1", text)).casefold()


def mentioned(text: str, choices: Sequence[str]) -> str | None:
    """Letter of the option that a longer text names.

    A last line that is an option; else the last `(X)` or `option X`; else a first line that is an option; else the last
    letter that stands alone, though not where the options are yes and no, which pictures full of lettered points go
    with; else the text mentioned last.
    """
    known = letters(choices)
    lines = text.strip().split("\n")
    last_line = exactly(lines[-1], choices)
    if last_line:
        return last_line
    for pattern in (_BRACKETED, _NAMED, _BRACKETED_SMALL):
        named = [m[1].upper() for m in pattern.finditer(text) if m[1].upper() in known]
        if named:
            return named[-1]
    first_line = exactly(lines[0], choices)
    if first_line:
        return first_line
    if not all(choice.strip().lower() in _YES_NO for choice in choices):
        alone = [m for m in _ALONE.finditer(text) if m[1] in known and not _is_word(text, m) and not _is_label(text, m)]
        if alone:
            return alone[-1][1]
    return by_text(text, choices) or to_letter(lines[-1], choices) or _by_number(numbers.last_stated(text), choices)


def by_text(text: str, choices: Sequence[str]) -> str | None:
    """Letter of the option whose text is mentioned last; of those that end together, the longest."""
    flat = f" {normal(text)} "
    best: tuple[int, int] | None = None
    said = None
    for letter, choice in zip(letters(choices), choices, strict=False):
        wanted = normal(choice)
        # an option that is one letter would be found in any article
        at = flat.rfind(f" {wanted} ") if len(wanted) > 1 or wanted.isdigit() else -1
        if at != -1 and (best is None or (at + len(wanted), len(wanted)) > best):
            best, said = (at + len(wanted), len(wanted)), letter
    return said


@lru_cache(maxsize=4_096)
def normal(text: str) -> str:
    """Lower case, single spaces, and no marks that carry no meaning."""
    return " ".join(_STOP.sub(" ", _MARKS.sub(" ", text.casefold())).split())


def _is_word(text: str, match: re.Match[str]) -> bool:
    """Whether a letter alone is the article `A` or the pronoun `I`."""
    return match[1] in "AI" and not _ARTICLE.match(text, match.end())


def _is_label(text: str, match: re.Match[str]) -> bool:
    """Whether a letter alone names a thing in the picture: `angle B`, `solution A`."""
    return _THING.search(text, max(0, match.start() - 12), match.start()) is not None


def _tidy(text: str) -> str:
    text = _WRAPPED.sub(r"\1", text).replace("~", " ").strip()
    return text.strip("*_`\"' \t\n").rstrip(".").strip("*_`\"' $\t\n")
