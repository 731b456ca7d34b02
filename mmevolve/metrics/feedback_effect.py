"""What feedback is worth beside plain resampling, and what its content is worth beside another question's feedback."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.metrics.mean import mean
from mmevolve.statistics import paired_interval, wilson
from mmevolve.types import Group, Trajectory

RESAMPLE, ALL_WRONG, SHUFFLED = "resample", "all_wrong", "shuffled"
EFFECTS = {"effect": (RESAMPLE, ALL_WRONG), "content_effect": (SHUFFLED, ALL_WRONG)}


@dataclass(frozen=True)
class Chain:
    """One first attempt and its further attempts, by arm.

    Attributes:
        first: the first attempt.
        later: of each arm, attempts in order; none where the first one passed.
    """

    first: Trajectory
    later: Mapping[str, Sequence[Trajectory]]

    def last(self, arm: str) -> Trajectory:
        """What an arm ends with."""
        return self.later[arm][-1] if self.later[arm] else self.first


@dataclass(frozen=True)
class FeedbackEffect:
    """Accuracy of every arm of `samplers.Feedback`, and its two differences with paired intervals by question.

    - `feedback/acc_first`, `feedback/acc_<arm>`: right at first, and at the end of an arm's chains.
    - `feedback/effect`: all wrong steps named - resample: what feedback is worth beyond further attempts.
    - `feedback/content_effect`: all wrong steps named - those of another question: what its content is worth.
    - `feedback/attempts_<arm>`: attempts made, the first one included; the budget is the same in every arm.
    - `feedback/told_<arm>`: of the further attempts, the share that was told of at least one step.

    A gain of a critique loop that lacks a positive `effect` is one of drawing again; one that lacks a positive
    `content_effect` is one of being told anything at all. Questions count alike. An effect is NaN where its arms were
    not drawn, and everything is where no arm was.

    Paper: Stechly et al. 2023, "GPT-4 Doesn't Know It's Wrong", arXiv:2310.12397; the two differences are ours.

    Attributes:
        critic: the verifier of the answers; what it could not judge is not right.
        level: share of intervals that should hold the true value.
        draws: resamples.
        seed: of the resampling.

    Raises:
        KeyError: when the verifier said nothing about a sample's attempts.
        ValueError: when chains had different budgets or arms, or one is longer than its budget.
    """

    critic: str = "answer"
    level: Annotated[float, Range(0.5, 0.999)] = 0.95
    draws: Annotated[int, Range(1)] = 10_000
    seed: int = 0

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        found = [(group, own) for group in sorted(groups, key=lambda g: g.sample.id) if (own := chains(group))]
        arms = list(same_budget([chain for _, own in found for chain in own]))
        rows = {arm: [self._right(group, [c.last(arm) for c in own]) for group, own in found] for arm in arms}
        numbers = {"feedback/acc_first": mean([self._right(group, [c.first for c in own]) for group, own in found])}
        for arm in arms:
            later = [t for _, own in found for chain in own for t in chain.later[arm]]
            numbers[f"feedback/acc_{arm}"] = mean(rows[arm])
            numbers[f"feedback/attempts_{arm}"] = mean([1.0 + len(c.later[arm]) for _, own in found for c in own])
            numbers[f"feedback/told_{arm}"] = mean([t.sampling["told"] > 0 for t in later])
        for name, (before, after) in EFFECTS.items():
            value = low = high = math.nan
            if before in rows and after in rows:
                between = paired_interval(
                    rows[before], rows[after], level=self.level, draws=self.draws, seed=self.seed,
                    clusters=[group.sample.id for group, _ in found],
                )  # fmt: skip
                value, low, high = between.mean, between.low, between.high
                if rows[before] == rows[after] and len(found) > 1:  # Wilson's ends: a question changes with that chance
                    high = wilson(0, len(found), level=self.level).high
                    low = -high
            numbers |= {f"feedback/{name}": value, f"feedback/{name}_low": low, f"feedback/{name}_high": high}
        return numbers

    def _right(self, group: Group, attempts: Sequence[Trajectory]) -> float:
        scores = dict(zip((t.id for t in group.trajectories), group.scores(self.critic), strict=True))
        return mean([(score := scores[t.id]) is not None and score > 0 for t in attempts])


def chains(group: Group) -> list[Chain]:
    """The chains of one sample, in order of their first attempts; none of attempts that no arm follows."""
    made = []
    for first in group.trajectories:
        arms = first.sampling.get("arms")
        if arms is None or first.sampling.get("arm") is not None:
            continue
        later: dict[str, list[Trajectory]] = {arm: [] for arm in arms}
        for t in group.trajectories:
            if t.sampling.get("chain") == first.id and (arm := t.sampling.get("arm")) is not None:
                later[arm].append(t)
        made.append(Chain(first, {arm: sorted(own, key=lambda t: t.sampling["turn"]) for arm, own in later.items()}))
    return made


def same_budget(found: Sequence[Chain]) -> tuple[str, ...]:
    """The arms, which all chains share with one budget.

    Raises:
        ValueError: when they do not, naming the chain.
    """
    if not found:
        return ()
    budget, arms = found[0].first.sampling["attempts"], tuple(found[0].later)
    for chain in found:
        name, own = chain.first.id, chain.first.sampling["attempts"]
        if own != budget or set(chain.later) != set(arms):
            raise ValueError(
                f"chain '{name}' has {own} attempts in arms {sorted(chain.later)}, chain '{found[0].first.id}' has "
                f"{budget} in {sorted(arms)}: arms are compared at equal attempts"
            )
        for arm, attempts in chain.later.items():
            if len(attempts) > budget - 1:
                raise ValueError(f"chain '{name}' made {1 + len(attempts)} attempts in '{arm}', its budget is {budget}")
    return arms
