"""Answers of an original and its variants as labels that can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from mmevolve.answers import equal
from mmevolve.controls.link import KEY, Pair
from mmevolve.controls.option_order import place_of
from mmevolve.types import Group, Sample

Labels = list[int | None]  # one an attempt; None for an attempt without an answer


def chosen(sample: Sample, answer: str | None) -> int | None:
    """The original's option that an answer to a variant names: its place, looked up in the variant's order."""
    place = place_of(answer, sample.choices)
    order = sample.meta.get(KEY, {}).get("order")
    return place if place is None or order is None else order[place]


def said(pair: Pair) -> list[Labels]:
    """Labels of the original's attempts, then of each variant's.

    With options the label is the option's place in the original, whatever its place in the variant, and a text that
    names no option has none. Without, answers that are equal by the verifier's rule have one label.
    """
    return labels([pair.original, *pair.variants], first_is_original=True)


def labels(groups: Sequence[Group], *, first_is_original: bool = False) -> list[Labels]:
    """Labels of the attempts of several groups of one question, comparable between the groups.

    Args:
        groups: attempts at one question.
        first_is_original: the first group's option places are those that the others' orders speak of.
    """
    sample = groups[0].sample
    if sample.choices:
        first = [place_of(t.answer, sample.choices) for t in groups[0].trajectories]
        rest = groups[1:] if first_is_original else groups
        others = [[chosen(g.sample, t.answer) for t in g.trajectories] for g in rest]
        return [first, *others] if first_is_original else others
    known: list[str] = []
    return [[_label(t.answer, known) for t in g.trajectories] for g in groups]


def _label(answer: str | None, known: list[str]) -> int | None:
    """Index of the first known answer that equals this one; a new one is added."""
    if answer is None:
        return None
    same = next((i for i, a in enumerate(known) if equal(answer, a)), None)
    if same is None:
        known.append(answer)
        return len(known) - 1
    return same
