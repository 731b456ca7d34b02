"""The step oracle: parses any step a model writes and says, exactly, what is wrong with it.

Four outcomes a step:

    right        true, and built on true steps
    wrong        false: `perception` (the picture does not show it) or `logic` (it does not follow, or is not asked for)
    follows      correctly worked out from an earlier step that was wrong
    unparsable   not one of the world's sentences

It reads the scene, so it may judge a claim, but a recipe that trains on its verdicts must say so: it is the ceiling,
not the method.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mmevolve.data.shapes.program import PROPERTIES, SIGNS, Program, apply, run
from mmevolve.data.shapes.scene import COLOURS, RELATIONS, SHAPES, Description, Scene, cell_place

Status = Literal["right", "wrong", "follows", "unparsable"]
Fault = Literal["perception", "logic"]

# ASCII digits without leading zeros, as counts and cells are written; longer numbers count nothing that is drawn here.
_CELL = r"[a-z][1-9][0-9]?"
_NUMBER = r"(?:0|[1-9][0-9]{0,5})"
_WHAT = rf"(?:({'|'.join(COLOURS)}) )?((?:{'|'.join((*SHAPES, 'shape'))})s?)"
_CELLS = rf"(none|{_CELL}(?: {_CELL})*)"
_COUNT = re.compile(rf"{_WHAT} : {_CELLS} = ({_NUMBER})")
_BESIDE = re.compile(rf"{_WHAT} ({'|'.join(RELATIONS)}) ({_CELL}) : {_CELLS} = ({_NUMBER})")
_FIND = re.compile(rf"the {_WHAT} : ({_CELL})")
_AT = re.compile(rf"({_CELL}) : ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})")
_MATHS = re.compile(rf"({_NUMBER}) ([+*-]) ({_NUMBER}) = (-?{_NUMBER})")
_MORE = re.compile(rf"({_NUMBER}) > ({_NUMBER}) : (yes|no)")
_ANSWER = re.compile(r"answer : (\S+)")
_OPS = {sign: op for op, sign in SIGNS.items()}


@dataclass(frozen=True)
class Verdict:
    """What the oracle says of one step.

    Attributes:
        status: right, wrong, follows or unparsable.
        fault: for a wrong step, perception or logic.
        missing: cells that the step should have cited.
        extra: cells that it cites wrongly.
        detail: one clause a person can read; empty for a right step.
        nodes: indices of the program nodes that the step states; empty when it states something not asked for.
    """

    status: Status
    fault: Fault | None = None
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    detail: str = ""
    nodes: tuple[int, ...] = ()


@dataclass
class _Said:
    """What has been claimed so far: value and soundness of each program node."""

    value: dict[int, str] = field(default_factory=dict)
    sound: dict[int, bool] = field(default_factory=dict)

    def claim(self, nodes: Sequence[int], value: str, sound: bool) -> None:
        for i in nodes:
            self.value[i], self.sound[i] = value, sound


def judge(steps: Sequence[str], program: Program, scene: Scene) -> list[Verdict]:
    """One verdict a step, in order; earlier steps are the premises of later ones."""
    said = _Said()
    truth = [f.value for f in run(program, scene)]
    return [_judge(re.sub(r"\s+", " ", step.strip()), program, scene, truth, said) for step in steps]


def complete(verdicts: Sequence[Verdict], program: Program) -> bool:
    """Whether every node of the program was stated by some step, so that no reasoning was skipped."""
    stated = {i for v in verdicts for i in v.nodes}
    return all(i in stated for i, (op, *_) in enumerate(program) if op not in PROPERTIES)


def sound(verdicts: Sequence[Verdict]) -> bool:
    """Whether every step is right."""
    return all(v.status == "right" for v in verdicts)


def _judge(step: str, program: Program, scene: Scene, truth: list[str], said: _Said) -> Verdict:
    if m := _COUNT.fullmatch(step):
        what = _described(m[1], m[2])
        nodes = _nodes(program, "count", what.colour, what.shape)
        return _cited(scene.cells(what), m[3], m[4], nodes, said, sound=True)
    if m := _BESIDE.fullmatch(step):
        return _beside(m, program, scene, truth, said)
    if m := _FIND.fullmatch(step):
        what = _described(m[1], m[2])
        nodes = _nodes(program, "find", what.colour, what.shape)
        return _stated(m[3], scene.cells(what), nodes, said, "perception")
    if m := _AT.fullmatch(step):
        seen = [f"{t.colour} {t.shape}" for t in scene.at(m[1])]
        return _stated(f"{m[2]} {m[3]}", seen, _nodes(program, "at", m[1]), said, "perception")
    if m := _MATHS.fullmatch(step):
        return _worked(_OPS[m[2]], m[1], m[3], m[4], program, scene, truth, said)
    if m := _MORE.fullmatch(step):
        return _worked("more", m[1], m[2], m[3], program, scene, truth, said)
    if m := _ANSWER.fullmatch(step):
        return _answered(m[1], program, scene, truth, said)
    return Verdict("unparsable", detail="not a sentence of this world")


def _described(colour: str | None, noun: str) -> Description:
    shape = noun.removesuffix("s")
    return Description(colour, None if shape == "shape" else shape)


def _nodes(program: Program, *node: object) -> tuple[int, ...]:
    return tuple(i for i, n in enumerate(program) if n == node)


def _cited(true: list[str], cells: str, number: str, nodes: tuple[int, ...], said: _Said, *, sound: bool) -> Verdict:
    """A counted list of cells: first whether the cells are the right ones, then whether they were counted right."""
    cited = [] if cells == "none" else cells.split()
    missing = tuple(sorted((Counter(true) - Counter(cited)).elements()))
    extra = tuple(sorted((Counter(cited) - Counter(true)).elements()))
    if missing or extra:
        said.claim(nodes, number, False)
        detail = "; ".join(f"{k}: {' '.join(v)}" for k, v in (("missing", missing), ("not so", extra)) if v)
        return Verdict("wrong", "perception", missing, extra, detail, nodes)
    if int(number) != len(cited):
        said.claim(nodes, number, False)
        return Verdict("wrong", "logic", detail=f"{len(cited)} cells are listed, not {number}", nodes=nodes)
    said.claim(nodes, number, sound)
    return Verdict("right" if sound else "follows", nodes=nodes)


def _beside(m: re.Match[str], program: Program, scene: Scene, truth: list[str], said: _Said) -> Verdict:
    what, relation, cell = _described(m[1], m[2]), m[3], m[4]
    nodes = tuple(
        i
        for i, (op, *args) in enumerate(program)
        if op == "beside" and (args[0], *args[2:]) == (relation, what.colour, what.shape)
    )
    anchors = [program[i][2] for i in nodes]
    column, row = cell_place(cell)
    drawn = column < scene.columns and row < scene.rows
    founded = drawn if not nodes else any(cell == truth[a] for a in anchors)  # type: ignore[index]
    if not founded and not any(cell == said.value.get(a) for a in anchors):  # type: ignore[call-overload]
        said.claim(nodes, m[6], False)
        return Verdict("wrong", "logic", detail=f"{cell} is not the place that was asked about", nodes=nodes)
    return _cited(scene.beside(relation, cell, what), m[5], m[6], nodes, said, sound=founded)


def _stated(value: str, true: list[str], nodes: tuple[int, ...], said: _Said, fault: Fault) -> Verdict:
    right = value in true
    said.claim(nodes, value, right)
    if right:
        return Verdict("right", nodes=nodes)
    shown = " and ".join(true) or "nothing of the kind"
    return Verdict("wrong", fault, detail=f"the picture shows {shown}", nodes=nodes)


def _held(i: int, program: Program, scene: Scene, truth: list[str], said: _Said) -> tuple[str, bool]:
    """Value and soundness of a node so far: as it was stated, else as it follows from what was, else the truth."""
    if i in said.value:
        return said.value[i], said.sound[i]
    op, *args = program[i]
    if op in SIGNS:
        (left, left_sound), (right, right_sound) = (_held(a, program, scene, truth, said) for a in args)  # type: ignore[arg-type]
        return apply(str(op), left, right), left_sound and right_sound
    if op in PROPERTIES:
        thing, ok = _held(args[0], program, scene, truth, said)  # type: ignore[arg-type]
        return thing.split()[PROPERTIES.index(str(op))], ok
    if op == "beside":
        relation, anchor, colour, shape = args
        cell, ok = _held(anchor, program, scene, truth, said)  # type: ignore[arg-type]
        return str(len(scene.beside(relation, cell, Description(colour, shape)))), ok  # type: ignore[arg-type]
    return truth[i], True


def _worked(
    op: str, left: str, right: str, value: str, program: Program, scene: Scene, truth: list[str], said: _Said
) -> Verdict:
    """Arithmetic: true as a sum, asked for by the question, and on numbers that were stated or are true."""
    nodes = tuple(i for i, n in enumerate(program) if n[0] == op)
    if apply(op, left, right) != value:
        said.claim(nodes, value, False)
        return Verdict("wrong", "logic", detail=f"{left} {SIGNS[op]} {right} is {apply(op, left, right)}", nodes=nodes)
    for i in nodes:
        a, b = program[i][1], program[i][2]
        for x, y in ((a, b), (b, a)) if op in ("plus", "times") else ((a, b),):
            (first, first_sound), (second, second_sound) = (_held(j, program, scene, truth, said) for j in (x, y))  # type: ignore[arg-type]
            if (first, second) == (left, right):
                ok = first_sound and second_sound
                said.claim((i,), value, ok)
                return Verdict("right" if ok else "follows", nodes=(i,))
    said.claim(nodes, value, False)
    return Verdict("wrong", "logic", detail="not on the numbers that were found, or not asked for", nodes=nodes)


def _answered(value: str, program: Program, scene: Scene, truth: list[str], said: _Said) -> Verdict:
    concluded, ok = _held(len(program) - 1, program, scene, truth, said)
    if value != concluded:
        return Verdict("wrong", "logic", detail=f"the steps lead to {concluded}")
    return Verdict("right" if ok else "follows")
