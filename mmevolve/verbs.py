"""The verbs: take, tune, sample, critique, select, measure. Each is a plain function that a loop calls in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from mmevolve import ranks
from mmevolve.protocols import VLM, Critic, Metric, RoundState, Sampler, Schedule, Selector
from mmevolve.schedules.watch import Monitor
from mmevolve.store import Units
from mmevolve.text import chunks, stable_seed
from mmevolve.types import Critique, Example, Group, Sample, Trajectory

UNIT = 32  # samples of one unit of sampling or judging: what a kill can lose
SpreadFn = Callable[[Any, Any, Sequence[Any]], list[list[Any]]]


def take(data: Sequence[Sample], fraction: float, seed: int, *, round: int) -> list[Sample]:
    """The round's share of the samples: consecutive windows of one seeded order, wrapping round at its end.

    Raises:
        ValueError: when the dataset is empty or the fraction is not in (0, 1].
    """
    if not data:
        raise ValueError("the training data hold no samples: nothing to take")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction {fraction}: expected more than 0 and at most 1")
    order = list(data)
    Random(stable_seed(seed, "take")).shuffle(order)
    size = max(1, int(len(order) * fraction + 1e-3))  # 0.3333333 of 2,400 is 800
    start = round * size
    return [order[(start + i) % len(order)] for i in range(size)]


def tune(
    schedule: Schedule, sampler: Sampler, history: Sequence[Mapping[str, float]], probe: Any, *, round: int
) -> list[dict[str, Any]]:
    """The sampler fields that the schedule changes for this round, as one row.

    Each setting that the probe tries is kept while the row is being made, in units of a few dozen samples; a process
    that only helps tries nothing, it reads what the first one found.
    """
    if ranks.helps():
        return []
    return [dict(schedule(RoundState(round, tuple(history), probe)))]


def watch(
    monitors: Sequence[Monitor], rounds: Mapping[int, Mapping[str, float]], *, round: int
) -> list[dict[str, Any]]:
    """The alarms of a round, one row each; `rounds` are the measured ones that stand, -1 before the first."""
    alarms = [monitor(rounds) for monitor in monitors]
    return [dataclasses.asdict(alarm) for alarm in alarms if alarm is not None]


def sample(
    policy: VLM, sampler: Sampler, batch: Sequence[Sample], spread: SpreadFn | None = None, *, round: int
) -> Units:
    """Trajectories for each sample, in units of a few dozen samples."""
    units = list(chunks(list(batch), UNIT))
    work = SampleWork(policy, sampler, round)
    return _spread(policy, work, units, spread)


def critique(
    critics: Sequence[Critic],
    trajectories: Sequence[Trajectory],
    batch: Sequence[Sample],
    spread: SpreadFn | None = None,
    policy: VLM | None = None,
) -> Units:
    """What every critic says of every trajectory; critics in order, trajectories of one sample in one unit."""
    by_id = {s.id: s for s in batch}
    items = [(by_id[t.sample_id], t) for t in trajectories]
    per_sample: dict[str, list[tuple[Sample, Trajectory]]] = {}
    for pair in items:
        per_sample.setdefault(pair[0].id, []).append(pair)
    units = [[pair for group in part for pair in group] for part in chunks(list(per_sample.values()), UNIT)]
    return _spread(policy, CritiqueWork(tuple(critics)), units, spread)


def group(batch: Sequence[Sample], trajectories: Sequence[Trajectory], critiques: Sequence[Critique]) -> list[Group]:
    """All attempts and critiques by sample, in the batch's order."""
    attempts: dict[str, list[Trajectory]] = {s.id: [] for s in batch}
    said: dict[str, list[Critique]] = {s.id: [] for s in batch}
    if len(attempts) < len(batch):
        seen: set[str] = set()
        twice = next(s.id for s in batch if s.id in seen or seen.add(s.id))
        raise ValueError(f"two samples have the id '{twice}': their attempts cannot be told apart")
    owner = {}
    for t in trajectories:
        attempts[t.sample_id].append(t)
        owner[t.id] = t.sample_id
    for c in critiques:
        said[owner[c.trajectory_id]].append(c)
    return [Group(s, tuple(attempts[s.id]), tuple(said[s.id])) for s in batch]


def select(
    selector: Selector, batch: Sequence[Sample], trajectories: Sequence[Trajectory], critiques: Sequence[Critique]
) -> list[Example]:
    """Training rows of one round."""
    return list(selector(group(batch, trajectories, critiques)))


def measure(metrics: Sequence[Metric], groups: Sequence[Group]) -> dict[str, float]:
    """All metrics of one set of groups, under their names.

    Raises:
        ValueError: when two metrics give the same name.
    """
    numbers: dict[str, float] = {}
    for metric in metrics:
        for name, value in metric(groups).items():
            if name in numbers:
                raise ValueError(f"two metrics are called '{name}': give one of them another name")
            numbers[name] = value
    return numbers


class SampleWork:
    """Sampling as a unit of work that can travel to another process."""

    def __init__(self, policy: VLM, sampler: Sampler, round: int):
        self.policy, self.sampler, self.round = policy, sampler, round

    def __call__(self, units: Sequence[Sequence[Sample]]) -> list[list[Trajectory]]:
        return [list(self.sampler(self.policy, unit, round=self.round)) for unit in units]

    def describe(self) -> dict[str, Any]:
        return {}


class CritiqueWork:
    """Judging as a unit of work that can travel to another process."""

    def __init__(self, critics: tuple[Critic, ...]):
        self.critics = critics

    def __call__(self, units: Sequence[Sequence[tuple[Sample, Trajectory]]]) -> list[list[Critique]]:
        return [[said for critic in self.critics for said in critic(unit)] for unit in units]


def _spread(policy: Any, work: Any, units: list, spread: SpreadFn | None) -> Units:
    if spread is None:
        return Units(units, work)
    return Units(units, lambda todo: spread(policy, work, todo), at_once=max(1, len(units)), spread=True)
