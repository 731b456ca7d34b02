"""Changes of a picture that change no answer: light, contrast, sharpness, coding, size, border, noise.

None turns or mirrors the picture, as left and right are what many questions ask about, and none changes hue.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from mmevolve.config.nearest import hint
from mmevolve.controls.link import variant
from mmevolve.controls.pictures import encode, with_images
from mmevolve.data.images import open_image
from mmevolve.text import stable_seed
from mmevolve.types import Sample

Change = Callable[[Image.Image, int], Image.Image]


def brighter(image: Image.Image, seed: int) -> Image.Image:
    """A fifth more light."""
    return ImageEnhance.Brightness(image).enhance(1.2)


def darker(image: Image.Image, seed: int) -> Image.Image:
    """A fifth less light."""
    return ImageEnhance.Brightness(image).enhance(0.8)


def flatter(image: Image.Image, seed: int) -> Image.Image:
    """A quarter less contrast."""
    return ImageEnhance.Contrast(image).enhance(0.75)


def blurred(image: Image.Image, seed: int) -> Image.Image:
    """Gaussian blur with a deviation of one pixel per 500 of the longer side, at least half a pixel."""
    return image.filter(ImageFilter.GaussianBlur(max(0.5, max(image.size) / 500)))


def jpeg(image: Image.Image, seed: int) -> Image.Image:
    """Saved as JPEG with quality 60 and read again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def smaller(image: Image.Image, seed: int) -> Image.Image:
    """Three quarters of the width and height."""
    size = (max(1, round(image.width * 0.75)), max(1, round(image.height * 0.75)))
    return image.resize(size, Image.Resampling.LANCZOS)


def framed(image: Image.Image, seed: int) -> Image.Image:
    """A border of 5 percent on each side, in the colour of the top left pixel: what is shown moves and nothing goes."""
    dx, dy = max(1, round(image.width * 0.05)), max(1, round(image.height * 0.05))
    result = Image.new("RGB", (image.width + 2 * dx, image.height + 2 * dy), image.getpixel((0, 0)))
    result.paste(image, (dx, dy))
    return result


def cropped(image: Image.Image, seed: int) -> Image.Image:
    """The window of 96 percent of the width and height at a seeded place; what stands at the edge may go."""
    width, height = max(1, round(image.width * 0.96)), max(1, round(image.height * 0.96))
    draw = np.random.default_rng(seed)
    left, top = int(draw.integers(image.width - width + 1)), int(draw.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def noisy(image: Image.Image, seed: int) -> Image.Image:
    """Gaussian noise of 8 grey levels on each channel of each pixel."""
    levels = np.asarray(image, dtype=np.float64)
    drawn = np.random.default_rng(seed).normal(0.0, 8.0, levels.shape)
    return Image.fromarray(np.clip(np.rint(levels + drawn), 0, 255).astype(np.uint8), "RGB")


CHANGES: dict[str, Change] = {
    change.__name__: change for change in (brighter, darker, flatter, blurred, jpeg, smaller, framed, cropped, noisy)
}


def augmented(samples: Sequence[Sample], *, changes: Sequence[str] = tuple(CHANGES), seed: int = 0) -> list[Sample]:
    """One variant of each sample and each change; samples without images are left out.

    Args:
        samples: the originals.
        changes: names out of `CHANGES`.
        seed: of the changes that draw.

    Raises:
        ValueError: when a change is unknown, or no sample has an image.
    """
    for name in changes:
        if name not in CHANGES:
            raise ValueError(f"no image change '{name}'{hint(name, CHANGES)}")
    return [
        variant(
            s,
            "augmented",
            f".{name}",
            {"change": name, "seed": seed},
            images=tuple(
                encode(CHANGES[name](open_image(ref), stable_seed(seed, name, s.id, i)))
                for i, ref in enumerate(s.images)
            ),
        )
        for s in with_images(samples)
        for name in changes
    ]
