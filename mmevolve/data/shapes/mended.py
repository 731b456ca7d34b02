"""What each step of an attempt should say, given the steps before it: the exact critique of an attempt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmevolve.data.shapes.oracle import judge
from mmevolve.data.shapes.program import PROPERTIES, Program, apply, run, wording
from mmevolve.data.shapes.scene import Description, Scene


def local(
    program: Program, scene: Scene, i: int, values: Sequence[str], truth: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """What node i should state after what was stated, and the cells that it cites."""
    op, *args = program[i]
    if op in PROPERTIES:
        return values[args[0]].split()[PROPERTIES.index(str(op))], ()  # type: ignore[index]
    if op == "count":
        cells = scene.cells(Description(*args))  # type: ignore[arg-type]
        return str(len(cells)), tuple(cells)
    if op == "beside":
        relation, anchor, colour, shape = args
        what = Description(colour, shape)  # type: ignore[arg-type]
        cells = scene.beside(str(relation), values[anchor], what)  # type: ignore[index]
        return str(len(cells)), tuple(cells)
    if op in ("at", "find"):
        return truth[i], (str(args[0]) if op == "at" else truth[i],)
    return apply(str(op), values[args[0]], values[args[1]]), ()  # type: ignore[index]


def mended(steps: Sequence[str], program: Program, scene: Scene) -> tuple[str, ...] | None:
    """Of each step what it should say; a step that follows from a wrong one is right as it stands.

    Step k is read as the k-th that the question asks for. One that states something else has stated nothing: what
    follows is worked out as if it had said what it should.

    Returns:
        None for an attempt with more or fewer steps than its question has: there is nothing to put beside them.
    """
    nodes = [i for i, (op, *_) in enumerate(program) if op not in PROPERTIES]
    if len(steps) != len(nodes) + 1:  # the last is the answer line
        return None
    truth = [fact.value for fact in run(program, scene)]
    plain = [" ".join(step.split()) for step in steps]
    said = list(zip(plain, judge(plain, program, scene), strict=True))
    stated = dict(zip(nodes, said[:-1], strict=True))
    values: list[str] = []
    out = []
    for i, (op, *_) in enumerate(program):
        value, cells = local(program, scene, i, values, truth)
        values.append(value)
        if op in PROPERTIES:
            continue
        out.append(wording(program, i, values, cells))
        step, verdict = stated[i]
        if i in verdict.nodes:
            values[i] = re.split(r" [:=] ", step)[-1]
    return (*out, f"answer : {values[-1]}")
