"""How the shipped tiny CLIP was made, and what it can tell apart on scenes that it has not seen.

Trained on pictures of the `base` split and the things in them; measured on the `test` split: which of 200 descriptions
belongs to a picture and the other way round, whether a single thing is there, and whether a picture that was encoded
again is told from other pictures.

    python eval/studies/tiny_clip.py     (3 minutes on one core; leaves runs/tiny_clip, the folder that ships)
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import time
from random import Random

import torch
from PIL import Image

from mmevolve.data.shapes.dataset import descriptions, shapes, world_of
from mmevolve.data.shapes.scene import COLOURS, SHAPES
from mmevolve.models.clip import ClipEmbedder, near_duplicates
from mmevolve.models.clip_tiny import make_tiny_clip
from mmevolve.results import record

SCENES, SEED, HELD_OUT = 8000, 11, 200
STEPS = 700


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default="runs/tiny_clip", help="where the model is written; one there is kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.process_time()
    folder = make_tiny_clip(args.folder, pictures(SCENES, "base"), steps=STEPS, seed=SEED)
    seconds = time.process_time() - begun
    embedder = ClipEmbedder(folder)
    samples = shapes(n=HELD_OUT, split="test", families=("count",), seed=SEED)
    lines = [
        f"{STEPS} steps on {SCENES} pictures; {seconds:.0f} s of one core.",
        "",
        f"| on {HELD_OUT} held-out pictures | share | chance |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {what} | {share:.3f} | {chance:.3f} |" for what, share, chance in shares(embedder, samples)]
    lines += ["", *again(embedder, samples)]
    print("\n".join(lines))
    record("What the tiny CLIP tells apart", lines, command="python eval/studies/tiny_clip.py")


def pictures(n: int, split: str) -> list[tuple[bytes, tuple[str, ...]]]:
    """Pictures and the things in them."""
    samples = shapes(n=n, split=split, families=("count",), seed=SEED)
    return [(bytes(s.images[0]), tuple(descriptions(world_of(s)[0]))) for s in samples]


def shares(embedder, samples) -> list[tuple[str, float, float]]:
    """What is told apart, how often, and how often by chance."""
    images = [s.images[0] for s in samples]
    things = [tuple(descriptions(world_of(s)[0])) for s in samples]
    cosines = embedder.images(images) @ embedder.texts([" ".join(t) for t in things]).T
    own = torch.arange(len(samples))
    random = Random(SEED)
    there = [random.choice(t) for t in things]
    other = [another(thing, random) for thing in there]
    moved = [f"{random.choice(free(t))} {thing.split(' ', 1)[1]}" for t, thing in zip(things, there, strict=True)]
    true = embedder.similarity(images, there)
    return [
        ("its description, among all", (cosines.argmax(1) == own).float().mean().item(), 1 / len(own)),
        ("its picture, among all", (cosines.argmax(0) == own).float().mean().item(), 1 / len(own)),
        ("one thing, not another in its cell", over(true, embedder.similarity(images, other)), 0.5),
        ("one thing, not the same in an empty cell", over(true, embedder.similarity(images, moved)), 0.5),
    ]


def another(thing: str, random: Random) -> str:
    """The same cell with something else."""
    cell, kind = thing.split(" ", 1)
    return f"{cell} {random.choice([k for k in (f'{c} {s}' for c in COLOURS for s in SHAPES) if k != kind])}"


def free(things: tuple[str, ...]) -> list[str]:
    """Cells that hold nothing."""
    taken = {t.split()[0] for t in things}
    return [c for c in (f"{column}{row}" for column in "abcd" for row in range(1, 5)) if c not in taken]


def over(a: list[float], b: list[float]) -> float:
    """Share of places where the first is higher; a tie is half."""
    return sum((x > y) + 0.5 * (x == y) for x, y in zip(a, b, strict=True)) / len(a)


def again(embedder, samples) -> list[str]:
    """Each picture as a JPEG of twice its size, looked for among all pictures."""
    copies = [dataclasses.replace(s, id=f"{s.id}-again", images=(encoded_again(s.images[0]),)) for s in samples]
    lines = ["| near duplicates at | copies found | false pairs |", "| --- | --- | --- |"]
    for above in (0.9, 0.95, 0.99):
        pairs = near_duplicates(embedder, samples, copies, above=above)
        right = sum(p.second == f"{p.first}-again" for p in pairs)
        lines.append(f"| {above} | {right} of {len(samples)} | {len(pairs) - right} of {len(samples) ** 2} |")
    return lines


def encoded_again(png: bytes) -> bytes:
    """Twice as large, as a JPEG of quality 70."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=70)
    return out.getvalue()


if __name__ == "__main__":
    main()
