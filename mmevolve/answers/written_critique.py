"""What a written critique of a solution says: of its answer, of each step, and why.

Two forms are read: JSON with `answer_correctness` and `step_1` ... `step_n`, as VISCO asks for, and lines such as
`2: incorrect. The bar is red.` with `answer: incorrect`.

Paper: Wu et al. 2024, "VISCO", arXiv:2412.02172. Reference code: PlusLabNLP/VISCO, infer_critique.py (the keys, and
that each part is read or None by itself).
Differs: the form of lines is ours. JSON is looked for as the last object that can be read and knows a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_FINE = frozenset({"correct", "right", "true", "good", "yes"})
_BAD = frozenset({"incorrect", "wrong", "false", "bad", "no"})
_LINE = re.compile(
    r"(?:^|[\n,;{])[ \t*\"'(\[-]{0,8}(?:step|sentence|line)?[ \t_#]{0,3}(\d{1,3}|(?:final[ \t_])?answer)[\"')\]*]{0,3}"
    r"[ \t]{0,3}[:.=)-]?[ \t*\"'(\[]{0,5}"
    r"(incorrect|correct|wrong|right|false|true|bad|good)\b([^\n]*)",
    re.IGNORECASE,
)
_LONGEST = 100_000  # of a response; what follows is not read


@dataclass(frozen=True)
class Said:
    """A critique, read. True means `wrong`, the positive class; None is what the critique does not say.

    Attributes:
        answer: whether the final answer is called wrong.
        steps: whether each step is called wrong.
        why: for each step the words that explain the verdict; empty where there are none.
    """

    answer: bool | None
    steps: tuple[bool | None, ...]
    why: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing could be read."""
        return self.answer is None and all(step is None for step in self.steps)


def parse(text: str, steps: int) -> Said:
    """The verdicts of a critique of so many steps; of several verdicts on one step the last counts."""
    text = text[:_LONGEST]
    for value in _objects(text):
        said = _from_json(value, steps)
        if not said.empty:
            return said
    answer: bool | None = None
    wrong: dict[int, bool] = {}
    why: dict[int, str] = {}
    for name, word, rest in _LINE.findall(text):
        verdict = word.lower() in _BAD
        if not name.isdigit():
            answer = verdict
            continue
        wrong[int(name)], why[int(name)] = verdict, rest.strip(" \t*\"')]}.,;:-–—")
    order = range(1, steps + 1)
    return Said(answer, tuple(wrong.get(k) for k in order), tuple(why.get(k, "") for k in order))


def _from_json(value: Mapping[str, Any], steps: int) -> Said:
    keys = {str(key).strip().lower(): inner for key, inner in value.items()}
    wrong, why = [], []
    for k in range(1, steps + 1):
        step = keys.get(f"step_{k}")
        inner = {str(key).strip().lower(): v for key, v in step.items()} if isinstance(step, Mapping) else {}
        wrong.append(_wrong(inner.get("correctness")))
        why.append(str(inner.get("explanation") or "").strip())
    whole = keys.get("answer_correctness")
    if isinstance(whole, Mapping):
        whole = {str(key).strip().lower(): v for key, v in whole.items()}.get("correctness")
    return Said(_wrong(whole), tuple(wrong), tuple(why))


def _wrong(value: object) -> bool | None:
    if isinstance(value, bool):
        return not value
    word = value.strip().lower() if isinstance(value, str) else ""
    return True if word in _BAD else False if word in _FINE else None


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """JSON objects of a response, the last first; a backslash that JSON does not know is taken as it stands."""
    decoder = json.JSONDecoder(strict=False)
    found, at, fails = [], text.find("{"), 0
    while at >= 0 and fails < 20:  # a response of braces alone is not searched without end
        try:
            value, end = decoder.raw_decode(_mended(text[at:]))
        except (ValueError, RecursionError):
            fails += 1
            at = text.find("{", at + 1)
            continue
        if isinstance(value, dict):
            found.append(value)
        at = text.find("{", at + end)
    return reversed(found)


def _mended(text: str) -> str:
    return re.sub(r'\\(?!["\\/bfnrtu])', r"\\\\", text)
