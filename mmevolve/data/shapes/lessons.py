"""What the tiny VLM is taught before it is shipped: rows of the `base` split, which no recipe trains or evaluates on.

Three kinds: descriptions of whole pictures (they teach the eye to be read), questions with their gold rationale, and
the same with the answer as a hint in the prompt, so that the model can be asked to rationalize an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Annotated

from mmevolve.config.nearest import hint
from mmevolve.config.ranges import Range
from mmevolve.data.shapes import dataset
from mmevolve.data.shapes.dataset import gold, shapes, world_of
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.data.shapes.scene import COLOURS, SHAPES, cell_place
from mmevolve.prompts import template
from mmevolve.text import ask, stable_seed, user
from mmevolve.types import Demonstration, Sample

DESCRIBE = "describe the picture ."


def lessons(
    *,
    descriptions: Annotated[int, Range(0)],
    questions: Mapping[str, int],
    hinted: Annotated[float, Range(0, 1)] = 0.2,
    seed: int = 0,
) -> list[Demonstration]:
    """Rows in one seeded order.

    Args:
        descriptions: rows that list every thing with its cell.
        questions: rows of each question family.
        hinted: share of the question rows whose prompt holds the answer.
        seed: of scenes and order.
    """
    rows = [describe_row(s) for s in shapes(n=descriptions, split="base", families=("count",), seed=seed)]
    for family, n in questions.items():
        for i, sample in enumerate(shapes(n=n, split="base", families=(family,), seed=stable_seed(seed, family))):
            hint = i % 100 < round(100 * hinted)
            chat = ask(sample, template("hint" if hint else "question"), **({"answer": sample.answer} if hint else {}))
            rows.append(Demonstration(chat, gold(sample), source=sample.id))
    Random(stable_seed(seed, "lessons")).shuffle(rows)
    return rows


def preflight(*, questions: object = None, **_: object) -> Iterator[str]:
    """One sentence for each question family that the world lacks."""
    for family in questions if isinstance(questions, Mapping) else ():
        if family not in FAMILIES:
            yield f"no question family '{family}'{hint(str(family), FAMILIES)}"


def describe_row(sample: Sample) -> Demonstration:
    """The row that asks for everything in the picture."""
    scene, _ = world_of(sample)
    return Demonstration((user(DESCRIBE, sample.images),), "\n".join(dataset.descriptions(scene)), source=sample.id)


def eye_chart(*, n: Annotated[int, Range(1)], seed: int = 0) -> list[tuple[bytes, tuple[int, ...]]]:
    """Pictures with what stands in each of their 16 cells, row by row: 0 for nothing, else 1 + 3 * colour + shape."""
    chart = []
    for sample in shapes(n=n, split="base", families=("count",), seed=stable_seed(seed, "eye")):
        cells = [0] * 16
        for thing in world_of(sample)[0].things:
            column, row = cell_place(thing.cell)
            cells[4 * row + column] = 1 + len(SHAPES) * COLOURS.index(thing.colour) + SHAPES.index(thing.shape)
        chart.append((bytes(sample.images[0]), tuple(cells)))
    return chart
