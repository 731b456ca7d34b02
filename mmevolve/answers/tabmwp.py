"""TabMWP: the official reading of an answer and its normal form.

Paper: Lu et al. 2022, "Dynamic Prompt Learning via Policy Gradient for Semi-structured Mathematical Reasoning",
arXiv:2209.14610.
Reference code: lupantech/PromptPG, run_gpt3/utilities.py, which is a list of patterns. Here phrases are looked for and
what stands beside them is read character by character, in time that grows with the length of the text.
Differs: None where the official code draws a random option for a letter beyond the last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

_LETTERS = "ABCDEF"
_ANSWER = ("The answer is ", "hhe answer is ")  # `the` in small letters does not count, a slip of the official rule
_TABLE = ("The table shows that ", "hhe table shows that ")
_MARKS = "$.,/:"  # with digits what amounts, fractions and times of day are written in
_RUN = re.compile(rf"[\d{_MARKS}]+")
_SIGNED_RUN = re.compile(rf"[-\d{_MARKS}]+")
_BESIDE = re.compile(r"(?:^|The answer is )(?:\([A-H]\) |[A-H][.,] )(.+)$")


def extract(output: str, choices: Sequence[str] = ()) -> str | None:
    """The stated answer: an option's text where there are options, else the last that the first rule to fire finds."""
    text = _spaced(_without_stop(_plain_fractions(output))).replace("−", "-")
    return _option(text, choices) if choices else _free(text)


def stated_option(output: str) -> str | None:
    """Text beside a stated letter, in small letters: `(B) no`, `The answer is A, yes.`; not an official rule."""
    match = _BESIDE.search(_without_stop(output.strip()))
    return match[1].strip().lower() if match else None


def is_number(answer: str) -> bool:
    """Whether a reference answer is that of a free-form question, all of which are numbers."""
    return _made_of(answer[1:] if answer[:1] in ("+", "-") else answer, ",./")


def normalise(text: str, unit: str | None = None) -> str:
    """Normal form: no dollar sign, no trailing mark, numbers to 3 decimals; other text without its unit."""
    text = text.removeprefix("$")
    body, end = _body(text)
    text = body[:-1] + end if body.endswith((",", ".", "/")) else text
    if not is_number(text):
        return text.replace(unit, "").strip() if unit else text
    bare = text.replace(",", "")
    try:
        if _made_of(bare.lstrip("+-"), ""):
            return str(int(bare))
        top, slash, bottom = bare.partition("/")
        number = float(top) / float(bottom.partition("/")[0]) if slash else float(bare)
    except (ValueError, ZeroDivisionError):
        return bare
    return str(round(number, 3)).removesuffix(".0")


def _made_of(text: str, marks: str) -> bool:
    """Whether a text is digits and these marks, and not empty."""
    return bool(text) and all(c.isdecimal() or c in marks for c in text)


def _body(text: str) -> tuple[str, str]:
    """A text and its last line break, before which the official rules see the end already."""
    return (text[:-1], "\n") if text.endswith("\n") else (text, "")


def _without_stop(text: str) -> str:
    """Without a last full stop, unless it ends `A.M.` or `P.M.`."""
    body, end = _body(text)
    return body[:-1] + end if body.endswith(".") and not body.endswith(("A.M.", "P.M.")) else text


def _plain_fractions(text: str) -> str:
    r"""`$\frac{1}{2}$` as `1/2`."""
    opens = "\\frac{"
    parts = text.split(opens)
    for i, piece in enumerate(parts[1:], start=1):
        top, between, rest = piece.partition("}{")
        bottom, closed, rest = rest.partition("}")
        if between and closed and _made_of(top, ".,-") and _made_of(bottom, ".,"):
            parts[i - 1] = parts[i - 1].removesuffix("$")
            parts[i] = f"{top}/{bottom}{rest.removeprefix('$')}"
        else:
            parts[i] = opens + piece
    return "".join(parts)


def _spaced(text: str) -> str:
    """A space on both sides of an equals sign between numbers."""
    pieces = text.split("=")
    found = [pieces[0]]
    for left, right in pairwise(pieces):
        tight = left[-1:].isdecimal() and (right[:1].isdecimal() or right[:1] in ("-", "$"))
        found += [" = " if tight else "=", right]
    return "".join(found)


def _option(text: str, choices: Sequence[str]) -> str | None:
    for letter in _lettered(text):
        if letter.upper() in _LETTERS:
            index = _LETTERS.index(letter.upper())
            return choices[index] if index < len(choices) else None
    similar = [_similarity(choice, text) for choice in choices]
    return choices[similar.index(max(similar))]


def _lettered(text: str) -> Iterator[str]:
    """Letters by which an option is named, in the order in which the official rules try."""
    body, said = _body(text)[0], _after(text, *_ANSWER)
    ways: tuple[Iterator[str] | list[str], ...] = (
        [body[1:2]] if len(body) == 3 and body[0] + body[2] == "()" else [],
        [body] if len(body) == 1 else [],
        [text[0]] if text[2:3] == " " and text[1] != "\n" else [],
        (text[at] for at in said if "A" <= text[at : at + 1] <= "Z"),
        _bracketed(text, [0]),
        _bracketed(text, said),
    )
    for way in ways:
        letter = next((c for c in way if c.isascii() and c.isalpha()), None)
        if letter is not None:
            yield letter


def _bracketed(text: str, places: Sequence[int]) -> Iterator[str]:
    """The letter of `(A) and more` at each of the places."""
    for at in places:
        if text[at : at + 1] == "(" and text[at + 2 : at + 4] == ") " and len(text) > at + 4:
            yield text[at + 1]


def _similarity(a: str, b: str) -> float:
    """Share of common words; 2 for equal strings."""
    if a == b:
        return 2.0
    if " " not in a and " " not in b:
        return 0.0
    words_a, words_b = a.split(" "), b.split(" ")
    return len(set(words_a) & set(words_b)) / max(len(words_a), len(words_b))


def _free(text: str) -> str:
    for rule in _RULES:
        found = rule(text)
        if found:
            said = found.strip()
            return said[:-1] if said.endswith(".") and ".M." not in said else said
    return text


def _after(text: str, *phrases: str) -> list[int]:
    """Where any of the phrases has ended, in order."""
    found = []
    for phrase in phrases:
        at = text.find(phrase)
        while at >= 0:
            found.append(at + len(phrase))
            at = text.find(phrase, at + 1)
    return sorted(found)


def _run(text: str, start: int) -> str:
    """Digits and marks from a place on."""
    found = _RUN.match(text, start)
    return found[0] if found else ""


def _number(text: str, start: int) -> str:
    """The same with minus signs, up to its last digit."""
    found = _SIGNED_RUN.match(text, start)
    return found[0].rstrip(_MARKS + "-") if found else ""


def _table(text: str, start: int) -> str:
    """A run that a space ends."""
    run = _run(text, start)
    return run if text[start + len(run) : start + len(run) + 1] == " " else ""


def _last(read: Callable[[str, int], str], *phrases: str) -> Callable[[str], str]:
    """What is read after the last phrase that has something to read."""

    def rule(text: str) -> str:
        return next(filter(None, (read(text, at) for at in reversed(_after(text, *phrases)))), "")

    return rule


def _stated(text: str) -> str:
    """All that follows the first statement."""
    return next((text[at:] for at in _after(text, *_ANSWER)), "")


def _time(text: str) -> str:
    """The last time of day, such as `7:30 A.M.`, after a space."""
    for at in reversed(_after(text, " A.M.", " P.M.")):
        end = start = at - len(" A.M.")
        while start and (text[start - 1].isdecimal() or text[start - 1] in _MARKS):
            start -= 1
        if start < end and text[start - 1 : start] == " ":
            return text[start:at]
    return ""


def _any_number(text: str) -> str:
    """The last number of all."""
    end = len(text)
    while end and not text[end - 1].isdecimal():
        end -= 1
    start = end
    while start and (text[start - 1].isdecimal() or text[start - 1] in _MARKS + "-"):
        start -= 1
    return text[start:end]


_RULES = (
    _stated,
    _last(_table, *_TABLE),
    _last(_run, " = "),
    _last(_number, " be ", " is "),
    _last(_number, " are ", " was "),
    _last(_number, " were "),
    _time,
    _any_number,
)
