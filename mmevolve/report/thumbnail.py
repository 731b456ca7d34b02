"""Pictures made small, so that hundreds fit into one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

from PIL import Image

from mmevolve.data.images import open_image
from mmevolve.report.markup import esc
from mmevolve.types import ImageRef

WIDEST, TALLEST = 320, 320
QUALITY = 80
ALT = "the picture that the question is about"


class Album:
    """Pictures of one page within a budget.

    Args:
        most: bytes that all pictures together may take, as they stand in the page.
        read: opens a picture.
    """

    def __init__(self, most: int, read: Callable[[ImageRef], Image.Image] = open_image):
        self.left = most
        self.omitted = 0
        self._read = read

    def show(self, ref: ImageRef) -> str:
        """The picture as an `img` that holds its own data; a sentence where there is no room or it cannot be read."""
        if self.left <= 0:
            self.omitted += 1
            return '<p class="where">picture left out</p>'
        try:
            data, kind, tiny = small(self._read(ref))
        except (OSError, ValueError) as error:
            return f'<p class="note">The picture cannot be shown: {esc(error)}</p>'
        if len(data) > self.left:
            self.left = 0  # a smaller one further down is not let in either: what is left out is then a clean end
            return self.show(ref)
        self.left -= len(data)
        look = ' class="small"' if tiny else ""
        return f'<img{look} loading="lazy" alt="{ALT}" src="data:image/{kind};base64,{data}">'


def small(image: Image.Image) -> tuple[str, str, bool]:
    """A picture at most 320 pixels wide and tall as base64, its type, and whether it is tiny enough to be enlarged.

    Drawings are smaller as PNG and photographs as JPEG: the smaller of the two is taken.
    """
    tiny = image.width <= 160
    image = image.copy()
    image.thumbnail((WIDEST, TALLEST), Image.Resampling.LANCZOS)
    coded = {}
    for kind, how in (("png", {"optimize": True}), ("jpeg", {"quality": QUALITY})):
        out = io.BytesIO()
        image.save(out, kind.upper(), **how)
        coded[kind] = out.getvalue()
    kind = min(coded, key=lambda k: len(coded[k]))
    return base64.b64encode(coded[kind]).decode("ascii"), kind, tiny
