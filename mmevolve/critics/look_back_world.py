"""The embedded world's rules for looking back: a step's own questions, and what a step is worth beside the answers.

Nothing here reads the scene, or the program of a question: what is known is what was seen in the picture.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmevolve.data.shapes.program import SIGNS, apply
from mmevolve.data.shapes.scene import COLOURS, RELATIONS, SHAPES, cell_place

Seen = Mapping[str, str]  # question -> what was answered on the picture
_CELL, _NUMBER = r"[a-z][1-9][0-9]?", r"-?(?:0|[1-9][0-9]{0,5})"
_WHAT = rf"(?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join((*SHAPES, 'shape'))})s?"
_COUNT = re.compile(
    rf"(?P<what>{_WHAT})(?: (?P<relation>{'|'.join(RELATIONS)}) (?P<anchor>{_CELL}))? : "
    rf"(?P<cells>none|{_CELL}(?: {_CELL})*) = (?P<value>{_NUMBER})"
)
_FIND = re.compile(rf"the (?P<thing>{_WHAT}) : (?P<cell>{_CELL})")
_AT = re.compile(rf"(?P<cell>{_CELL}) : (?P<thing>(?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)}))")
_WORK = re.compile(rf"(?P<left>{_NUMBER}) (?P<sign>[-+*>]) (?P<right>{_NUMBER}) [=:] (?P<value>{_NUMBER}|yes|no)")
_ANSWER = re.compile(r"answer : (?P<value>\S+)")
_KEEPS = {
    "left of": lambda cell, anchor: cell[0] < anchor[0],
    "right of": lambda cell, anchor: cell[0] > anchor[0],
    "above": lambda cell, anchor: cell[1] < anchor[1],
    "below": lambda cell, anchor: cell[1] > anchor[1],
}
_OPS = {sign: op for op, sign in SIGNS.items()}


@dataclass(frozen=True)
class Judged:
    """A step beside what was seen.

    Attributes:
        wrong: whether it is called wrong; None where it cannot be told.
        why: in words that the embedded model can read; empty for a step that is not wrong.
    """

    wrong: bool | None
    why: str = ""


def questions(step: str) -> tuple[str, ...]:
    """The world's own questions that tell whether a step is true of the picture; none for arithmetic and answers.

    A count is asked for as it stands; things beside a place by their kind, the relation being a matter of the cells'
    names (`shapes` by each of the kinds, as the world never asks for all); a thing at a place by colour and shape.

    >>> questions("circles left of b2 : a1 = 1")
    ('how many circles are there ?',)
    """
    if m := _COUNT.fullmatch(step):
        kinds = [f"{shape}s" for shape in SHAPES] if m["what"].startswith("shape") else [m["what"]]
        return tuple(f"how many {kind} are there ?" for kind in kinds)
    if m := _FIND.fullmatch(step) or _AT.fullmatch(step):
        return f"what colour is the shape at {m['cell']} ?", f"what shape is at {m['cell']} ?"
    return ()


def from_solution(steps: Sequence[str], solution: Sequence[str]) -> dict[str, str]:
    """What another solution of the same question says on the steps' own questions: the critic without a second look."""
    counted = {m["what"]: step for step in solution if (m := _COUNT.fullmatch(step)) and not m["relation"]}
    at = {m["cell"]: m["thing"] for step in solution if (m := _FIND.fullmatch(step) or _AT.fullmatch(step))}
    said = {}
    for step in steps:
        for question in questions(step):
            what = question.removeprefix("how many ").removesuffix(" are there ?")
            cell = question.removesuffix(" ?")[-2:]
            if what in counted:
                said[question] = counted[what]
            elif question.startswith("what") and cell in at:
                word = at[cell].split()[0 if "colour" in question else -1]
                said[question] = f"answer : {word}"
    return said


def judge(question: str, steps: Sequence[str], seen: Seen) -> list[Judged]:
    """Each step beside what was seen; a step that stands on a wrong one is wrong, as the world's oracle has it.

    Args:
        question: the sample's, for the relation that it asks for.
        steps: of the attempt, in order.
        seen: the answer to each of `questions`; one that is missing leaves its step untold.
    """
    held: dict[str, bool | None] = {}  # value -> whether a step that states it is wrong
    places: set[str] = set()  # cells that an earlier step has found
    found, last = [], None
    for step in (" ".join(s.split()) for s in steps):
        judged = _judge(step, question, seen, held, places, last)
        found.append(judged)
        m = _COUNT.fullmatch(step) or _WORK.fullmatch(step)
        if m:
            held[m["value"]] = _either(held.get(m["value"], True), judged.wrong)
            last = m["value"]
        elif m := _FIND.fullmatch(step) or _AT.fullmatch(step):
            places.add(m["cell"])
            held |= {word: judged.wrong for word in m["thing"].split()}
            last = None
    return found


def _judge(
    step: str, question: str, seen: Seen, held: Mapping[str, bool | None], places: set[str], last: str | None
) -> Judged:
    if m := _COUNT.fullmatch(step):
        return _counted(m, step, question, seen, places)
    if m := _FIND.fullmatch(step) or _AT.fullmatch(step):
        words = [_answer(seen.get(q)) for q in questions(step)]
        claimed = m["thing"].split()
        told = [word for word in words if word is not None]
        wrong = [word for word in told if word not in claimed and (word in COLOURS or "shape" not in claimed)]
        if wrong:
            return Judged(True, f"seen : {m['cell']} : {' '.join(told)}")
        return Judged(False if len(told) == len(words) else None)
    if m := _WORK.fullmatch(step):
        return _worked(m, held)
    if m := _ANSWER.fullmatch(step):
        value = m["value"]
        if last is not None and value != last:
            return Judged(True, f"the answer is not {last}")
        if value not in held:
            return Judged(None)
        return Judged(held[value], f"{value} is wrong" if held[value] else "")
    return Judged(True, "not a step")


def _counted(m: re.Match[str], step: str, question: str, seen: Seen, places: set[str]) -> Judged:
    """A list of cells beside the cells that were listed when asked for that kind alone."""
    if m["relation"] and (m["relation"] not in question or m["anchor"] not in places):
        return Judged(True, f"{m['anchor']} is not {m['relation']} in the question")
    said = Counter([] if m["cells"] == "none" else m["cells"].split())
    if m["value"] != str(said.total()):
        return Judged(True, f"{m['cells']} = {said.total()}")
    there: Counter[str] = Counter()
    for asked in questions(step):
        answered = next((c for line in seen.get(asked, "").split("\n") if (c := _COUNT.fullmatch(line.strip()))), None)
        if answered is None:
            return Judged(None)
        there.update([] if answered["cells"] == "none" else answered["cells"].split())
    if m["relation"]:
        keep, anchor = _KEEPS[m["relation"]], cell_place(m["anchor"])
        there = Counter({cell: n for cell, n in there.items() if keep(cell_place(cell), anchor)})
    if there == said:
        return Judged(False)
    where = f" {m['relation']} {m['anchor']}" if m["relation"] else ""
    less = (("missing", there - said), ("extra", said - there))
    parts = [f"{word} : {_cells(cells)}" for word, cells in less if cells]
    return Judged(True, " . ".join([*parts, f"seen : {m['what']}{where} : {_cells(there)} = {there.total()}"]))


def _cells(cells: Counter[str]) -> str:
    return " ".join(sorted(cells.elements())) or "none"


def _worked(m: re.Match[str], held: Mapping[str, bool | None]) -> Judged:
    """Arithmetic: true as such, and on numbers that steps before it state and that are not wrong."""
    left, right, sign = m["left"], m["right"], m["sign"]
    true = apply(_OPS[sign], left, right)
    if m["value"] != true:
        return Judged(True, f"{left} {sign} {right} {':' if sign == '>' else '='} {true}")
    for number in (left, right):
        if number not in held:
            return Judged(True, f"{number} is not in the steps")
        if held[number]:
            return Judged(True, f"{number} is wrong")
    return Judged(None if None in (held[left], held[right]) else False)


def _either(a: bool | None, b: bool | None) -> bool | None:
    """A value that two steps state is wrong where both are."""
    return False if a is False or b is False else None if a is None or b is None else True


def _answer(reply: str | None) -> str | None:
    """The word of the last `answer : ...` line."""
    lines = [m["value"] for line in (reply or "").split("\n") if (m := _ANSWER.fullmatch(line.strip()))]
    return lines[-1] if lines else None
