"""How often the answer changes when it should not: flip rate and circular accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.controls.link import KEY, NothingToRead, pair
from mmevolve.controls.resampling import DEFAULT, Resampling
from mmevolve.controls.said import Labels, said
from mmevolve.metrics.accuracy import share_right
from mmevolve.metrics.mean import mean
from mmevolve.statistics import Interval
from mmevolve.types import Group


@dataclass(frozen=True)
class Flips:
    """Changes of the answer between an original and its variants.

    Attributes:
        rate: share of pairs of an attempt at the original and one at a variant that differ, mean over samples.
        some: share of samples whose first attempts do not all agree: the option-order sensitivity of TRAIT, where the
            variants are option orders.
        chance: share of pairs of attempts at the original that differ: what sampling alone does; None with one attempt.
        excess: rate minus chance, paired; None with one attempt.
        unanswered: share of attempts without an answer; pairs with one are not counted.
        left_out: originals without a variant, or without a pair of answers.
    """

    rate: Interval
    some: Interval
    chance: Interval | None
    excess: Interval | None
    unanswered: float
    left_out: int


@dataclass(frozen=True)
class Circular:
    """Accuracy under every rotation of the options.

    Attributes:
        plain: accuracy on the originals: the first pass only.
        circular: a question counts only when it is right in all rotations.
        average: mean accuracy over all rotations.
        loss: circular minus plain, paired.
        left_out: originals that were not rotated.
    """

    plain: Interval
    circular: Interval
    average: Interval
    loss: Interval
    left_out: int


def flip_rate(originals: Sequence[Group], variants: Sequence[Group], *, resampling: Resampling = DEFAULT) -> Flips:
    """Share of answers that change under a control that should change none: order, augmentation.

    Differs: from TRAIT, several attempts a sample are compared pair by pair and held against the changes of sampling.

    Raises:
        ValueError: when the groups do not pair; `NothingToRead` when no pair has two answers.
    """
    pairs = pair(originals, variants)
    rows = [(p.sample, said(p)) for p in pairs]
    silent = [label is None for _, sets in rows for labels in sets for label in labels]
    rows = [(s, sets) for s, sets in rows if any(_differ(sets[0], other) for other in sets[1:])]
    if not rows:
        raise NothingToRead(f"{len(pairs)} samples with variants, none with an answer to both: no flip can be counted")
    samples = [s for s, _ in rows]
    rates = [mean([x for other in sets[1:] for x in _differ(sets[0], other)]) for _, sets in rows]
    some = [float(len({x for labels in sets for x in labels[:1] if x is not None}) > 1) for _, sets in rows]
    own = [_within(sets[0]) for _, sets in rows]
    kept = [i for i, x in enumerate(own) if x]
    chance = excess = None
    if kept:
        among, chances = [samples[i] for i in kept], [mean(own[i]) for i in kept]
        chance = resampling.share(among, chances)
        excess = resampling.shift(among, chances, [rates[i] for i in kept])
    return Flips(
        resampling.share(samples, rates),
        resampling.share(samples, some),
        chance,
        excess,
        mean(silent),
        len(originals) - len(rows),
    )


def circular(
    originals: Sequence[Group], variants: Sequence[Group], *, critic: str = "answer", resampling: Resampling = DEFAULT
) -> Circular:
    """Circular accuracy beside that of the first pass.

    Several attempts a rotation count as the chance that independent attempts are all right: the product over rotations
    of the share right.

    Paper: Liu et al. 2023, "MMBench", arXiv:2307.06281 (CircularEval).

    Raises:
        ValueError: when the groups do not pair, or a question lacks one of its rotations.
    """
    pairs = pair(originals, variants)
    for p in pairs:
        n = len(p.sample.choices)
        turns = {tuple(v.sample.meta[KEY].get("order", ())) for v in p.variants}
        every = {(*range(t, n), *range(t)) for t in range(1, n)}
        if turns != every or len(p.variants) != n - 1:
            raise ValueError(
                f"sample '{p.sample.id}': {len(p.variants)} variants in {len(turns & every)} of the {n - 1} rotations "
                f"of its {n} options, expected each rotation once"
            )
    samples = [p.sample for p in pairs]
    shares = [[share_right(g, critic) for g in (p.original, *p.variants)] for p in pairs]
    plain, every_right = [row[0] for row in shares], [math.prod(row) for row in shares]
    return Circular(
        resampling.share(samples, plain),
        resampling.share(samples, every_right),
        resampling.share(samples, [mean(row) for row in shares]),
        resampling.shift(samples, plain, every_right),
        len(originals) - len(pairs),
    )


def _differ(a: Labels, b: Labels) -> list[bool]:
    return [x != y for x in a for y in b if x is not None and y is not None]


def _within(labels: Labels) -> list[bool]:
    told = [x for x in labels if x is not None]
    return [x != y for i, x in enumerate(told) for y in told[i + 1 :]]
