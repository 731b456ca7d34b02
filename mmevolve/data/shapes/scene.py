"""Scenes: coloured shapes on a grid of named cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from mmevolve.types import Box

COLOURS = ("red", "green", "blue", "yellow", "black")
SHAPES = ("circle", "square", "triangle")
RELATIONS = ("left of", "right of", "above", "below")


@dataclass(frozen=True)
class Thing:
    """One shape.

    Attributes:
        colour: one of COLOURS.
        shape: one of SHAPES.
        column: grid column of its centre, 0 at the left.
        row: grid row of its centre, 0 at the top.
        x: centre as a fraction of the width.
        y: centre as a fraction of the height.
        size: side or diameter as a fraction of the width.
    """

    colour: str
    shape: str
    column: int
    row: int
    x: float
    y: float
    size: float

    @property
    def cell(self) -> str:
        """Its cell's name: column letter, row number from the top; `b2` is second column, second row."""
        return cell_name(self.column, self.row)


@dataclass(frozen=True)
class Description:
    """What a phrase such as "red circles" picks out; None means any."""

    colour: str | None = None
    shape: str | None = None

    def fits(self, thing: Thing) -> bool:
        return self.colour in (None, thing.colour) and self.shape in (None, thing.shape)

    @property
    def plural(self) -> str:
        return " ".join(w for w in (self.colour, f"{self.shape or 'shape'}s") if w)

    @property
    def singular(self) -> str:
        return " ".join(w for w in (self.colour, self.shape or "shape") if w)


@dataclass(frozen=True)
class Scene:
    """A picture's exact content.

    Attributes:
        things: in no particular order.
        columns: grid width.
        rows: grid height.
    """

    things: tuple[Thing, ...]
    columns: int = 4
    rows: int = 4

    def cells(self, what: Description) -> list[str]:
        """Cells of all things that fit, in reading order by column then row; a cell twice if it holds two."""
        return sorted(t.cell for t in self.things if what.fits(t))

    def beside(self, relation: str, cell: str, what: Description) -> list[str]:
        """Cells of all fitting things that stand in the relation to a cell (whole columns and rows are compared)."""
        column, row = cell_place(cell)
        keep = {
            "left of": lambda t: t.column < column,
            "right of": lambda t: t.column > column,
            "above": lambda t: t.row < row,
            "below": lambda t: t.row > row,
        }[relation]
        return sorted(t.cell for t in self.things if what.fits(t) and keep(t))

    def at(self, cell: str) -> list[Thing]:
        """Things whose centre lies in a cell."""
        return [t for t in self.things if t.cell == cell]

    def box(self, cell: str) -> Box:
        """A cell as a region: (x0, y0, x1, y1) in fractions of the image."""
        column, row = cell_place(cell)
        return (column / self.columns, row / self.rows, (column + 1) / self.columns, (row + 1) / self.rows)

    def to_json(self) -> dict[str, Any]:
        things = [[t.colour, t.shape, t.column, t.row, t.x, t.y, t.size] for t in self.things]
        return {"things": things, "columns": self.columns, "rows": self.rows}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scene:
        return cls(tuple(Thing(*t) for t in data["things"]), data["columns"], data["rows"])

    @property
    def key(self) -> str:
        """What makes two scenes the same for splitting: kind and cell of every thing."""
        return f"{self.columns}x{self.rows} " + " ".join(sorted(f"{t.cell}-{t.colour}-{t.shape}" for t in self.things))


def cell_name(column: int, row: int) -> str:
    """The cell in a column and a row, both from 0."""
    return f"{chr(ord('a') + column)}{row + 1}"


def cell_place(cell: str) -> tuple[int, int]:
    """(column, row) of a cell's name.

    Raises:
        ValueError: when it is not a letter and a number.
    """
    if len(cell) < 2 or not ("a" <= cell[0] <= "z") or not cell[1:].isdigit() or int(cell[1:]) < 1:
        raise ValueError(f"'{cell}' is not a cell: expected a column letter and a row number, such as b2")
    return ord(cell[0]) - ord("a"), int(cell[1:]) - 1


def draw_scene(random: Random, *, low: int = 4, high: int = 9, columns: int = 4, rows: int = 4) -> Scene:
    """A random scene: at most one thing a cell, three colours at most, so that counts are worth asking for."""
    palette = random.sample(COLOURS, 3)
    places = random.sample(range(columns * rows), random.randint(low, high))
    things = []
    for place in places:
        column, row = place % columns, place // columns
        size = random.uniform(0.13, 0.21)
        slack = (1 / columns - size) / 2
        x = round((column + 0.5) / columns + random.uniform(-slack, slack), 4)
        y = round((row + 0.5) / rows + random.uniform(-slack, slack), 4)
        things.append(Thing(random.choice(palette), random.choice(SHAPES), column, row, x, y, round(size, 4)))
    return Scene(tuple(things), columns, rows)
