"""What the studies of self-correction print: figures, their change, findings beside papers', and what a gate saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arms import Arm, cells, decided, difference, head, measured, points, run_folder, stored

from mmevolve.metrics.leave_alone import LeaveAlone, TooFew
from mmevolve.metrics.turns import pairs
from mmevolve.statistics import Interval, function_interval
from mmevolve.types import Group

Figures = dict[str, dict[str, float]]  # a figure's name -> question -> its value
ALIKE = 0.05  # a paper's "no difference" is agreed with where the interval lies within 5 points of 0


@dataclass(frozen=True)
class Finding:
    """What a paper says of a figure: that of `a` is above (+1), below (-1) or like (0) that of `b`, or 0.

    `paper` is its own number where it has one, else where it says so, and empty where the expectation is ours. With
    `of`, the figure is taken as a share of that other figure.
    """

    says: str
    paper: str
    sign: int
    figure: str
    a: str
    b: str | None = None
    of: str | None = None


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        title: of its section in the results.
        arms: name -> recipe and overrides, in the order in which they run.
        read: the figures of every question that an evaluation kept.
        evaluation: whose attempts are read.
        show: figure -> its column's name.
        before: what the weights before training are called; those of the first arm.
        findings: the lines that compare with papers.
        shared: arm -> (arm that ran before it, folders that are the same in both).
        says: a line below the tables.
        gate: whether a do-no-harm gate is fitted to its second turns.
    """

    title: str
    arms: dict[str, Arm]
    read: Callable[[Sequence[Group]], Figures]
    evaluation: str
    show: dict[str, str]
    before: str
    findings: Sequence[Finding]
    shared: dict[str, tuple[str, Sequence[str]]] = field(default_factory=dict)
    says: str = ""
    gate: bool = False


def figures(study: Study, folder: Path, when: int) -> Figures:
    """What a run's evaluation kept before its first round (0) or after its last (-1)."""
    return study.read(reviewed_groups(study, folder, when))


def reviewed_groups(study: Study, folder: Path, when: int) -> list[Group]:
    """The attempts of that evaluation."""
    at = measured(folder)[when]
    name = at["round"] if isinstance(at["round"], str) else f"round={at['round']:03d}"
    return stored(folder, at["loop"], name, study.evaluation)


def page(study: Study, out: Path, seeds: int) -> list[str]:
    """Markdown: the figures of each point, their change by seed, and the findings."""
    first = next(iter(study.arms))
    places = {study.before: (first, 0), **{arm: (arm, -1) for arm in study.arms}}
    found = {
        name: [figures(study, run_folder(out, arm, seed), when) for seed in range(seeds)]
        for name, (arm, when) in places.items()
    }
    lines = [*levels(study, found), "", *changes(study, found), "", *compared(study, found)]
    if study.gate:
        lines += ["", *with_gate(study, places, out, seeds)]
    return [*lines, "", study.says] if study.says else lines


def with_gate(study: Study, places: Mapping[str, tuple[str, int]], out: Path, seeds: int) -> list[str]:
    """What second turns gain when a gate, fitted on other questions, decides which first answers to leave alone."""
    lines = head(
        "do-no-harm gate", "second less first", "with the gate", "saved by it, 95 %", "harm avoided", "fixes lost"
    )
    for name, (arm, when) in places.items():
        try:
            runs = [gated(reviewed_groups(study, run_folder(out, arm, seed), when)) for seed in range(seeds)]
        except TooFew as why:
            lines.append(cells(name, *["–"] * 3, f"none: {str(why).partition(':')[0]}", ""))
            continue
        saved = difference([r["without"] for r in runs], [r["with"] for r in runs])
        share = {what: [x for run in runs for x in run[what].values()] for what in runs[0]}
        lost = [f"{100 * mean(share[what]):.0f} %" if share[what] else "none" for what in ("broken", "fixed")]
        gains = [f"{100 * mean(share[what]):+.1f}" for what in ("without", "with")]
        lines.append(cells(name, *gains, points(saved), *lost))
    return [*lines, "", "The gate reads the first turn alone: token log-probabilities, steps (`metrics.LeaveAlone`)."]


def gated(groups: Sequence[Group]) -> Figures:
    """Of each question the second turn's gain without and with the gate; of what it broke and fixed, what was left."""
    gate = LeaveAlone()
    found = sorted(pairs(groups, "answer", "first"), key=lambda pair: pair.before.id)
    taken = [chance > gate.above for chance in gate.chances(found)]
    said: Figures = {name: {} for name in ("without", "with", "broken", "fixed")}
    for pair, take in zip(found, taken, strict=True):
        question, gain = pair.group.sample.id, pair.p_after - pair.p_before
        said["without"][question], said["with"][question] = gain, gain * take
        if gain:
            said["fixed" if gain > 0 else "broken"][question] = float(not take)
    return said


def levels(study: Study, found: Mapping[str, Sequence[Figures]]) -> list[str]:
    lines = head("means over seeds and questions, %", *study.show.values())
    for name, runs in found.items():
        means = [mean([x for run in runs for x in run[figure].values()]) for figure in study.show]
        lines.append(cells(name, *(f"{100 * m:.1f}" for m in means)))
    return lines


def changes(study: Study, found: Mapping[str, Sequence[Figures]]) -> list[str]:
    """Every arm less the start: points with paired intervals, and seed by seed."""
    lines = head(f"less {study.before}", "figure", "points, 95 %", "seed by seed: before to after, %")
    start = found[study.before]
    for name, runs in list(found.items())[1:]:
        for figure, called in study.show.items():
            gap = difference([r[figure] for r in start], [r[figure] for r in runs])
            means = [[100 * mean(list(r[figure].values())) for r in both] for both in zip(start, runs, strict=True)]
            each = ", ".join(f"{a:.1f} to {b:.1f}" for a, b in means)
            lines.append(cells(name, called, points(gap), each))
    return lines


def compared(study: Study, found: Mapping[str, Sequence[Figures]]) -> list[str]:
    lines = head("finding", "paper", "ours, 95 %", "")
    for f in study.findings:
        after = [run[f.figure] for run in found[f.a]]
        before = [dict.fromkeys(run, 0.0) for run in after] if f.b is None else [run[f.figure] for run in found[f.b]]
        gap = difference(before, after) if f.of is None else share_difference(f, found)
        lines.append(cells(f.says, f.paper or "none: our expectation", points(gap), verdict(f.sign, gap)))
    return lines


def share_difference(finding: Finding, found: Mapping[str, Sequence[Figures]]) -> Interval:
    """Of `figure` as a share of `of`: in `a` less in `b`; questions are resampled, whose seeds go together."""
    rows, clusters = [], []
    for before, after in zip(found[finding.b], found[finding.a], strict=True):
        for question in before[finding.of]:
            rows.append([side[name][question] for side in (before, after) for name in (finding.figure, finding.of)])
            clusters.append(question)

    def gap(means: Sequence[float]) -> dict[str, float]:
        part, whole, later_part, later_whole = means
        return {"gap": later_part / later_whole - part / whole if whole and later_whole else float("nan")}

    return function_interval(rows, gap, clusters=clusters)["gap"]


def verdict(sign: int, gap: Interval) -> str:
    """Whether ours is what was said of it; the interval alone decides.

    >>> [verdict(0, Interval(mean, mean - 0.02, mean + 0.02, 100)) for mean in (0.01, 0.04, 0.08)]
    ['agrees', 'undecided', 'disagrees']
    """
    if sign:
        return decided(sign, gap)
    if gap.low > -ALIKE and gap.high < ALIKE:
        return "agrees"
    return "disagrees" if gap.low > ALIKE or gap.high < -ALIKE else "undecided"


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
