"""Controls that show whether a model looks: no image, a grey one, another one's, its patches out of place.

Papers: Chen et al. 2024, "Are We on the Right Way for Evaluating Large Vision-Language Models?", arXiv:2403.20330 (no
image). The exchanged and the scrambled picture are the usual further controls: they keep a picture's presence, and its
patches, while they take away what the question is about.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from random import Random

from PIL import Image

from mmevolve.controls.derange import derangement
from mmevolve.controls.fingerprint import pixel_digest
from mmevolve.controls.link import variant
from mmevolve.data.images import name_of, open_image
from mmevolve.text import stable_seed
from mmevolve.types import Sample


def no_image(samples: Sequence[Sample]) -> list[Sample]:
    """The same questions without their images; those that have none are left out.

    Raises:
        ValueError: when no sample has an image.
    """
    return [variant(s, "no_image", images=()) for s in with_images(samples)]


def grey(samples: Sequence[Sample], *, level: int = 128) -> list[Sample]:
    """Each image replaced by an even one of its size; those samples that have none are left out.

    Args:
        samples: the originals.
        level: from 0, black, to 255, white.

    Raises:
        ValueError: when no sample has an image, or the level is out of range.
    """
    if not 0 <= level <= 255:
        raise ValueError(f"grey level {level}: expected 0 (black) to 255 (white)")
    facts = {"level": level}
    return [
        variant(s, "grey", facts=facts, images=tuple(_even(open_image(ref).size, level) for ref in s.images))
        for s in with_images(samples)
    ]


def swapped(samples: Sequence[Sample], *, seed: int = 0) -> list[Sample]:
    """Each sample with the images of another: a derangement in which no sample gets a picture that it has itself.

    Pictures are the same when their decoded pixels are. Samples exchange with those that have as many images, so that a
    question about `image 2` has one. Where more than half of those share a picture there is no exchange, and they are
    left out.

    Raises:
        ValueError: when no sample can be given another one's picture.
    """
    seeing = with_images(samples)
    classes: dict[int, list[Sample]] = defaultdict(list)
    for sample in seeing:
        classes[len(sample.images)].append(sample)
    donors: dict[str, Sample] = {}
    for members in classes.values():
        ids = [s.id for s in members]
        drawn = derangement(ids, _sharing([[pixel_digest(ref) for ref in s.images] for s in members]), seed)
        donors |= {i: members[j] for i, j in zip(ids, drawn or (), strict=drawn is not None)}
    if not donors:
        raise ValueError(f"{len(seeing)} samples with images: no exchange gives each another picture than its own")
    return [
        variant(s, "swapped", facts={"seed": seed, "images_of": donors[s.id].id}, images=donors[s.id].images)
        for s in seeing
        if s.id in donors
    ]


def permuted(samples: Sequence[Sample], *, grid: int = 4, seed: int = 0) -> list[Sample]:
    """Each image cut into `grid` x `grid` equal patches that all change place; samples without images are left out.

    The last rows and columns that no patch covers stay; an image smaller than the grid has one-pixel patches. What is
    asked must hang on where things are: a count of things that each lie in one patch survives this control.

    Raises:
        ValueError: when no sample has an image, the grid is below 2, or an image is a single pixel.
    """
    if grid < 2:
        raise ValueError(f"grid {grid}: at least 2 x 2 patches are needed to permute any")
    facts = {"grid": grid, "seed": seed}
    return [
        variant(
            s,
            "permuted",
            facts=facts,
            images=tuple(
                encode(scrambled(open_image(ref), grid, stable_seed(seed, "permuted", s.id, i), name_of(ref)))
                for i, ref in enumerate(s.images)
            ),
        )
        for s in with_images(samples)
    ]


def scrambled(image: Image.Image, grid: int, seed: int, name: str = "image") -> Image.Image:
    """A picture with every patch of a grid in another place."""
    across, down = min(grid, image.width), min(grid, image.height)
    if across * down < 2:
        raise ValueError(f"{name}: a single pixel has no patches to permute")
    width, height = image.width // across, image.height // down
    corners = [(x * width, y * height) for y in range(down) for x in range(across)]
    order = list(range(len(corners)))
    Random(seed).shuffle(order)
    result = image.copy()
    for place, source in zip(order, order[1:] + order[:1], strict=True):  # one cycle: no patch stays
        x, y = corners[source]
        result.paste(image.crop((x, y, x + width, y + height)), corners[place])
    return result


def encode(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG, the same for the same pixels."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@lru_cache(maxsize=256)
def _even(size: tuple[int, int], level: int) -> bytes:
    return encode(Image.new("RGB", size, (level, level, level)))


def with_images(samples: Sequence[Sample]) -> list[Sample]:
    """Those samples that have images.

    Raises:
        ValueError: when there are none.
    """
    seeing = [s for s in samples if s.images]
    if not seeing:
        raise ValueError(f"none of {len(samples)} samples has an image: an image control has nothing to change")
    return seeing


def _sharing(pictures: Sequence[Iterable[str]]) -> list[int]:
    """One label a row, equal for rows that share a picture, directly or through others."""
    parent = list(range(len(pictures)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, row in enumerate(pictures):
        for picture in row:
            a, b = root(i), root(first.setdefault(picture, i))
            parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(pictures))]
