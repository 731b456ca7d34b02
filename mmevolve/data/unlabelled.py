"""Hide the labels of a share of the questions, to study what unlabelled questions are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.text import stable_seed
from mmevolve.types import Sample


def unlabelled(data: Sequence[Sample], share: Annotated[float, Range(0.0, 1.0)] = 0.5, seed: int = 0) -> list[Sample]:
    """The same samples in the same order, a share of them marked `unlabelled: true` in their `meta`.

    The answer stays in the sample, so that an oracle can judge what a vote makes of the question;
    `critics.PseudoAnswer` does not look at it. Which samples are marked depends on their ids and the seed alone, not
    on their order or on how many there are, so the share is met up to chance.

    Paper: M-STaR, arXiv:2412.17451 takes half of MathV360K as unlabelled.

    Args:
        data: labelled samples.
        share: of the samples to mark, in [0, 1].
        seed: another seed marks others.
    """
    return [replace(s, meta={**s.meta, "unlabelled": True}) if _draw(s.id, seed) < share else s for s in data]


def _draw(sample_id: str, seed: int) -> float:
    """A number in [0, 1) that belongs to this sample and seed."""
    return stable_seed("unlabelled", sample_id, seed) / 2**63
