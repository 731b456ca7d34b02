"""The link from a variant of a sample to its original, and pairs of their groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmevolve.types import Group, Sample

KEY = "control"


class NothingToRead(ValueError):
    """The groups pair, but the model's answers leave nothing to compare."""


@dataclass(frozen=True)
class Pair:
    """The group of an original and those of its variants, in the order in which they came."""

    original: Group
    variants: tuple[Group, ...]

    @property
    def sample(self) -> Sample:
        """The original sample."""
        return self.original.sample


def variant(sample: Sample, name: str, tag: str = "", facts: Mapping[str, Any] | None = None, **changes: Any) -> Sample:
    """A changed copy with the id `<id>@<name><tag>` and, in `meta["control"]`, its control, its original and more.

    Args:
        sample: what it is made from.
        name: the control.
        tag: tells several variants of one control apart.
        facts: JSON to keep beside the link; an option order is `{"order": [...]}`.
        changes: fields that differ.
    """
    link = {"name": name, "of": sample.id, **(facts or {})}
    if KEY in sample.meta:
        link["after"] = sample.meta[KEY]  # a variant of a variant keeps the whole way
    return replace(sample, id=f"{sample.id}@{name}{tag}", meta={**sample.meta, KEY: link}, **changes)


def original_of(sample: Sample) -> str:
    """Id of what a variant was made from.

    Raises:
        ValueError: when the sample is no variant.
    """
    link = sample.meta.get(KEY)
    if not isinstance(link, Mapping) or "of" not in link:
        raise ValueError(f"sample '{sample.id}' is no variant: its meta has no '{KEY}', which every control writes")
    return link["of"]


def pair(originals: Sequence[Group], variants: Sequence[Group]) -> list[Pair]:
    """Originals with at least one variant, in order.

    Raises:
        ValueError: when two originals have one id, a variant's original is not there, or there are no variants.
    """
    found: dict[str, list[Group]] = {}
    for group in originals:
        if group.sample.id in found:
            raise ValueError(f"two originals have the id '{group.sample.id}': their variants cannot be told apart")
        found[group.sample.id] = []
    for group in variants:
        origin = original_of(group.sample)
        if origin not in found:
            raise ValueError(
                f"variant '{group.sample.id}': its original '{origin}' is not among the {len(found)} given"
            )
        found[origin].append(group)
    pairs = [Pair(g, tuple(found[g.sample.id])) for g in originals if found[g.sample.id]]
    if not pairs:
        raise ValueError(f"no variants for {len(originals)} originals: nothing to compare")
    return pairs
