"""The embedded world as a dataset: endless, deterministic by seed, splits disjoint by construction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import Annotated, Any, Literal

from mmevolve.config.nearest import hint
from mmevolve.config.ranges import Range
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.data.shapes.program import Program, rationale, run
from mmevolve.data.shapes.render import render
from mmevolve.data.shapes.scene import Scene, draw_scene
from mmevolve.text import stable_seed
from mmevolve.types import Sample

Split = Literal["base", "train", "validation", "test"]
# A scene's own hash says which split it belongs to, so no scene can be in two. `base` made the shipped tiny VLM.
BUCKETS: dict[str, range] = {
    "base": range(0, 10),
    "train": range(10, 18),
    "validation": range(18, 19),
    "test": range(19, 20),
}


def shapes(
    *,
    n: Annotated[int, Range(0)],
    split: Split = "train",
    families: Sequence[str] = tuple(FAMILIES),
    seed: int = 0,
    first: int = 0,
) -> list[Sample]:
    """Questions about generated scenes, families in turn.

    Args:
        n: number of questions.
        split: base, train, validation or test; their scenes are disjoint.
        families: which question families, taken in turn.
        seed: another seed gives other scenes of the same split.
        first: index of the first question; (seed, index) fixes a question whatever `n` is.

    Raises:
        ValueError: for an unknown split or family, or no family.
    """
    if not families:
        raise ValueError(f"families is empty, expected some of {', '.join(FAMILIES)}")
    for family in families:
        if family not in FAMILIES:
            raise ValueError(f"no question family '{family}'{hint(family, FAMILIES)}")
    if split not in BUCKETS:
        raise ValueError(f"no split '{split}'{hint(split, BUCKETS)}")
    return [draw_sample(split, families[i % len(families)], seed, i) for i in range(first, first + n)]


def preflight(*, split: object = "train", families: object = ()) -> Iterator[str]:
    """One sentence for each split or family that the world lacks."""
    if isinstance(split, str) and split not in BUCKETS:
        yield f"no split '{split}'{hint(split, BUCKETS)}"
    for family in families if isinstance(families, list | tuple) else ():
        if isinstance(family, str) and family not in FAMILIES:
            yield f"no question family '{family}'{hint(family, FAMILIES)}"


def draw_sample(split: str, family: str, seed: int, index: int) -> Sample:
    """Question `index` of a split: scenes are drawn until one falls into the split and carries such a question."""
    random = Random(stable_seed("shapes", split, family, seed, index))
    while True:
        scene = draw_scene(random)
        if bucket(scene) not in BUCKETS[split]:
            continue
        try:
            text, program = FAMILIES[family](random, scene)
        except ValueError:  # this scene has no such question
            continue
        name = f"shapes-{split}-{seed}-{index:06d}"
        return sample_of(name, text, program, scene, render(scene), family=family, source=f"shapes/{split}")


def sample_of(
    name: str, text: str, program: Program, scene: Scene, image: str | bytes, *, family: str, source: str
) -> Sample:
    """A sample whose `meta` holds what the oracle needs: scene, program, family and depth tier."""
    meta: dict[str, Any] = {
        "world": "shapes",
        "scene": scene.to_json(),
        "program": program,
        "family": family,
        "tier": tier(program),
    }
    return Sample(name, text, (image,), run(program, scene)[-1].value, source=source, meta=meta)


def tier(program: Program) -> int:
    """Depth by number of steps: 1 (one step), 2 (two or three), 3 (four or more); the answer line is not counted."""
    steps = sum(node[0] not in ("colour", "shape") for node in program)
    return 1 if steps == 1 else 2 if steps <= 3 else 3


def gold(sample: Sample) -> str:
    """The gold rationale's text."""
    scene, program = world_of(sample)
    return "\n".join(step.text for step in rationale(program, scene))


def world_of(sample: Sample) -> tuple[Scene, Program]:
    """Scene and program of a sample of the world.

    Raises:
        ValueError: when the sample does not come from it.
    """
    if sample.meta.get("world") != "shapes":
        raise ValueError(f"sample '{sample.id}' has no scene: the oracle judges only samples of the shapes world")
    return Scene.from_json(sample.meta["scene"]), tuple(tuple(node) for node in sample.meta["program"])


def bucket(scene: Scene) -> int:
    """0 to 19, by a hash of what the scene shows."""
    return _bucket(scene.key)


@lru_cache(maxsize=4096)
def _bucket(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 20


def descriptions(scene: Scene) -> Iterator[str]:
    """Every thing with its cell, in reading order: what the tiny VLM's eye is trained on."""
    for thing in sorted(scene.things, key=lambda t: t.cell):
        yield f"{thing.cell} {thing.colour} {thing.shape}"
