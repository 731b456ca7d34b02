"""Draw a scene as a PNG; the same scene gives the same bytes."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from mmevolve.data.shapes.scene import Scene

INK = {
    "red": (214, 40, 40),
    "green": (44, 160, 70),
    "blue": (0, 120, 235),
    "yellow": (240, 200, 0),
    "black": (20, 20, 20),
}
PAPER = (211, 211, 211)
OVERSAMPLE = 4  # drawn four times as large and scaled down, for smooth edges


def render(scene: Scene, *, pixels: int = 64) -> bytes:
    """PNG bytes of a square picture, `pixels` wide."""
    side = pixels * OVERSAMPLE
    image = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(image)
    for t in scene.things:
        half = t.size / 2
        x0, y0, x1, y1 = ((t.x - half) * side, (t.y - half) * side, (t.x + half) * side, (t.y + half) * side)
        ink = INK[t.colour]
        if t.shape == "circle":
            draw.ellipse((x0, y0, x1, y1), fill=ink)
        elif t.shape == "square":
            draw.rectangle((x0, y0, x1, y1), fill=ink)
        else:
            draw.polygon(((x0, y1), (x1, y1), ((x0 + x1) / 2, y0)), fill=ink)
    out = io.BytesIO()
    image.resize((pixels, pixels), Image.Resampling.BOX).save(out, "PNG")
    return out.getvalue()
