"""Questions as small programs over a scene: their value, their gold rationale, and the words of each step.

A program is a tuple of nodes; a node refers to earlier ones by index. Its last node is the answer.

    ("count", colour, shape)             things of a kind
    ("at", cell)                         the one thing in a cell
    ("find", colour, shape)              cell of the only thing of a kind
    ("beside", relation, i, colour, shape)   things of a kind in a relation to the cell of node i
    ("plus" | "minus" | "times" | "more", i, j)
    ("colour" | "shape", i)              a property of the thing of node i; answered without a step of its own
"""

from __future__ import annotations

from dataclasses import dataclass

from mmevolve.data.shapes.scene import Description, Scene
from mmevolve.types import Step

Node = tuple[object, ...]
Program = tuple[Node, ...]
SIGNS = {"plus": "+", "minus": "-", "times": "*", "more": ">"}
PROPERTIES = ("colour", "shape")


@dataclass(frozen=True)
class Fact:
    """A node's truth: its value and the cells that show it."""

    value: str
    cells: tuple[str, ...] = ()


def as_program(data: object) -> Program:
    """A program from JSON."""
    return tuple(tuple(node) for node in data)  # type: ignore[union-attr, attr-defined]


def run(program: Program, scene: Scene) -> list[Fact]:
    """The true value of every node.

    Raises:
        ValueError: when an "at" or "find" node does not pick out exactly one thing.
    """
    facts: list[Fact] = []
    for op, *args in program:
        if op == "count":
            cells = scene.cells(Description(*args))
            facts.append(Fact(str(len(cells)), tuple(cells)))
        elif op == "at":
            facts.append(_only([f"{t.colour} {t.shape}" for t in scene.at(args[0])], (args[0],), args[0]))
        elif op == "find":
            cells = scene.cells(Description(*args))
            facts.append(_only(cells, tuple(cells), Description(*args).singular))
        elif op == "beside":
            relation, i, colour, shape = args
            cells = scene.beside(relation, facts[i].value, Description(colour, shape))
            facts.append(Fact(str(len(cells)), tuple(cells)))
        elif op in PROPERTIES:
            facts.append(Fact(facts[args[0]].value.split()[PROPERTIES.index(op)]))
        else:
            facts.append(Fact(apply(op, facts[args[0]].value, facts[args[1]].value)))
    return facts


def apply(op: str, left: str, right: str) -> str:
    """Arithmetic or comparison on two counts."""
    a, b = int(left), int(right)
    if op == "more":
        return "yes" if a > b else "no"
    return str({"plus": a + b, "minus": a - b, "times": a * b}[op])


def wording(program: Program, index: int, values: list[str], cells: tuple[str, ...]) -> str:
    """The step that states node `index`, given every node's value and the cells that are cited."""
    op, *args = program[index]
    seen = " ".join(cells) or "none"
    value = values[index]
    if op == "count":
        return f"{Description(*args).plural} : {seen} = {value}"
    if op == "at":
        return f"{args[0]} : {value}"
    if op == "find":
        return f"the {Description(*args).singular} : {value}"
    if op == "beside":
        relation, i, colour, shape = args
        return f"{Description(colour, shape).plural} {relation} {values[i]} : {seen} = {value}"
    left, right = values[args[0]], values[args[1]]
    return f"{left} {SIGNS[op]} {right} {':' if op == 'more' else '='} {value}"


def rationale(program: Program, scene: Scene) -> tuple[Step, ...]:
    """The gold rationale: one typed step a node, then the answer. Perception steps carry the regions they cite."""
    facts = run(program, scene)
    values = [f.value for f in facts]
    steps = []
    for i, (op, *_) in enumerate(program):
        if op in PROPERTIES:
            continue
        sees = op in ("count", "at", "find", "beside")
        region = tuple(scene.box(c) for c in dict.fromkeys(facts[i].cells)) if sees else ()
        text = wording(program, i, values, facts[i].cells)
        steps.append(Step(text, "perception" if sees else "reasoning", region))
    return (*steps, Step(f"answer : {values[-1]}", "answer"))


def _only(found: list[str], cells: tuple[str, ...], what: str) -> Fact:
    if len(found) != 1:
        raise ValueError(f"'{what}' picks out {len(found)} things, expected exactly one")
    return Fact(found[0], cells)
