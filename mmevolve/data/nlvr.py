"""NLVR: real pictures of grey boxes with coloured blocks, made by others, with exact lists of what is in them.

Paper: Suhr, Lewis, Yeh and Artzi 2017, "A Corpus of Natural Language for Visual Reasoning", ACL.
Reference code: lil-lab/nlvr, nlvr/.
Data: CC BY 4.0. A folder with `<split>.jsonl` and the 400 x 100 images that its rows name. The files share no row, but
about one picture in a hundred stands in two of them, and one box in ten, towers above all. The statements are given as
they are; the questions about boxes leave out of a split every box that an earlier one has (train, then dev, then test).

Each picture holds three boxes of 100 x 100 pixels, at x = 0, 150 and 300. Objects are given by the top-left corner of
the square around them, in pixels of their box, y downwards.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

from PIL import Image

from mmevolve.config.nearest import hint
from mmevolve.config.ranges import Range
from mmevolve.data.images import open_image
from mmevolve.data.shapes.dataset import sample_of
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.data.shapes.scene import SHAPES, Scene, Thing
from mmevolve.data.table import table
from mmevolve.text import stable_seed
from mmevolve.types import Sample

BOXES = 3
SIDE = 100  # of a box
STRIDE = 150  # from one box to the next
COLOURS = {"black": "black", "yellow": "yellow", "#0099ff": "blue"}
GRID = 4
ORDER = ("train", "dev", "test")
DRAWS = 2000  # boxes tried for one question before giving up


@dataclass(frozen=True)
class GreyBox:
    """One grey box of a picture.

    Attributes:
        image: path of the picture.
        index: 0, 1 or 2 from the left.
        name: row id and index.
        scene: its things on a 4 x 4 grid; several may share a cell.
    """

    image: str
    index: int
    name: str
    scene: Scene

    def picture(self, pixels: int) -> bytes:
        """The box alone, as PNG bytes of a square picture."""
        left = self.index * STRIDE
        crop = open_image(self.image).crop((left, 0, left + SIDE, SIDE))
        filter = Image.Resampling.BOX if pixels < SIDE else Image.Resampling.BICUBIC
        out = io.BytesIO()
        crop.resize((pixels, pixels), filter).save(out, "PNG")
        return out.getvalue()


def nlvr(*, path: str, split: str = "dev", limit: Annotated[int, Range(1)] | None = None) -> list[Sample]:
    """NLVR's own statements: is each true or false of its picture?

    Args:
        path: folder with `<split>.jsonl` and the images.
        split: `train` or `dev`.
        limit: take at most so many.

    Raises:
        ValueError: when the folder lacks the split, or a row or image is broken.
    """
    return table(path=str(_file(path, split)), source=f"nlvr/{split}", limit=limit)


def nlvr_questions(
    *,
    path: str,
    n: Annotated[int, Range(1)],
    split: str = "train",
    families: Sequence[str] = tuple(FAMILIES),
    seed: int = 0,
    pixels: int = 64,
) -> list[Sample]:
    """The embedded world's questions about NLVR's boxes; program, gold rationale and oracle work on them unchanged.

    Args:
        path: folder with `<split>.jsonl` and the images.
        n: number of questions; no two are the same question about the same box.
        split: `train` or `dev`; no box of one, told by what lies in which cell, is in the other.
        families: which question families, taken in turn.
        seed: another seed gives other questions.
        pixels: side of the picture; a box has 100.

    Raises:
        ValueError: for an unknown family, a folder without the split, or more questions than its boxes carry.
    """
    for family in families:
        if family not in FAMILIES:
            raise ValueError(f"no question family '{family}'{hint(family, FAMILIES)}")
    if not families:
        raise ValueError("families is empty, expected at least one question family")
    all_boxes = own_boxes(path, split)
    asked: set[tuple[str, str]] = set()
    return [_question(all_boxes, asked, families[i % len(families)], split, seed, i, pixels) for i in range(n)]


def preflight(**settings: Any) -> Iterator[str]:
    """One sentence if the folder lacks the split, or a family is unknown."""
    path, split = settings.get("path"), settings.get("split", "train" if "n" in settings else "dev")
    if isinstance(path, str) and isinstance(split, str):
        try:
            _file(path, split)
        except ValueError as error:
            yield str(error)
    for family in settings.get("families") or ():
        if family not in FAMILIES:
            yield f"no question family '{family}'{hint(str(family), FAMILIES)}"


def boxes(path: str, split: str) -> list[GreyBox]:
    """Every box of a split, in the file's order.

    Raises:
        ValueError: when an object list is not NLVR's.
    """
    found = []
    for sample in table(path=str(_file(path, split)), verify_images=False):
        try:
            scenes = [Scene(tuple(_thing(o) for o in box), GRID, GRID) for box in sample.meta["structured_rep"]]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"'{path}': {split} '{sample.id}' has no NLVR object list: {error!r}") from error
        if len(scenes) != BOXES or len(sample.images) != 1:
            raise ValueError(
                f"'{path}': {split} '{sample.id}' has {len(scenes)} boxes, expected {BOXES} in one picture"
            )
        for index, scene in enumerate(scenes):
            found.append(GreyBox(str(sample.images[0]), index, f"{sample.id}.{index}", scene))
    return found


def own_boxes(path: str, split: str) -> list[GreyBox]:
    """Boxes of a split with two things or more, each once, without those that an earlier split shows."""
    before = ORDER[: ORDER.index(split)] if split in ORDER else ORDER
    taken = {box.scene.key for name in before if (Path(path) / f"{name}.jsonl").is_file() for box in boxes(path, name)}
    found = {box.scene.key: box for box in reversed(boxes(path, split)) if len(box.scene.things) >= 2}
    return [box for key, box in reversed(found.items()) if key not in taken]


def _question(
    all_boxes: Sequence[GreyBox],
    asked: set[tuple[str, str]],
    family: str,
    split: str,
    seed: int,
    index: int,
    pixels: int,
) -> Sample:
    random = Random(stable_seed("nlvr", split, family, seed, index))
    for _ in range(DRAWS if all_boxes else 0):
        box = random.choice(all_boxes)
        try:
            text, program = FAMILIES[family](random, box.scene)
        except ValueError:  # this box has no such question
            continue
        if (box.name, text) in asked:
            continue
        asked.add((box.name, text))
        name = f"nlvr-{split}-{seed}-{index:06d}"
        return sample_of(name, text, program, box.scene, box.picture(pixels), family=family, source=f"nlvr/{split}")
    raise ValueError(
        f"question {index} of family '{family}': {len(all_boxes)} boxes of split '{split}' carry no more new ones, "
        f"expected fewer questions than that"
    )


def _thing(o: Mapping[str, Any]) -> Thing:
    size = o["size"] / SIDE
    x, y = o["x_loc"] / SIDE + size / 2, o["y_loc"] / SIDE + size / 2
    colour, shape = COLOURS[o["color"].lower()], SHAPES[SHAPES.index(o["type"])]
    column, row = (min(max(int(centre * GRID), 0), GRID - 1) for centre in (x, y))
    return Thing(colour, shape, column, row, round(x, 4), round(y, 4), round(size, 4))


def _file(path: str, split: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"'{path}': no such folder, expected the one with {split}.jsonl and NLVR's images")
    file = folder / f"{split}.jsonl"
    if not file.is_file():
        splits = [p.stem for p in folder.glob("*.jsonl")]
        raise ValueError(f"split '{split}': no '{split}.jsonl' in the folder{hint(split, splits)}")
    return file
