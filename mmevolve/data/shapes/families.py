"""Question families: each draws one question about a scene, as English words and as a program."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from mmevolve.data.shapes.program import Program
from mmevolve.data.shapes.scene import COLOURS, RELATIONS, SHAPES, Description, Scene

Question = tuple[str, Program]


def describe(random: Random, scene: Scene) -> Description:
    """A kind of thing to ask for: usually one that is there."""
    thing = random.choice(scene.things)
    colours = sorted({t.colour for t in scene.things})
    there = random.random() < 0.85
    colour = thing.colour if there else random.choice(colours)
    shape = thing.shape if there else random.choice(SHAPES)
    drawn = random.random()
    if drawn < 0.35:
        return Description(colour, shape)
    return Description(colour, None) if drawn < 0.7 else Description(None, shape)


def _two(random: Random, scene: Scene) -> tuple[Description, Description]:
    first = describe(random, scene)
    while (second := describe(random, scene)) == first:
        pass
    return first, second


def count(random: Random, scene: Scene) -> Question:
    """How many there are of a kind."""
    what = describe(random, scene)
    return f"how many {what.plural} are there ?", (_count(what),)


def compare(random: Random, scene: Scene) -> Question:
    """Yes and no equally often, and ties among the no's, so that guessing gains nothing."""
    want = random.random() < 0.5
    for _ in range(30):
        a, b = _two(random, scene)
        if (len(scene.cells(a)) > len(scene.cells(b))) == want:
            break
    return f"are there more {a.plural} than {b.plural} ?", (_count(a), _count(b), ("more", 0, 1))


def total(random: Random, scene: Scene) -> Question:
    """The sum of two counts."""
    a, b = _two(random, scene)
    text = f"what is the number of {a.plural} plus the number of {b.plural} ?"
    return text, (_count(a), _count(b), ("plus", 0, 1))


def removal(random: Random, scene: Scene) -> Question:
    """Colour removed and shape asked for, or the other way round: the two overlap."""
    thing = random.choice(scene.things)
    both = Description(thing.colour, thing.shape)
    gone, asked = Description(thing.colour, None), Description(None, thing.shape)
    if random.random() < 0.5:
        gone, asked = asked, gone
    text = f"remove all {gone.plural} . how many {asked.plural} are left ?"
    return text, (_count(asked), _count(both), ("minus", 0, 1))


def place(random: Random, scene: Scene) -> Question:
    """Colour or shape of the only thing in a cell.

    Raises:
        ValueError: when no cell holds exactly one thing.
    """
    cells = sorted({t.cell for t in scene.things if len(scene.at(t.cell)) == 1})
    if not cells:
        raise ValueError("no cell holds exactly one thing")
    cell = random.choice(cells)
    if random.random() < 0.5:
        return f"what colour is the shape at {cell} ?", (("at", cell), ("colour", 0))
    return f"what shape is at {cell} ?", (("at", cell), ("shape", 0))


def spatial(random: Random, scene: Scene) -> Question:
    """Things in a relation to the only thing of its kind.

    Raises:
        ValueError: when no kind has exactly one thing.
    """
    kinds = [(t.colour, t.shape) for t in scene.things]
    alone = sorted(k for k in set(kinds) if kinds.count(k) == 1)
    if not alone:
        raise ValueError("no colour and shape occurs exactly once")
    anchor = Description(*random.choice(alone))
    cell = scene.cells(anchor)[0]
    for _ in range(4):  # otherwise two answers in five would be 0
        relation, what = random.choice(RELATIONS), Description(None, random.choice((None, None, *SHAPES)))
        if scene.beside(relation, cell, what):
            break
    text = f"how many {what.plural} are {relation} the {anchor.singular} ?"
    return text, (("find", anchor.colour, anchor.shape), ("beside", relation, 0, what.colour, what.shape))


def two_hop(random: Random, scene: Scene) -> Question:
    """A product, then a sum: the second sum needs the first result."""
    a, b = _two(random, scene)
    c = describe(random, scene)
    text = f"what is the number of {a.plural} times the number of {b.plural} , plus the number of {c.plural} ?"
    return text, (_count(a), _count(b), ("times", 0, 1), _count(c), ("plus", 2, 3))


_COUNTED = re.compile(rf"((?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join(SHAPES)}|shape)s) : .*")


def atomic_question(step: str) -> str | None:
    """The world's own question that a counting step answers by itself; None for any other step.

    >>> atomic_question("red shapes : a2 b1 = 2")
    'how many red shapes are there ?'
    """
    said = _COUNTED.fullmatch(step)
    return f"how many {said[1]} are there ?" if said else None


def _count(what: Description) -> tuple[object, ...]:
    return ("count", what.colour, what.shape)


FAMILIES: dict[str, Callable[[Random, Scene], Question]] = {
    "count": count,
    "compare": compare,
    "total": total,
    "removal": removal,
    "place": place,
    "spatial": spatial,
    "two_hop": two_hop,
}
