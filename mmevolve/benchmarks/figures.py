"""A benchmark's numbers: each with its interval, and its bounds if all unread responses were wrong or right.

A figure is a function of sums over rows, so that one resampling of clusters serves accuracy, means of groups, F1 and
differences alike. Papers: MMStar, arXiv:2403.20330 (gain); MMBench, arXiv:2307.06281 (circular); DynaMath,
arXiv:2411.00836 (worst case); POPE, arXiv:2305.10355 (F1, yes rate); VISCO, arXiv:2412.02172 (step F1 with `wrong` as
the positive class, correction score).
Differs: an unparsed response counts as wrong in every figure, as neither yes nor no in F1; nothing is drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmevolve.benchmarks import critic_counts
from mmevolve.benchmarks.load import ITEM, VARIANT
from mmevolve.benchmarks.resampled import interval, weighted_interval
from mmevolve.benchmarks.rows import value_of
from mmevolve.benchmarks.score import Scored, judge, response_of
from mmevolve.benchmarks.spec import CRITIQUE_FIGURES, Benchmark
from mmevolve.statistics import wilson
from mmevolve.types import Group, Sample

REPEATED = ("circular", "gain", "leakage")  # figures of questions that are asked more than once
SPLIT = ("f1", "answer_f1", "explanation_f1", "viscore_local", "step_auroc")  # of a critique, also by columns
Sums = np.ndarray
Row = tuple[Hashable, list[list[float]]]  # cluster; terms as scored, were the unread wrong, were they right


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: what was counted.
        value: the figure; NaN where nothing can be counted.
        low: lower end of its 95 % interval; None where there is one cluster only, or every resample gives the same.
        high: upper end.
        n: rows it rests on: responses, or groups of them.
        clusters: how many of them are independent.
        floor: the figure were all unparsed responses and errors wrong.
        ceiling: the same were they right.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int
    floor: float
    ceiling: float


def figures(
    spec: Benchmark,
    scored: Sequence[Scored],
    *,
    base: float | None = None,
    same: critic_counts.Same = critic_counts.by_words,
    called: str = "local",
) -> list[Figure]:
    """All figures of a spec, the score first, then accuracy by the values of its columns.

    Args:
        spec: the benchmark.
        scored: every response.
        base: what the model's language model alone scores on the questions, for leakage, which is left out without it.
        same: whether an explanation and a reference name the same error; by default the offline rule.
        called: who says so, in the name of VISCore.

    Raises:
        ValueError: when nothing was scored, or a column is not in the data.
    """
    if not scored:
        raise ValueError(f"{spec.name}: no response to count")
    first = [s for s in scored if not s.sample.meta.get(VARIANT)]
    main = [s for s in first if all(str(value_of(s.sample, c)) != str(v) for c, v in spec.apart.items())]
    if not main:
        raise ValueError(f"{spec.name}: every response is of a kind that is counted apart, {dict(spec.apart)}")
    names = [name for name in spec.figures if name != "leakage" or base is not None]
    if spec.kind == "critique":
        names = critic_counts.countable(names, first)
    every = {"false_alarm": first} | dict.fromkeys(REPEATED, scored)  # solutions counted apart may raise alarms too
    found = [_figure(spec, name, every.get(name, main), base, same) for name in names]
    for column in spec.by:
        parts: dict[str, list[Scored]] = {}
        for s in first:
            parts.setdefault(str(value_of(s.sample, column)), []).append(s)
        found += [_accuracy(spec, f"accuracy, {column} {value}", parts[value]) for value in sorted(parts)]
        for name in (name for name in SPLIT if spec.kind == "critique" and name in names):
            made = [(value, _figure(spec, name, parts[value], base, same)) for value in sorted(parts)]
            found += [replace(figure, name=f"{name}, {column} {value}") for value, figure in made]
    return [replace(f, name=f.name.replace("viscore_local", f"viscore_{called}", 1)) for f in found]


def _figure(
    spec: Benchmark, name: str, scored: Sequence[Scored], base: float | None, same: critic_counts.Same
) -> Figure:
    head, _, column = name.partition(" of ")
    if head == "accuracy":
        return _accuracy(spec, name, scored)
    if head == "macro":
        return _macro(spec, name, scored, column)
    if head in ("worst", "best", "circular"):
        return _grouped(name, scored, column or ITEM, best=head == "best")
    if head == "gain":
        return _gain(spec, name, scored)
    if head == "leakage":
        return _leakage(spec, name, scored, float(base or 0.0))
    if head in ("correction", "fixed", "broken"):
        return _correction(spec, name, scored)
    if head in CRITIQUE_FIGURES:
        return _critique(spec, name, scored, same)
    if head == "first_error":
        return _first_error(spec, name, scored)
    return _detection(spec, name, scored)


def _accuracy(spec: Benchmark, name: str, scored: Sequence[Scored]) -> Figure:
    return _rate(name, [(cluster(spec, s.sample), [[verdict, 1.0] for verdict in _verdicts(s)]) for s in scored])


def _rate(name: str, rows: Sequence[Row]) -> Figure:
    """A share, whose interval is there too where all rows are alike."""
    made = _made(name, rows, lambda x: _share(x[..., 0], x[..., 1]))
    if made.value in (0.0, 1.0) and made.clusters > 1:  # every resample is the same: the bootstrap knows nothing
        ends = wilson(round(made.value * made.clusters), made.clusters)
        return Figure(name, made.value, ends.low, ends.high, made.n, made.clusters, made.floor, made.ceiling)
    return made


def _macro(spec: Benchmark, name: str, scored: Sequence[Scored], column: str) -> Figure:
    """Mean over the column's values of the accuracy within each."""
    place = {value: i for i, value in enumerate(sorted({str(value_of(s.sample, column)) for s in scored}))}
    size = len(place)

    def terms(s: Scored, verdict: float) -> list[float]:
        row = [0.0] * (2 * size)
        at = place[str(value_of(s.sample, column))]
        row[at], row[size + at] = verdict, 1.0
        return row

    def mean(x: Sums) -> Sums:
        right, count = x[..., :size], x[..., size:]
        there = count > 0  # a resample may miss a small group
        return np.divide(right, count, out=np.zeros_like(right), where=there).sum(-1) / there.sum(-1)

    return _made(name, [(cluster(spec, s.sample), [terms(s, v) for v in _verdicts(s)]) for s in scored], mean)


def _grouped(name: str, scored: Sequence[Scored], column: str, *, best: bool) -> Figure:
    """Share of groups with every response right, or with some."""
    groups: dict[Hashable, list[tuple[float, float, float]]] = {}
    for s in scored:
        groups.setdefault(str(value_of(s.sample, column)), []).append(_verdicts(s))
    fold = max if best else min
    rows = [(key, [[fold(column), 1.0] for column in zip(*said, strict=True)]) for key, said in groups.items()]
    return _made(name, rows, lambda x: x[..., 0] / x[..., 1])


def _gain(spec: Benchmark, name: str, scored: Sequence[Scored]) -> Figure:
    """Accuracy with the image minus accuracy without it. Bounds: each side at its worst and best for the gain."""
    rows = []
    for s in scored:
        said, low, high = _verdicts(s)
        blind = bool(s.sample.meta[VARIANT])
        sides = [
            [0.0, 0.0, v, 1.0] if blind else [v, 1.0, 0.0, 0.0]
            for v in (said, *((high, low) if blind else (low, high)))
        ]
        rows.append((cluster(spec, s.sample), sides))
    return _made(name, rows, lambda x: x[..., 0] / x[..., 1] - x[..., 2] / x[..., 3])


def _leakage(spec: Benchmark, name: str, scored: Sequence[Scored], base: float) -> Figure:
    """What is known without the image beyond the language model's own score; never negative."""
    blind = [s for s in scored if s.sample.meta[VARIANT]]
    rows = [(cluster(spec, s.sample), [[v, 1.0] for v in _verdicts(s)]) for s in blind]
    return _made(name, rows, lambda x: np.maximum(0.0, x[..., 0] / x[..., 1] - base))


def _correction(spec: Benchmark, name: str, scored: Sequence[Scored]) -> Figure:
    """P(right after | wrong before) - P(wrong after | right before), or one of the two alone."""
    rows, fixed, broken = [], float(name != "broken"), {"correction": -1.0, "fixed": 0.0, "broken": 1.0}[name]
    for s in scored:
        before = bool(s.sample.meta["right_before"])
        sides = [[0.0, 0.0, 1.0 - v, 1.0] if before else [v, 1.0, 0.0, 0.0] for v in _verdicts(s)]
        rows.append((cluster(spec, s.sample), sides))
    sides_of = ((fixed, 0), (broken, 2))
    return _made(name, rows, lambda x: sum(by * _share(x[..., i], x[..., i + 1]) for by, i in sides_of if by))


def _critique(spec: Benchmark, name: str, scored: Sequence[Scored], same: critic_counts.Same) -> Figure:
    """What is counted of critics: their scores of steps, their written critiques, their alarms over right solutions."""
    if name in critic_counts.FROM_SCORES:
        return _weighted(spec, name, scored)
    if name == "false_alarm":
        held = [(s, critic_counts.alarm(s)) for s in scored]
        rows = [(cluster(spec, s.sample), terms) for s, terms in held if terms is not None]
        return _rate(name, rows) if rows else _nothing(name)
    rows = [(cluster(spec, s.sample), critic_counts.terms(name, s, same)) for s in scored]
    return _made(name, rows, critic_counts.viscore if name == "viscore_local" else critic_counts.f1)


def _weighted(spec: Benchmark, name: str, scored: Sequence[Scored]) -> Figure:
    """A figure of steps with its interval by resampling clusters whole; a step without a score has no bounds."""
    steps = critic_counts.steps_of(scored)
    if not len(steps.owner):
        return _nothing(name)
    of = critic_counts.weighted(name, steps)
    order: dict[Hashable, int] = {}
    mine = np.array([order.setdefault(cluster(spec, scored[i].sample), len(order)) for i in steps.owner])
    value = float(of(np.ones((1, len(mine))))[0])
    low = high = None
    if len(order) > 1:
        low, high = weighted_interval(mine, len(order), of)
        low, high = (low, high) if high > low else (None, None)
    return Figure(name, value, low, high, len(mine), len(order), np.nan, np.nan)


def _nothing(name: str) -> Figure:
    return Figure(name, np.nan, None, None, 0, 0, np.nan, np.nan)


def _first_error(spec: Benchmark, name: str, scored: Sequence[Scored]) -> Figure:
    """Share of solutions whose first wrong step is named; a solution without one must be left alone."""

    def first(wrong: Sequence[bool]) -> int:
        return next((i for i, said in enumerate(wrong) if said), -1)

    rows = []
    for s in scored:
        gold = first([not label for label in s.sample.meta["step_labels"]])
        said = float(s.read is not None and first(s.read) == gold)  # type: ignore[arg-type]
        rows.append((cluster(spec, s.sample), [[v, 1.0] for v in (said, said, said if s.read is not None else 1.0)]))
    return _made(name, rows, lambda x: x[..., 0] / x[..., 1])


def _detection(spec: Benchmark, name: str, scored: Sequence[Scored]) -> Figure:
    """Precision, recall, F1 and share of said positives; pooled over steps where steps are judged."""
    of: Mapping[str, Callable[[Sums], Sums]] = {
        "f1": lambda x: _share(2 * x[..., 0], x[..., 1] + x[..., 2]),
        "precision": lambda x: _share(x[..., 0], x[..., 1]),
        "recall": lambda x: _share(x[..., 0], x[..., 2]),
        "yes_rate": lambda x: _share(x[..., 1], x[..., 3]),
    }
    rows = [(cluster(spec, s.sample), [list(map(float, c)) for c in counts(spec, s)]) for s in scored]
    return _made(name, rows, of[name])


def counts(spec: Benchmark, s: Scored) -> tuple[tuple[int, int, int, int], ...]:
    """(hits, said positive, truly positive, all) as read; were an unread response all wrong; were it all right."""
    if spec.kind == "critique":
        gold = [not label for label in s.sample.meta["step_labels"]]
        read = list(s.read) if s.read is not None else [None] * len(gold)  # type: ignore[arg-type]
    else:
        gold, read = [s.sample.answer == "yes"], [None if s.read is None else s.read == "yes"]
    unread = s.read is None
    worst = [not g for g in gold] if unread else read
    best = gold if unread else read
    return tuple(_tally(said, gold) for said in (read, worst, best))


def _tally(said: Sequence[Any], gold: Sequence[bool]) -> tuple[int, int, int, int]:
    hits = sum(bool(a) and b for a, b in zip(said, gold, strict=True))
    return hits, sum(map(bool, said)), sum(gold), len(gold)


def _verdicts(s: Scored) -> tuple[float, float, float]:
    """1 for right: as scored, were the unread wrong, were they right."""
    right = float(s.outcome == "correct")
    return right, right, 1.0 if s.outcome in ("unparsed", "error") else right


def _share(part: Sums, whole: Sums) -> Sums:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def _made(name: str, rows: Sequence[Row], of: Callable[[Sums], Sums]) -> Figure:
    """The figure of all rows, its interval by resampling clusters whole, and its bounds."""
    order: dict[Hashable, int] = {}
    index = np.array([order.setdefault(label, len(order)) for label, _ in rows])
    terms = np.array([sides for _, sides in rows], dtype=np.float64)
    value, *bounds = (float(of(terms[:, side].sum(axis=0))) for side in range(3))
    sums = np.zeros((len(order), terms.shape[2]))
    np.add.at(sums, index, terms[:, 0])
    low, high = interval(sums, of) if len(order) > 1 else (None, None)
    if low is None or high is None or not high > low:  # NaN too; resamples that are all alike say nothing
        low = high = None
    # more positives may lower or raise a share of positives, so which side is the floor is only known now
    ends = [end for end in (value, *bounds) if np.isfinite(end)] or [np.nan]
    return Figure(name, value, low, high, len(rows), len(order), min(ends), max(ends))


def cluster(spec: Benchmark, sample: Sample) -> Hashable:
    """What a question is resampled with: itself, its images, or a column's value. Its variants go with it."""
    return tuple(_label(name, sample) for name in spec.cluster.split(" and "))


def _label(name: str, sample: Sample) -> Hashable:
    if name == "image" and (sample.images or sample.meta.get("image")):
        return sample.images or str(sample.meta["image"])  # of stored answers only the images' names are known
    if name in ("item", "image"):
        return str(sample.meta.get(ITEM, sample.id))
    return sample.answer if name == "answer" else str(value_of(sample, name))


def chance(spec: Benchmark, scored: Sequence[Scored]) -> float | None:
    """What guessing scores on the rows that count; the mean of 1 / number of options where the spec says `choices`."""
    if spec.chance != "choices":
        return None if spec.chance is None else float(spec.chance)
    main = [s.sample for s in scored if all(str(value_of(s.sample, c)) != str(v) for c, v in spec.apart.items())]
    return sum(1 / len(sample.choices) if sample.choices else 0.0 for sample in main) / max(1, len(main))


def shares(scored: Sequence[Scored]) -> dict[str, float]:
    """Share of each outcome among all responses."""
    return {
        name: sum(s.outcome == name for s in scored) / len(scored) for name in ("correct", "wrong", "unparsed", "error")
    }


@dataclass(frozen=True)
class Figures:
    """A benchmark's figures as a metric of a recipe: each with the ends of its interval, and the unparsed rate.

    Attributes:
        spec: the benchmark.
    """

    spec: Benchmark

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        scored = [
            judge(self.spec, group.sample, response_of(t), index)
            for group in groups
            for index, t in enumerate(group.trajectories)
        ]
        numbers = {}
        for figure in figures(self.spec, scored):
            low, high = (np.nan if end is None else end for end in (figure.low, figure.high))
            numbers |= {figure.name: figure.value, f"{figure.name}/low": low, f"{figure.name}/high": high}
        guess = chance(self.spec, scored)
        said = shares(scored)
        numbers |= {"unparsed": said["unparsed"], "error": said["error"], "chance": np.nan if guess is None else guess}
        return {name: float(value) for name, value in numbers.items()}
