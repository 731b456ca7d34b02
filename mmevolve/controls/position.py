"""Whether a choice hangs on where an option stands: position bias over option orders, order bias of pairwise judges."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from mmevolve.answers.options import letters
from mmevolve.controls.link import NothingToRead, Pair, pair
from mmevolve.controls.resampling import DEFAULT, Resampling
from mmevolve.controls.said import said
from mmevolve.statistics import Interval, mean_interval
from mmevolve.text import stable_seed
from mmevolve.types import Group


@dataclass(frozen=True)
class PositionBias:
    """Where the chosen options stand, against where the same choices would stand by chance.

    Attributes:
        chosen: share of the answers at each place, by letter.
        expected: the same if what is chosen did not hang on the order it is shown in.
        first: share of answers at the first place minus its expectation, mean over samples.
        statistic: chi-square distance of the counts from the expected ones.
        null_mean: mean of the statistic under the null.
        null_95: its 95th percentile: a statistic above is not chance at that level.
        p: chance under the null of a statistic at least as large.
        n: answers counted.
        left_out: originals without answers in two orders.
    """

    chosen: dict[str, float]
    expected: dict[str, float]
    first: Interval
    statistic: float
    null_mean: float
    null_95: float
    p: float
    n: int
    left_out: int


@dataclass(frozen=True)
class JudgeOrder:
    """A pairwise judge asked in both orders.

    Attributes:
        agreement: share of pairs for which it prefers the same answer in both orders.
        first: share of verdicts for the answer shown first, minus one half.
        unjudged: share of pairs without a verdict in both orders; they are not counted.
    """

    agreement: Interval
    first: Interval
    unjudged: float


def position_bias(
    originals: Sequence[Group], variants: Sequence[Group], *, draws: int = 2_000, resampling: Resampling = DEFAULT
) -> PositionBias:
    """Position bias over the orders in which each question was asked, with a permutation null.

    If a question's choices do not hang on the order, they could as well have been made under each other's orders. So
    the null exchanges the chosen options between the orders of one question; the expected counts are the mean over all
    exchanges, exact. Unlike the chi-square table it holds for several answers to one question, which are not
    independent: a model sure of its options visits every place equally, without any chance.

    Args:
        originals: judged groups of multiple-choice originals.
        variants: groups of `circular`, `adjacent`, `reverse` or `shuffled` variants.
        draws: exchanges drawn for the null.
        resampling: how the interval of `first` is drawn; its seed is also that of the exchanges.

    Raises:
        ValueError: when the groups do not pair; `NothingToRead` when no question has answers in two orders.
    """
    pairs = pair(originals, variants)
    rows = [(p, *_answers(p)) for p in pairs]
    rows = [(p, picks, places) for p, picks, places in rows if len(np.unique(places, axis=0)) > 1]
    if not rows:
        raise NothingToRead(f"{len(pairs)} samples with variants, none with answers in two orders of its options")
    widest = max(places.shape[1] for _, _, places in rows)
    counts, expected, null = np.zeros(widest), np.zeros(widest), np.zeros((draws, widest))
    first = []
    for p, picks, places in rows:
        own = np.bincount(places[np.arange(len(picks)), picks], minlength=widest)
        # each pick under each order: every pairing is equally likely under the null
        hoped = np.bincount(places[:, picks].ravel(), minlength=widest) / len(picks)
        counts, expected = counts + own, expected + hoped
        first.append((own[0] - hoped[0]) / len(picks))
        generator = np.random.default_rng(stable_seed(resampling.seed, "position", p.sample.id))
        exchanged = generator.permuted(np.tile(picks, (draws, 1)), axis=1)
        landed = places[np.arange(len(picks)), exchanged]
        for place in range(widest):
            null[:, place] += (landed == place).sum(axis=1)
    statistic, spread = _distance(counts[None], expected)[0], _distance(null, expected)
    total, names = counts.sum(), letters(["?"] * widest)
    return PositionBias(
        chosen={x: float(c / total) for x, c in zip(names, counts, strict=True)},
        expected={x: float(c / total) for x, c in zip(names, expected, strict=True)},
        first=resampling.mean([p.sample for p, _, _ in rows], first),
        statistic=float(statistic),
        null_mean=float(spread.mean()),
        null_95=float(np.quantile(spread, 0.95)),
        p=float((1 + (spread >= statistic - 1e-9).sum()) / (1 + draws)),
        n=int(total),
        left_out=len(originals) - len(rows),
    )


def judge_order(
    first_ab: Sequence[bool | None],
    first_ba: Sequence[bool | None],
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> JudgeOrder:
    """Agreement and bias of a pairwise judge that saw each pair of answers in both orders.

    Args:
        first_ab: whether it preferred the answer shown first, A before B; None without a verdict.
        first_ba: the same for B before A.
        clusters: one label a pair (the question).
        seed: of the intervals.

    Raises:
        ValueError: when lengths differ or no pair has both verdicts.
    """
    if len(first_ab) != len(first_ba):
        raise ValueError(f"verdicts in both orders: {len(first_ab)} for A first, {len(first_ba)} for B first")
    kept = [i for i, (x, y) in enumerate(zip(first_ab, first_ba, strict=True)) if x is not None and y is not None]
    if not kept:
        raise ValueError(f"{len(first_ab)} pairs, none judged in both orders")
    labels = None if clusters is None else [clusters[i] for i in kept]
    same = [float(bool(first_ab[i]) != bool(first_ba[i])) for i in kept]
    leaning = [(bool(first_ab[i]) + bool(first_ba[i])) / 2 - 0.5 for i in kept]
    return JudgeOrder(
        mean_interval(same, clusters=labels, seed=seed),
        mean_interval(leaning, clusters=labels, seed=seed),
        1 - len(kept) / len(first_ab),
    )


def _answers(p: Pair) -> tuple[np.ndarray, np.ndarray]:
    """The original's option that each answer names, and under its order the place of each of the original's options."""
    picks, places = [], []
    for group, labels in zip((p.original, *p.variants), said(p), strict=True):
        if group.sample is p.sample:
            order = list(range(len(p.sample.choices)))
        else:
            order = group.sample.meta["control"].get("order", list(range(len(p.sample.choices))))
        for label in labels:
            if label is not None:
                picks.append(label)
                places.append([order.index(i) for i in range(len(order))])
    shape = (len(picks), len(p.sample.choices))
    return np.array(picks, dtype=int), np.array(places, dtype=int).reshape(shape)


def _distance(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Chi-square distance of each row; places that cannot be taken do not count."""
    some = expected > 0
    return ((counts[:, some] - expected[some]) ** 2 / expected[some]).sum(axis=1)
