"""What of a question and of its attempts a judge is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmevolve.types import Sample, Trajectory

Items = Sequence[tuple[Sample, Trajectory]]


def seen(sample: Sample, pictures: bool) -> Sample:
    """The sample, without its pictures for a judge that reads text alone."""
    return sample if pictures else replace(sample, images=())


def by_sample(items: Items) -> dict[str, tuple[Sample, list[Trajectory]]]:
    """Each sample with its attempts in sampling order, whatever the order of the items."""
    own: dict[str, tuple[Sample, list[Trajectory]]] = {}
    for sample, t in items:
        own.setdefault(sample.id, (sample, []))[1].append(t)
    return {name: (sample, sorted(tried, key=_index)) for name, (sample, tried) in own.items()}


def _index(t: Trajectory) -> tuple[int, str]:
    return len(t.id), t.id
