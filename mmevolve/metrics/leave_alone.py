"""When to leave an answer alone: a gate on corrections, learned from what earlier ones did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from mmevolve import logistic
from mmevolve.config.ranges import Range
from mmevolve.logistic import Logistic
from mmevolve.metrics.mean import mean
from mmevolve.metrics.reward import auroc
from mmevolve.metrics.turns import Pair, pairs
from mmevolve.statistics import paired_interval
from mmevolve.text import stable_seed
from mmevolve.types import Group, Trajectory

NAN = math.nan


@dataclass(frozen=True)
class Gate:
    """Says of a first turn, or of both, whether to take the correction.

    Attributes:
        chance: P(the correction mends | it changes the verdict).
        critics: whose scores are read, as it was fitted.
        sees: the first turn alone, or the revision too.
        above: a correction is taken when the chance is above it.
    """

    chance: Logistic
    critics: tuple[str, ...]
    sees: Literal["first", "both"]
    above: float = 0.5

    def takes(self, pair: Pair) -> bool:
        """Whether to take the second turn."""
        return self.chance(features(pair, self.critics, self.sees)) > self.above


@dataclass(frozen=True)
class LeaveAlone:
    """What corrections gain with a do-no-harm gate and without, on questions that the gate was not fitted on.

    A correction is worth taking when it is likelier to mend than to break: P(fixed | x) > P(broken | x), which is
    P(fixed | verdict changed, x) > 1/2. So the gate is one logistic regression of fixed against broken on the
    corrections that changed the verdict, and decides at `above`. Questions are dealt into `folds`; each fold is decided
    by a gate that was fitted on the others. Its features are known without the reference answer: each named critic's
    score and lowest step score, the mean and the lowest log-probability of a token, the share of the question's other
    first attempts with the same answer, and the number of steps. With `sees: both` also by how much scores and
    log-probabilities differ in the revision, and whether its answer is another one.

    - `gate/gain`, `gate/gain_without`: mean change of the verdict, with the gate and with every correction taken.
    - `gate/saved`: their difference, with its paired interval by question.
    - `gate/left_alone`: share of corrections not taken; `gate/harm_avoided` and `gate/fixes_lost`: of the broken and of
      the fixed ones, the share not taken.
    - `gate/auroc`: of telling fixed from broken in held-out questions, within folds.
    - `gate/changed_fixed`, `gate/changed_broken`: how many there were; with fewer than `least` of either outside a fold
      there is no gate: all else is NaN. `gate/unusable` is then 1.

    Paper: the idea is that of critique-effectiveness prediction ("Multi-Modal Self-Supervised Learning for Surgical
    Feedback Effectiveness Assessment", 2024: will feedback change behaviour?). Differs: target, features and gate are
    ours.

    Attributes:
        critics: whose scores are features; never one that reads the reference answer.
        critic: the verifier, which says what corrections did; no feature.
        against: compare each revision with its parent, or the last of each chain with the attempt that began it.
        sees: decide before a revision is drawn, or with it in hand.
        above: of the chance that a change is for the better.
        folds: of the questions.
        least: fixed and broken corrections that a gate needs, each.
        ridge: of the regression.
        seed: of folds and resampling.

    Raises:
        KeyError: when the verifier or a named critic said nothing about a sample's attempts.
        ValueError: when the verifier is among the features, or step scores are not numbers.
    """

    critics: tuple[str, ...] = ()
    critic: str = "answer"
    against: Literal["parent", "first"] = "first"
    sees: Literal["first", "both"] = "first"
    above: Annotated[float, Range(0.0, 1.0)] = 0.5
    folds: Annotated[int, Range(2)] = 5
    least: Annotated[int, Range(1)] = 5
    ridge: Annotated[float, Range(1e-6)] = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        known = [name for name in self.critics if name in (self.critic, "oracle")]
        if known:
            raise ValueError(f"'{known[0]}' knows the answer: a gate that reads it could not decide without the answer")

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        found = sorted(pairs(groups, self.critic, self.against), key=lambda p: p.before.id)
        numbers = {
            "gate/changed_fixed": float(sum(fixed(p) for p in found)),
            "gate/changed_broken": float(sum(broken(p) for p in found)),
        }
        try:
            chances = self.chances(found)
        except TooFew:
            nothing = ("gain", "gain_without", "saved", "saved_low", "saved_high", "left_alone", "harm_avoided",
                       "fixes_lost", "auroc")  # fmt: skip
            return numbers | {f"gate/{name}": NAN for name in nothing} | {"gate/unusable": 1.0}
        taken = [chance > self.above for chance in chances]
        rows: dict[str, tuple[list[float], list[float]]] = {}
        for pair, take in zip(found, taken, strict=True):
            without, with_ = rows.setdefault(pair.group.sample.id, ([], []))
            without.append(pair.p_after - pair.p_before)
            with_.append((pair.p_after - pair.p_before) * take)
        without, with_ = ([mean(row[i]) for row in rows.values()] for i in (0, 1))
        saved = paired_interval(without, with_, clusters=list(rows), seed=self.seed)
        tried = list(zip(found, taken, chances, strict=True))
        return numbers | {
            "gate/gain": mean(with_),
            "gate/gain_without": mean(without),
            "gate/saved": saved.mean,
            "gate/saved_low": saved.low,
            "gate/saved_high": saved.high,
            "gate/left_alone": mean([not take for _, take, _ in tried]),
            "gate/harm_avoided": mean([not take for p, take, _ in tried if broken(p)]),
            "gate/fixes_lost": mean([not take for p, take, _ in tried if fixed(p)]),
            "gate/auroc": self._auroc(found, chances),
            "gate/unusable": 0.0,
        }

    def chances(self, found: Sequence[Pair]) -> list[float]:
        """Of each correction the chance that a change is for the better, by a gate that has not seen its question.

        Raises:
            TooFew: when there are, or a fold leaves, too few corrections that mended or broke.
        """
        if not found:
            self.fit(found)
        fold = [self._fold(p) for p in found]
        gates = {
            k: self.fit([p for p, own in zip(found, fold, strict=True) if own != k]) for k in sorted(set(fold))
        }  # fmt: skip
        return [
            gates[own].chance(features(p, self.critics, self.sees)) for p, own in zip(found, fold, strict=True)
        ]  # fmt: skip

    def _fold(self, pair: Pair) -> int:
        return stable_seed(self.seed, "fold", pair.group.sample.id) % self.folds

    def _auroc(self, found: Sequence[Pair], chances: Sequence[float]) -> float:
        """Within folds: a fold with more fixes leaves fewer to fit its own gate on, which pooled ranks would count."""
        folds: dict[int, list[tuple[float, bool]]] = {}
        for pair, chance in zip(found, chances, strict=True):
            if fixed(pair) or broken(pair):
                folds.setdefault(self._fold(pair), []).append((chance, fixed(pair)))
        weights = {k: sum(good for _, good in own) * sum(not good for _, good in own) for k, own in folds.items()}
        there = [k for k, weight in weights.items() if weight]
        total = sum(weights[k] for k in there)
        return sum(auroc(folds[k]) * weights[k] for k in there) / total if total else NAN

    def fit(self, found: Sequence[Pair]) -> Gate:
        """The gate that these corrections teach.

        Raises:
            TooFew: when too few of them mended or broke an answer, with both counts.
        """
        changed = [p for p in found if fixed(p) or broken(p)]
        mended = sum(map(fixed, changed))
        if min(mended, len(changed) - mended) < self.least:
            raise TooFew(
                f"{mended} of {len(found)} corrections mended an answer and {len(changed) - mended} broke one: a gate "
                f"needs {self.least} of each to tell them apart"
            )
        rows = [features(p, self.critics, self.sees) for p in changed]
        chance = logistic.fit(rows, [fixed(p) for p in changed], ridge=self.ridge)
        return Gate(chance, self.critics, self.sees, self.above)


class TooFew(ValueError):
    """Too few corrections of one kind to learn from; the sentence says how many of each."""


def fixed(pair: Pair) -> bool:
    """Wrong before, right after."""
    return pair.p_before == 0 and pair.p_after == 1


def broken(pair: Pair) -> bool:
    """Right before, wrong after."""
    return pair.p_before == 1 and pair.p_after == 0


def features(pair: Pair, critics: Sequence[str], sees: Literal["first", "both"]) -> list[float]:
    """What is known of a correction without the reference answer; NaN what is not known."""
    first = _of(pair.group, pair.before, critics)
    # attempts that were drawn because the first was wrong would tell that it was
    drawn = [t for t in pair.group.trajectories if not t.sampling.get("resample") and "arm" not in t.sampling]
    roots = [t for t in drawn if t.parent is None and t.id != pair.before.id]
    same = mean([float(t.answer == pair.before.answer) for t in roots])
    row = [*first, same, float(len(pair.before.steps))]
    if sees == "both":
        second = _of(pair.group, pair.after, critics)
        row += [b - a for a, b in zip(first, second, strict=True)]
        row.append(float(pair.before.answer != pair.after.answer))
    return row


def _of(group: Group, trajectory: Trajectory, critics: Sequence[str]) -> list[float]:
    """Scores and lowest step scores by critic, mean and lowest log-probability."""
    known: list[float] = []
    for critic in critics:
        group.scores(critic)  # for its complaint
        said = group.by(critic).get(trajectory.id)
        known.append(NAN if said is None or said.score is None else said.score)
        known.append(NAN if said is None else min(said.step_scores, default=NAN))
    return [*known, mean(trajectory.logprobs), min(trajectory.logprobs, default=NAN)]
