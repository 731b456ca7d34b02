"""Known errors in right rationales of the embedded world: put in at drawn steps, everything after them worked out anew.

A step after an inserted error is worked out from what stands before it, so it follows and is no error of its own: the
steps that the oracle calls wrong are those in which an error was put, and no others. The questions about NLVR's boxes
(`data.nlvr_questions`) have the same programs and scenes, and are served alike.

Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (1 to 5 false details put into a right answer, there by GPT-4o).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from mmevolve.data.shapes.dataset import world_of
from mmevolve.data.shapes.mended import local
from mmevolve.data.shapes.oracle import judge
from mmevolve.data.shapes.program import PROPERTIES, Program, apply, rationale, run, wording
from mmevolve.data.shapes.scene import COLOURS, SHAPES, Description, Scene, cell_name
from mmevolve.prompts.error_list import Error, ErrorKind, boxes_of
from mmevolve.types import Box, Sample, Step

TRIES = 50
LARGEST = 99
SEES = ("count", "at", "find", "beside")
Option = tuple[ErrorKind, str, str]  # kind, the step's text, the value that it states


@dataclass(frozen=True)
class Corrupted:
    """A solution with known errors.

    Attributes:
        steps: as they now stand.
        originals: of each step what it should say, given the steps before it.
        errors: in order of their steps; empty for a right solution.
        solution: the right one, one step a line.
    """

    steps: tuple[Step, ...]
    originals: tuple[str, ...]
    errors: tuple[Error, ...]
    solution: str = ""


def corrupted(sample: Sample, count: int, kinds: Collection[ErrorKind], random: Random) -> Corrupted:
    """The gold rationale with so many errors, one a step; fewer where it has fewer steps that can take one.

    Raises:
        ValueError: when the sample is not of the world, or none of its steps can take an error of these kinds.
    """
    scene, program = world_of(sample)
    for _ in range(TRIES):
        made = _Writer(scene, program, frozenset(kinds), random).write(count)
        verdicts = judge([s.text for s in made.steps], program, scene)
        wrong = {i for i, v in enumerate(verdicts) if v.status in ("wrong", "unparsable")}
        spoken = {e.step for e in made.errors if e.kind != "region"}
        if wrong == spoken and bool(made.errors) == bool(count) and _sayable(made):
            return made
    raise ValueError(f"sample '{sample.id}': no step can take an error of the kinds {sorted(kinds)}")


def _sayable(made: Corrupted) -> bool:
    """Whether all numbers are from 0 to LARGEST: the embedded model has no words for others."""
    words = " ".join((*(s.text for s in made.steps), *made.originals)).split()
    numbers = [int(word) for word in words if word.lstrip("-").isdigit()]
    return all(0 <= n <= LARGEST for n in numbers)


@dataclass(frozen=True)
class _Writer:
    scene: Scene
    program: Program
    kinds: frozenset[ErrorKind]
    random: Random

    def write(self, count: int) -> Corrupted:
        nodes = [i for i, (op, *_) in enumerate(self.program) if op not in PROPERTIES]
        places = [*nodes, len(self.program)]  # the last is the answer line
        chosen = set(self.random.sample(places, min(count, len(places))))
        truth = [f.value for f in run(self.program, self.scene)]
        values: list[str] = []
        steps, originals, errors = [], [], []
        for i, (op, *_) in enumerate(self.program):
            value, cells = local(self.program, self.scene, i, values, truth)
            values.append(value)
            if op in PROPERTIES:
                continue
            text = wording(self.program, i, values, cells)
            region = tuple(self.scene.box(c) for c in dict.fromkeys(cells)) if op in SEES else ()
            step = Step(text, "perception" if op in SEES else "reasoning", region)
            options = list(self._options(i, value, cells, values, truth)) if i in chosen else []
            options = [o for o in options if o[0] in self.kinds and o[1] != text]
            if i in chosen and "region" in self.kinds and region:
                options.append(("region", text, value))
            if options:
                kind = self.random.choice(sorted({o[0] for o in options}))
                _, said, values[i] = self.random.choice([o for o in options if o[0] == kind])
                step, error = self._changed(step, kind, said, len(steps))
                errors.append(error)
            steps.append(step)
            originals.append(text)
        answer = f"answer : {values[-1]}"
        steps.append(Step(answer, "answer"))
        originals.append(answer)
        if len(self.program) in chosen and "logic" in self.kinds:
            said = f"answer : {self.random.choice(_others(values[-1]))}"
            steps[-1] = Step(said, "answer")
            errors.append(Error(len(steps) - 1, "logic", answer, said))
        right = "\n".join(step.text for step in rationale(self.program, self.scene))
        return Corrupted(tuple(steps), tuple(originals), tuple(errors), right)

    def _options(
        self, i: int, value: str, cells: tuple[str, ...], values: list[str], truth: Sequence[str]
    ) -> Iterator[Option]:
        """Every error that node i can take."""
        op, *args = self.program[i]
        if op in ("count", "beside"):
            yield from self._counted(i, cells, values)
        elif op == "at":
            colour, shape = value.split()
            wrong = [f"{c} {shape}" for c in COLOURS if c != colour] + [f"{colour} {s}" for s in SHAPES if s != shape]
            yield from (("perception", self._worded(i, w, (), values), w) for w in wrong)
        elif op == "find":
            full = sorted({t.cell for t in self.scene.things})
            yield from (("perception", self._worded(i, c, (), values), c) for c in full if c != truth[i])
            yield from (("hallucinated object", self._worded(i, c, (), values), c) for c in self._empty())
        else:
            for other in _others(value):
                yield "arithmetic", self._worded(i, other, (), values), other
            for side in args:
                for other in _others(values[side]):  # type: ignore[index]
                    moved = [*values[:side], other, *values[side + 1 :]]  # type: ignore[operator, misc]
                    said = apply(str(op), moved[args[0]], moved[args[1]])  # type: ignore[index]
                    yield "logic", self._worded(i, said, (), moved), said
        if op == "beside":
            relation, anchor, colour, shape = args
            for cell in sorted({t.cell for t in self.scene.things} - {values[anchor], truth[anchor]}):  # type: ignore[index]
                moved = [*values]
                moved[anchor] = cell  # type: ignore[index]
                found = tuple(self.scene.beside(str(relation), cell, Description(colour, shape)))  # type: ignore[arg-type]
                yield "logic", self._worded(i, str(len(found)), found, moved), str(len(found))

    def _counted(self, i: int, cells: tuple[str, ...], values: list[str]) -> Iterator[Option]:
        def option(kind: ErrorKind, cited: tuple[str, ...], number: int) -> Option:
            return kind, self._worded(i, str(number), cited, values), str(number)

        others = sorted({t.cell for t in self.scene.things} - set(cells))
        for k in range(len(cells)):
            rest = cells[:k] + cells[k + 1 :]
            yield option("perception", rest, len(rest))
            yield from (option("perception", tuple(sorted((*rest, c))), len(cells)) for c in others)
            yield from (option("hallucinated object", tuple(sorted((*rest, c))), len(cells)) for c in self._empty())
        yield from (option("perception", tuple(sorted((*cells, c))), len(cells) + 1) for c in others)
        yield from (option("hallucinated object", tuple(sorted((*cells, c))), len(cells) + 1) for c in self._empty())
        yield from (option("arithmetic", cells, int(n)) for n in _others(str(len(cells))))

    def _worded(self, i: int, value: str, cells: tuple[str, ...], values: Sequence[str]) -> str:
        return wording(self.program, i, [*values[:i], value], cells)

    def _empty(self) -> list[str]:
        grid = [cell_name(c, r) for c in range(self.scene.columns) for r in range(self.scene.rows)]
        return [c for c in grid if not self.scene.at(c)]

    def _changed(self, step: Step, kind: ErrorKind, said: str, index: int) -> tuple[Step, Error]:
        if kind != "region":
            return replace(step, text=said), Error(index, kind, step.text, said)
        grid = [self.scene.box(cell_name(c, r)) for c in range(self.scene.columns) for r in range(self.scene.rows)]
        away: list[Box] = [box for box in grid if box not in step.region]
        moved = replace(step, region=(self.random.choice(away), *step.region[1:]))
        return moved, Error(index, "region", boxes_of(step), boxes_of(moved))


def _others(value: str) -> list[str]:
    """Other values of the same sort: numbers from 0, 2 away at most; the other of yes and no; colours; shapes."""
    if value in ("yes", "no"):
        return ["no" if value == "yes" else "yes"]
    if value.lstrip("-").isdigit():
        return [str(n) for n in range(max(0, int(value) - 2), max(0, int(value)) + 3) if n != int(value)]
    for sort in (COLOURS, SHAPES):
        if value in sort:
            return [other for other in sort if other != value]
    raise ValueError(f"'{value}' is no value that a question of this world has")
