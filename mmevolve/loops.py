"""Loops: pages that call the verbs in order."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from mmevolve import verbs
from mmevolve.evaluation import HeldOut, refuse_overlap
from mmevolve.protocols import VLM, Critic, Metric, Sampler, Schedule, Selector, TrainStep
from mmevolve.schedules import knobs
from mmevolve.store import RunStore
from mmevolve.types import Example, Sample


class NothingSelected(RuntimeError):
    """A round kept no row; everything made so far stays on disk."""


def evolve(
    *,
    store: RunStore,
    policy: VLM,
    data: Sequence[Sample],
    sampler: Sampler,
    critics: Sequence[Critic],
    selector: Selector,
    train: TrainStep,
    rounds: int,
    name: str = "evolve",
    student: Any = None,
    fraction: float = 1.0,
    schedule: Schedule | None = None,
    probe_data: Sequence[Sample] = (),
    metrics: Sequence[Metric] = (),
    evaluations: Sequence[HeldOut] = (),
    spread: Callable[..., Any] | None = None,
    when_empty: Literal["stop", "go on"] = "stop",
    seed: int = 0,
) -> Any:
    """Iterated self-improvement: take, tune, sample, critique, select, train, measure; once per round.

    With a `student`, the policy samples and the student learns: that is how a reward model is trained from rollouts.

    A round that keeps no row stops the run, or, with `when_empty: go on`, says so and trains nothing.

    Raises:
        NothingSelected: when a round keeps no row and the loop is to stop then.
        ValueError: when a held-out sample, or one that a schedule probes on, is also in the training data.
    """
    store = store.stage(name)
    learner = policy if student is None else student
    probes = [HeldOut("probe_data", probe_data, sampler, critics, ())] if probe_data else []
    refuse_overlap(data, [*evaluations, *probes])
    if student is not None:
        student.start_from(policy)
    learner.mark_home()
    history = [_measure(store, "before", metrics, (), evaluations, policy)]
    for r in range(rounds):
        batch = store.once(r, "samples", verbs.take, data, fraction, seed, round=r)
        tuned: dict[str, Any] = {}
        if schedule is not None:
            probe = Probe(policy, sampler, critics, probe_data, r)
            (tuned,) = store.once(r, "knobs", verbs.tune, schedule, sampler, history, probe, round=r)
            sampler, selector, train = knobs.apply(tuned, sampler, selector, train)
        trajectories = store.once(r, "trajectories", verbs.sample, policy, sampler, batch, spread, round=r)
        critiques = store.once(r, "critiques", verbs.critique, critics, trajectories, batch, spread, policy)
        examples = store.once(r, "examples", verbs.select, selector, batch, trajectories, critiques)
        if examples:
            learner = train(learner, examples, store, round=r)
        elif when_empty == "go on":
            store.console.say(why_nothing(name, r, batch, trajectories, critiques, selector))
        else:
            raise NothingSelected(why_nothing(name, r, batch, trajectories, critiques, selector))
        groups = verbs.group(batch, trajectories, critiques)
        more = {"rows": len(examples), **knobs.numbers(tuned)}
        history.append(_measure(store, r, metrics, groups, evaluations, policy, more))
    return learner


def finetune(
    *,
    store: RunStore,
    policy: VLM,
    rows: Sequence[Example],
    train: TrainStep,
    name: str = "finetune",
    evaluations: Sequence[HeldOut] = (),
) -> Any:
    """Supervised training on given rows: measure, train, measure."""
    store = store.stage(name)
    policy.mark_home()
    _measure(store, "before", (), (), evaluations, policy)
    policy = train(policy, rows, store, round=0)
    _measure(store, 0, (), (), evaluations, policy, {"rows": len(rows)})
    return policy


def _measure(
    store: RunStore,
    at: int | str,
    metrics: Sequence[Metric],
    groups: Sequence[Any],
    held: Sequence[HeldOut],
    policy: VLM,
    more: Mapping[str, float] = types.MappingProxyType({"rows": 0}),
) -> dict[str, float]:
    numbers = {**more, **(verbs.measure(metrics, groups) if groups else {})}
    for evaluation in held:
        numbers |= evaluation(policy, store, at=at)
    (row,) = store.once(at, "metrics", list, [numbers])  # the numbers are the key: a metric that was changed is noticed
    store.console.round(store.stage_name, at, row)
    return row


class Probe:
    """Tries knobs on held-out samples, with the loop's own critics; schedules call it."""

    def __init__(self, policy: VLM, sampler: Sampler, critics: Sequence[Critic], data: Sequence[Sample], round: int):
        self.policy, self.sampler, self.critics, self.data, self.round = policy, sampler, critics, data, round

    def __call__(self, knobs: dict[str, Any]) -> list[Any]:
        """Groups sampled with these knobs."""
        units = verbs.sample(self.policy, replace(self.sampler, **knobs), self.data, round=self.round)
        attempts = [t for rows in units.work(units.items) for t in rows]
        judged = verbs.critique(self.critics, attempts, self.data)
        said = [c for rows in judged.work(judged.items) for c in rows]
        return verbs.group(self.data, attempts, said)

    def describe(self) -> dict[str, Any]:
        return {"probe": [s.id for s in self.data]}


def why_nothing(
    name: str, round: int, batch: Sequence[Any], trajectories: Sequence[Any], critiques: Sequence[Any], selector: Any
) -> str:
    """One paragraph for a round that kept no row."""
    passed: dict[str, int] = {}
    errors: dict[str, int] = {}
    for c in critiques:
        passed[c.critic] = passed.get(c.critic, 0) + (c.score is not None and c.score > 0)
        errors[c.critic] = errors.get(c.critic, 0) + (c.error is not None)
    unanswered = sum(t.answer is None for t in trajectories)
    said = "; ".join(
        f"critic '{k}' scored {v} above 0" + (f", {errors[k]} without a score" if errors[k] else "")
        for k, v in passed.items()
    )
    return (
        f"{name}, round {round}: {type(selector).__name__} kept none of {len(trajectories)} trajectories "
        f"for {len(batch)} samples ({unanswered} without an answer; {said}). "
        "Nothing was trained and every table is kept: loosen the selector, sample more, or start from a stronger policy"
    )
