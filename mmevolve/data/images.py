"""Image files and encoded images as upright RGB pictures; what cannot be one is refused in a sentence."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps

from mmevolve.types import ImageRef

MAX_PIXELS = 50_000_000  # 150 MB as RGB; PIL's own limit, which also holds, is 89 million
# What PIL's decoders raise on files that are cut off or not what they claim to be.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def open_image(ref: ImageRef, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An image in memory: RGB, turned upright by its EXIF tag, transparent parts on white, first frame of an animation.

    16-bit grey is scaled to 8 bits; palettes and CMYK are converted.

    Args:
        ref: path of an image file, or its encoded bytes.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no image, is cut off, or is too large; the sentence names the file.
    """
    with _reading(ref, max_pixels) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _DEEP:
            return _eight_bits(upright).convert("RGB")
        if upright.has_transparency_data:
            clear = upright.convert("RGBA")
            paper = Image.new("RGBA", clear.size, "white")
            return Image.alpha_composite(paper, clear).convert("RGB")
        return upright.convert("RGB")


def verify_image(ref: ImageRef, *, max_pixels: int = MAX_PIXELS) -> None:
    """Read an image through without keeping it; cheaper than `open_image`, with the same complaints.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no image, is cut off, or is too large; the sentence names the file.
    """
    with _reading(ref, max_pixels) as image:
        if image.format == "PNG":
            image.verify()  # reads every chunk and its checksum
        else:
            image.draft("L", (1, 1))  # JPEG: all of the data at an eighth of the work
            image.load()


def image_digest(ref: ImageRef) -> str:
    """SHA-256 of the encoded bytes, in hexadecimal: the name under which an image is stored once.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    if isinstance(ref, bytes):
        return hashlib.sha256(ref).hexdigest()
    with _file(ref).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_of(ref: ImageRef) -> str:
    """What an error calls an image."""
    if isinstance(ref, bytes):
        return f"image of {len(ref)} bytes ({image_digest(ref)[:12]})"
    return f"image '{ref}'" if ref.isprintable() else f"image {ref!a}"  # a name may hold line ends and escapes


@contextmanager
def _reading(ref: ImageRef, max_pixels: int) -> Iterator[Image.Image]:
    """The opened file; whatever goes wrong inside becomes one sentence."""
    path = None if isinstance(ref, bytes) else _file(ref)
    try:
        # Opened here and not by PIL: a TIFF that PIL maps into memory by its path is not turned by its orientation.
        with io.BytesIO(ref) if path is None else path.open("rb") as source, Image.open(source) as image:
            pixels = image.width * image.height
            if pixels > max_pixels:
                size = f"{image.width} x {image.height}"
                raise _Refused(f"{name_of(ref)}: {size} is {pixels:,} pixels, expected at most {max_pixels:,}")
            yield image
    except _Refused as refused:
        raise ValueError(str(refused)) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
        raise ValueError(f"{name_of(ref)}: too large, expected at most {limit:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{name_of(ref)}: not an image that PIL knows, or broken at its very start") from error
    except _BROKEN as error:
        raise ValueError(f"{name_of(ref)}: broken: {str(error) or type(error).__name__}") from error


class _Refused(Exception):
    """An image that may not be decoded."""


def _file(ref: str) -> Path:
    path = Path(ref)
    if "\0" in ref or not path.exists():
        raise FileNotFoundError(f"{name_of(ref)}: no such file")
    if not path.is_file():
        raise ValueError(f"{name_of(ref)}: is a folder, expected a file")
    return path


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit and wider grey as 8-bit: 65535, or 1.0 of a float image, becomes 255; what fits 8 bits stays."""
    wide = image.convert("F")
    low, high = wide.getextrema()
    if image.mode == "F":
        scale = 255.0 if high <= 1.0 else 1.0
    elif image.mode == "I":
        scale = 1.0 if high <= 255 else 1 / 257
    else:
        scale = 1 / 257
    return wide.point(lambda value: value * scale + 0.5).convert("L") if high > low or high else wide.convert("L")
