r"""Our own extractor: the answer that a model's text states, or None; never a guess, never a random option.

Rules in order, the first that fires wins:

    1. the last explicit statement: `answer : X`, `the answer is X`, `\boxed{X}`, `<answer>X</answer>`, `#### X`
    2. with options: the option that the text names last
    3. without: a text of a few words as it stands; a yes or no that opens it or its last line; the last number after
       `is`, `are` or `=`, or at all; the last number word

`strict` stops after the first, for training: a model that is not asked to state its answer clearly will not learn to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmevolve.answers import numbers, options, yes_no
from mmevolve.answers.latex import value
from mmevolve.answers.markers import Statement, statements, unbox

_LONGEST = 40_000  # characters read; of a longer text, its end
_SHORT_WORDS = 5
_LONG_WORDS = 7
_SUBJECT = re.compile(r"^(?:the|it|this|that|there)\b(?: \w+){0,3}? (?:is|are|was|were)\b ", re.IGNORECASE)
_REASON = re.compile(r",| because | since | as ")
_END_TOKENS = re.compile(r"(?:</s>|<\|[a-z_]+\|>|<end_of_turn>)\s*$")
_OUTER = " \t\r\n*_`\"“”'"


def extract(text: str, *, choices: Sequence[str] = (), strict: bool = True) -> str | None:
    r"""The stated answer; None when no rule fires.

    Args:
        text: a trajectory's or a reply's text.
        choices: option texts; with them the result is an option's letter, or the words of a statement that names none.
        strict: accept only an explicit statement.

    >>> extract("red circle : a2 a4 = 2\nanswer : 4")
    '4'
    """
    text = _END_TOKENS.sub("", text[-_LONGEST:]).strip()
    if not text:
        return None
    if choices and not strict:
        whole = options.exactly(text, choices)
        if whole is not None:
            return whole
    said = statements(text)
    stated = _stated(said, choices)
    if stated is None and not strict:
        stated = options.mentioned(text, choices) if choices else _free(text)
    if stated is None and said and choices:
        return _clean(said[-1].content) or None
    return stated


def _stated(said: Sequence[Statement], choices: Sequence[str]) -> str | None:
    """The last statement that can be read; one inside another counts only where the outer cannot be read."""
    for i in reversed(range(len(said))):
        outer = (
            [s for s in said[:i] if s.end > said[i].start and options.to_letter(s.content, choices)] if choices else []
        )
        statement = outer[0] if outer else said[i]
        answer = _letter(statement, choices) if choices else _short(_clean(statement.content))
        if answer:
            return answer
    return None


def _letter(statement: Statement, choices: Sequence[str]) -> str | None:
    content = unbox(statement.content)
    return (
        options.to_letter(content, choices)
        or options.to_letter(statement.rest, choices)
        or options.mentioned(content, choices)
    )


def _clean(content: str) -> str:
    r"""Without the marks around it; `\(`, `\[` and `$` of formulas too."""
    content = unbox(content).strip(_OUTER)
    for open_, close in (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$")):
        if content.startswith(open_):
            content = content.removeprefix(open_).partition(close)[0]
    if content.startswith("$") and content.count("$") == 2:
        content = content.strip("$")
    return content.strip(_OUTER).rstrip(".,;").strip(_OUTER)


def _short(content: str) -> str:
    """What counts in a statement: the value after an equals sign; the yes, no or number in a long sentence."""
    left, equals, right = content.rpartition("=")
    if equals and "\\" not in left and (numbers.parse(right) is not None or value(right) is not None):
        return right.strip()
    if len(content.split()) <= _LONG_WORDS:
        return content
    head = _REASON.split(content, maxsplit=1)[0].strip()
    return head if len(head.split()) <= _SHORT_WORDS else _free(content) or content


def _free(text: str) -> str | None:
    """What a text without options and without a statement says, if it is short or says a yes, a no or a number."""
    words = text.split()
    if len(words) > 1 and (opens := yes_no.opening(text)):
        return opens
    if "\n" not in text and len(words) <= _SHORT_WORDS:
        return _short(_clean(_SUBJECT.sub("", text))) or None
    lines = text.split("\n")
    return (
        yes_no.opening(lines[-1])
        or numbers.counted(lines[-1])
        or numbers.last_stated(lines[-1])
        or numbers.counted(text)
        or numbers.last_stated(text)
        or numbers.last_number(text)
        or numbers.last_word(text)
    )
