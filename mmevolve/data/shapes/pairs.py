"""Pairs of the embedded world: a question's gold rationale against one that was written about another picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.data.shapes import dataset
from mmevolve.data.shapes.dataset import Split, draw_sample, gold, shapes
from mmevolve.data.shapes.families import FAMILIES
from mmevolve.prompts import template
from mmevolve.text import ask, stable_seed
from mmevolve.types import Preference, Sample


def shape_pairs(
    *,
    n: Annotated[int, Range(1)],
    split: Split = "train",
    families: Sequence[str] = tuple(FAMILIES),
    seed: int = 0,
    prompt: str = "question",
) -> list[Preference]:
    """Preference rows; the two rationales end in different answers.

    Args:
        n: number of pairs.
        split: base, train, validation or test; their scenes are disjoint.
        families: which question families, taken in turn.
        seed: another seed gives other scenes of the same split.
        prompt: prompt text.

    Raises:
        ValueError: for an unknown split or family, or no family.
    """
    text = template(prompt)
    return [
        Preference(ask(sample, text), gold(sample), gold(_other(sample, split, seed, i)), source=sample.id)
        for i, sample in enumerate(shapes(n=n, split=split, families=families, seed=seed))
    ]


def preflight(*, split: object = "train", families: object = ()) -> Iterator[str]:
    """One sentence for each split or family that the world lacks."""
    yield from dataset.preflight(split=split, families=families)


def _other(sample: Sample, split: str, seed: int, index: int) -> Sample:
    """A question of the same family, about another picture, with another answer."""
    apart, tries = stable_seed(seed, "pairs", index), 0
    while True:
        other = draw_sample(split, sample.meta["family"], apart, tries)
        if other.answer != sample.answer:
            return other
        tries += 1
