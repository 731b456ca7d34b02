"""The table of `verifiers.py`: areas under the ROC curve with intervals, best of n, and what the picture is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from arms import cells, head, points

from mmevolve.metrics.best_of_n import by_critic, by_majority, by_oracle, classes
from mmevolve.statistics import Interval, mean_interval, paired_interval
from mmevolve.types import Group

DRAWS = 2_000
LEGEND = (
    "AUROC: right above wrong among all attempts; within a question: among attempts at the same one, which is what "
    "best of n lives on. An attempt without a score ranks last, ties are shared. Calls: replies, texts, pairs that a "
    "model was asked for, by all attempts (those for a probe's own questions among them). Swapped: the first 100 "
    "questions with another's picture; grey: the first 50 with none."
)
Scores = Mapping[str, float | None]  # attempt -> score, None where there is none


def within(rows: Sequence[tuple[Scores, Group]]) -> float:
    """Chance that a right attempt at a question outranks a wrong one at the same, ties at half; every pair counts once.

    An attempt without a score ranks below all that have one. NaN where no question has both.
    """
    won = total = 0.0
    for scores, g in rows:
        ranked, right = levels(scores, g), truth(g)
        good, bad = ranked[right], ranked[~right]
        won += (good[:, None] > bad).sum() + (good[:, None] == bad).sum() / 2
        total += len(good) * len(bad)
    return won / total if total else float("nan")


def levels(scores: Scores, g: Group) -> np.ndarray:
    return np.array([-np.inf if (x := scores[t.id]) is None else x for t in g.trajectories])


def truth(g: Group) -> np.ndarray:
    return np.array([bool(x) for x in g.scores("answer")])


def weights(questions: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each question is in each resample, (draws + 1, questions); the first row has each of them once."""
    drawn = np.random.default_rng(seed).multinomial(questions, np.full(questions, 1 / questions), size=draws)
    return np.concatenate([np.ones((1, questions), dtype=drawn.dtype), drawn])


def areas(scores: Scores, groups: Sequence[Group], drawn: np.ndarray) -> np.ndarray:
    """AUROC of all attempts at the questions, in each resample of questions, ties at half."""
    ranked = np.concatenate([levels(scores, g) for g in groups])
    right = np.concatenate([truth(g) for g in groups])
    question = np.repeat(np.arange(len(groups)), [len(g.trajectories) for g in groups])
    level = np.unique(ranked, return_inverse=True)[1]
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(level[order]) > 0])
    rows = drawn[:, question[order]].astype(np.float64)
    good = np.add.reduceat(rows * right[order], starts, axis=1)
    bad = np.add.reduceat(rows * ~right[order], starts, axis=1)
    below = np.cumsum(bad, axis=1) - bad
    return (good * (below + bad / 2)).sum(axis=1) / (good.sum(axis=1) * bad.sum(axis=1))


def interval(resampled: np.ndarray, n: int) -> Interval:
    """The first entry, with the middle 95 % of the others."""
    low, high = np.quantile(resampled[1:], [0.025, 0.975])
    return Interval(float(resampled[0]), float(low), float(high), n)


def mean_area(runs: Sequence[Scores], groups: Sequence[Group], drawn: np.ndarray) -> np.ndarray:
    """Of several seeds: the mean of their areas in each resample, so the seeds of a question go together."""
    return np.mean([areas(run, groups, drawn) for run in runs], axis=0)


def moved(runs: Sequence[tuple[Scores, Scores]]) -> float:
    """Share of attempts whose score another picture changes."""
    changed = [a[t] != b[t] for a, b in runs for t in b]
    return sum(changed) / len(changed)


def picks(runs: Sequence[Scores], groups: Sequence[Group]) -> list[float]:
    """By question: chance that the highest-scored attempt is right, mean over seeds."""
    found = []
    for g in groups:
        n, right = len(g.trajectories), truth(g).tolist()
        found.append(sum(by_critic([run[t.id] for t in g.trajectories], right, n) for run in runs) / len(runs))
    return found


def votes(groups: Sequence[Group]) -> list[float]:
    answers = [classes([t.answer for t in g.trajectories], g.sample.choices) for g in groups]
    return [by_majority(a, truth(g).tolist(), len(a)) for a, g in zip(answers, groups, strict=True)]


def page(verifiers: Mapping[str, Any], found: Mapping[str, list[dict]], groups: Sequence[Group]) -> list[str]:
    """Markdown; `verifiers` are those of `verifiers.py`, `found` what each said, seed by seed."""
    n = len(groups[0].trajectories)
    first = mean_interval([float(truth(g)[0]) for g in groups])
    ideal = mean_interval([by_oracle(truth(g).tolist(), n) for g in groups])
    everyone = mean_interval([float(x) for g in groups for x in truth(g)], clusters=np.repeat(range(len(groups)), n))
    lines = [
        f"{len(groups)} test questions of four families, {n} attempts each at temperature 1.0, stored once: the first "
        f"attempt is right in {share(first)}, any attempt in {share(everyone)}, one of the {n} in {share(ideal)}; the "
        f"majority is right in {share(mean_interval(votes(groups)))}.",
        "",
        *head(
            "verifier", "AUROC, 95 %", "within a question", f"best of {n}, 95 %", "less the majority, points, 95 %",
            "calls an attempt", "processor s", "AUROC, swapped picture", "what the picture is worth, 95 %",
            "moved by swapped / grey", "no score",
        ),
    ]  # fmt: skip
    order = sorted(found, key=lambda name: -mean_within(found[name], groups))
    lines += [row(verifiers[name], name, found, groups) for name in order]
    said: dict[str, list[str]] = {}
    for name in found:
        said.setdefault(verifiers[name].says, []).append(verifiers[name].title)
    notes = [f"{says}: {', '.join(titles)}" for says, titles in said.items() if says]
    missing = [v.title for name, v in verifiers.items() if name not in found]
    left = [f"Not judged yet: {', '.join(missing)}."] if missing else []
    return [*lines, "", " ".join([LEGEND, f"{'; '.join(notes)}.", *left])]


def mean_within(runs: Sequence[dict], groups: Sequence[Group]) -> float:
    rows = [[(run["scores"]["real"], g) for g in judged(run, groups)] for run in runs]
    return sum(map(within, rows)) / len(rows)


def judged(run: Mapping[str, Any], groups: Sequence[Group]) -> list[Group]:
    """The questions that it was tried on."""
    return [g for g in groups if g.trajectories[0].id in run["scores"]["real"]]


def row(verifier: Any, name: str, found: Mapping[str, list[dict]], groups: Sequence[Group]) -> str:
    runs = found[name]
    own = judged(runs[0], groups)
    drawn = weights(len(own))
    real, other = ([run["scores"][place] for run in runs] for place in ("real", "swapped"))
    best, seen = picks(real, own), mean_area(real, own, drawn)
    few = [g for g in own if g.trajectories[0].id in other[0]]
    again = weights(len(few))
    blind = mean_area(other, few, again)
    worth = interval(mean_area(real, few, again) - blind, len(few))
    changed = [moved([(run["scores"]["real"], run["scores"][place]) for run in runs]) for place in ("swapped", "grey")]
    parts = [run for part in verifier.reckons if part in found for run in found[part]] or runs
    if name == "blend":
        parts = [found[part][k % len(found[part])] for k, run in enumerate(runs) for part in run["of"]]
    tried = len(own) * len(own[0].trajectories)
    calls, seconds = (sum(run[what] for run in parts) / len(runs) for what in ("calls", "seconds"))
    silent = sum(run["errors"]["n"] for run in runs) / len(runs) / tried
    seeds = f" ({len(own)} questions)" if verifier.most else ""
    if verifier.seeds:
        seeds = f" ({len(runs)} {'seed' if len(runs) == 1 else 'seeds'})"
    return cells(
        verifier.title + seeds, ends(interval(seen, tried)), f"{mean_within(runs, groups):.3f}",
        share(mean_interval(best)), points(paired_interval(votes(own), best)), f"{calls / tried:.2f}", f"{seconds:.1f}",
        f"{blind[0]:.3f}", ends(worth, "+"),
        " / ".join(f"{100 * x:.0f} %" for x in changed), f"{100 * silent:.0f} %",
    )  # fmt: skip


def ends(x: Interval, sign: str = "") -> str:
    return f"{x.mean:{sign}.3f} ({x.low:{sign}.3f} to {x.high:{sign}.3f})"


def share(x: Interval) -> str:
    return f"{100 * x.mean:.1f} % ({100 * x.low:.1f} to {100 * x.high:.1f})"
