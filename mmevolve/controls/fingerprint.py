"""What a picture is recognised by: its bytes, its pixels, and a hash that survives re-encoding and scaling."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmevolve.data.images import image_digest, open_image
from mmevolve.types import ImageRef

SIDE = 16  # frequencies a side of the perceptual hash: SIDE * SIDE bits
_SAMPLED = 4 * SIDE  # pixels a side that the picture is reduced to before
_FLAT = 2.0  # grey levels: a picture that varies less has no structure to hash


@dataclass(frozen=True)
class Fingerprint:
    """One picture's hashes.

    Attributes:
        bytes: SHA-256 of the encoded bytes.
        pixels: SHA-256 of size and decoded RGB pixels.
        perceptual: 256 bits of the picture's low frequencies; None for a picture that is all but even.
    """

    bytes: str
    pixels: str
    perceptual: int | None


def fingerprint(ref: ImageRef) -> Fingerprint:
    """All three, with the picture decoded once.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no image; the sentence names the file.
    """
    image = open_image(ref)
    return Fingerprint(image_digest(ref), _pixels(image), perceptual_hash(image))


def pixel_digest(ref: ImageRef) -> str:
    """SHA-256 of size and upright RGB pixels: the same for a picture saved in another lossless format."""
    return _pixels(open_image(ref))


def perceptual_hash(image: Image.Image) -> int | None:
    """Signs of a picture's low frequencies: the DCT hash, with 256 bits.

    The picture becomes 64 x 64 grey levels; of its two-dimensional DCT-II the 16 x 16 lowest frequencies are taken, and
    a bit is set where one is above their median, the constant left out of the median and its bit off.

    Paper: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions".
    Differs: 256 bits from 64 x 64 levels, not 64 bits from 32 x 32: with as many copies found, 64 bits take several
    times as many different diagrams on white paper for the same. No mean filter comes first; scaling down averages.

    Returns:
        The bits as a number, the lowest row of frequencies first; None for a picture without structure.
    """
    small = image.convert("L").resize((_SAMPLED, _SAMPLED), Image.Resampling.BOX)
    levels = np.asarray(small, dtype=np.float64)
    if levels.std() < _FLAT:
        return None
    low = (_BASIS @ levels @ _BASIS.T).ravel()
    low[0] = -np.inf
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _basis() -> np.ndarray:
    """The SIDE lowest rows of the DCT-II of _SAMPLED points, orthonormal."""
    k, n = np.arange(SIDE)[:, None], np.arange(_SAMPLED)[None, :]
    rows = np.cos(np.pi * (2 * n + 1) * k / (2 * _SAMPLED)) * np.sqrt(2 / _SAMPLED)
    rows[0] /= np.sqrt(2)
    return rows


_BASIS = _basis()


def _pixels(image: Image.Image) -> str:
    digest = hashlib.sha256(f"{image.width}x{image.height}\n".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()
