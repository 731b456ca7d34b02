"""The words of looking back: questions out of a reply, what a prompt lists, a critique as lines that can be read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmevolve.answers.written_critique import Said

_MARK = re.compile(r"^\s*(?:[-*\u2022]|\(?\d{1,2}[.):])\s*")
_NONE = re.compile(r"\bn\s*/\s*a\b|\bnot applicable\b|^\s*none\b", re.IGNORECASE)


def questions(reply: str, most: int) -> tuple[str, ...] | None:
    """The lines of a reply that ask something; none where it says N/A, None where it says neither.

    >>> questions("- How many bars are there?", most=3)
    ('How many bars are there?',)
    """
    lines = [_MARK.sub("", line).strip().strip('"') for line in reply.splitlines()]
    asked = tuple(dict.fromkeys(line for line in lines if line.endswith("?")))[:most]
    if asked:
        return asked
    return () if _NONE.search(reply) else None


def listed(lines: Sequence[str]) -> str:
    """Numbered lines of a prompt."""
    return "\n".join(f"{i}. {' '.join(line.split())}" for i, line in enumerate(lines, start=1))


def looked_up(seen: Sequence[tuple[str, str]]) -> str:
    """Questions and what was answered, as a prompt lists them."""
    return "\n".join(f"- {question} {' '.join(answer.split())}" for question, answer in seen) or "- nothing"


def written(said: Said) -> str:
    """A critique as lines, one a step and one for the answer, which `answers.written_critique` reads as they stand."""
    lines = [_line(f"Step {k}", wrong, why) for k, (wrong, why) in enumerate(zip(said.steps, said.why, strict=True), 1)]
    return "\n".join([*lines, _line("Answer", said.answer, "")])


def world_written(said: Said) -> str:
    """The same in the words that the embedded model can read."""
    return "\n".join(_spaced(line) for line in written(said).split("\n"))


def _line(what: str, wrong: bool | None, why: str) -> str:
    word = {True: "incorrect", False: "correct", None: "unsure"}[wrong]
    return f"{what}: {word}" + (f". {' '.join(why.split())}" if wrong and why else "")


def _spaced(line: str) -> str:
    """`Step 1: incorrect. x` as `step 1 : incorrect . x`; what follows has its spaces already."""
    head, _, rest = line.partition(": ")
    word, dot, why = rest.partition(". ")
    return f"{head.lower()} : {word}" + (f" . {why}" if dot else "")
