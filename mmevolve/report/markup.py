"""Text and pictures made safe for a page: everything a model or a data set wrote goes through here."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from mmevolve.data.images import open_image
from mmevolve.types import ImageRef

KEPT = "\n\t\u200c\u200d"  # joiners are part of Persian, Indic scripts and emoji
WIDEST = 480


def clean(text: object) -> str:
    """Text without control characters, terminal escapes, lone surrogates and direction overrides."""
    other = "\N{REPLACEMENT CHARACTER}"
    return "".join(c if c.isprintable() or c in KEPT else " " if c.isspace() else other for c in str(text))


def esc(text: object) -> str:
    """Text as it can stand in HTML, in an attribute too."""
    return html.escape(clean(text), quote=True)


def picture(ref: ImageRef) -> str:
    """An image as an `img` element that holds its own data; a sentence where it cannot be read."""
    try:
        image = open_image(ref)
    except (OSError, ValueError) as error:
        return f'<p class="note">The picture cannot be shown: {esc(error)}</p>'
    small = image.width <= 160
    if image.width > WIDEST:
        image = image.resize((WIDEST, max(1, round(image.height * WIDEST / image.width))), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    data = base64.b64encode(out.getvalue()).decode("ascii")
    kind = ' class="small"' if small else ""
    return f'<img{kind} alt="the picture that the question is about" src="data:image/png;base64,{data}">'


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table of finished HTML cells; the first column is left-aligned, the others right."""
    head = "".join(f"<th>{h}</th>" for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(drawing: str, caption: str) -> str:
    """A drawing with its words."""
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def legend(names: list[str], *, kinds: Sequence[str] = ("s0", "s1")) -> str:
    """What the marks of a chart are called."""
    keys = "".join(f'<span class="key {kind}">{esc(name)}</span>' for kind, name in zip(kinds, names, strict=True))
    return f'<p class="legend">{keys}</p>'


def section(title: str, body: str, *, kind: str = "") -> str:
    """A section with its heading."""
    return f'<section class="{kind or "plain"}"><h2>{esc(title)}</h2>{body}</section>'
