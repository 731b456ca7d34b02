"""Loops: pages that call the verbs in order."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Protocol

from mmevolve import verbs
from mmevolve.config.ranges import Range
from mmevolve.evaluation import HeldOut, refuse_overlap
from mmevolve.protocols import VLM, Critic, Metric, Sampler, Schedule, Selector, TrainStep
from mmevolve.schedules import knobs
from mmevolve.schedules.watch import Monitor
from mmevolve.store import RunStore
from mmevolve.types import Example, Sample
from mmevolve.watched import Halted, Watched


class Evaluation(Protocol):
    """What a loop measures before its first round and after each: `evaluation.HeldOut`, `models.Plasticity`.

    Attributes:
        name: stands before its numbers.
        data: its samples, which must not be trained on.
    """

    name: str
    data: Sequence[Sample]

    def __call__(self, policy: VLM, store: RunStore, *, at: int | str) -> dict[str, float]: ...


class NothingSelected(Halted):
    """A round kept no row."""


def evolve(
    *,
    store: RunStore,
    policy: VLM,
    data: Sequence[Sample],
    sampler: Sampler,
    critics: Sequence[Critic],
    selector: Selector,
    train: TrainStep,
    rounds: Annotated[int, Range(0)] | None = None,
    passes: Annotated[float, Range(0)] | None = None,
    steps: Annotated[int, Range(1)] | None = None,
    name: str = "evolve",
    student: Any = None,
    student_from: Literal["policy", "itself"] = "policy",
    fraction: Annotated[float, Range(0, 1)] = 1.0,
    schedule: Schedule | None = None,
    probe_data: Sequence[Sample] = (),
    metrics: Sequence[Metric] = (),
    evaluations: Sequence[Evaluation] = (),
    monitors: Sequence[Monitor] = (),
    spread: Callable[..., Any] | None = None,
    when_empty: Literal["stop", "go on"] = "stop",
    seed: int = 0,
) -> Any:
    """Iterated self-improvement: take, tune, sample, critique, select, train, measure; once per round.

    With a `student`, the policy samples and the student learns: that is how a reward model is trained from rollouts,
    or another policy from this one's attempts.

    The interval between two samplings is the `fraction` of the samples that a round takes. To compare intervals, say
    `passes` over the samples in place of `rounds`, and the gradient `steps` of all rounds together, which are shared
    out over them: every fraction then sees as many samples and takes as many steps.

    A round that keeps no row stops the run, or, with `when_empty: go on`, says so and trains nothing.

    After a round is measured the `monitors` read the numbers. One may warn, pause the run, which the same command then
    takes up again, or roll back: the learner becomes what it was, optimizer included, and the round no longer counts;
    its tables stay. What they did is a table of the round.

    Args:
        store: the run folder; every table of the loop lies under its `name`.
        policy: what samples, and learns unless there is a student.
        data: the samples to learn from.
        sampler: how the policy makes attempts at a round's samples.
        critics: whose critiques of the attempts are kept; a selector reads them by name.
        selector: which attempts become which training rows.
        train: what one round's rows do to the learner.
        rounds: how many; either this or `passes`.
        passes: over the samples, in place of `rounds`: 1 takes each sample once.
        steps: gradient steps of all rounds together, shared out over them; None leaves each round to `train`.
        name: of the loop, and of its folder in the run.
        student: learns in the policy's place, from its attempts; None for the policy itself.
        student_from: the weights that a student starts from: the policy's, or those that it has, of an earlier loop.
        fraction: of the samples that a round takes, each in its turn.
        schedule: turns knobs before a round, such as the temperature.
        probe_data: held-out samples on which a schedule tries its knobs.
        metrics: numbers of the round's own attempts.
        evaluations: what is measured before the first round and after each.
        monitors: read the numbers of a measured round; may warn, pause or roll back.
        spread: gives the units of sampling and judging to a trainer's devices; None works in this process.
        when_empty: whether a round that keeps no row stops the run or is passed over.
        seed: of the order in which samples are taken.

    Raises:
        NothingSelected: when a round keeps no row and the loop is to stop then.
        Paused: when a monitor pauses the run.
        ValueError: when a held-out sample, or one that a schedule probes on, is also in the training data; when rounds
            and passes do not give a whole number of rounds; when `student_from` is given without a student.
    """
    count = count_rounds(rounds, passes, fraction)
    store = store.stage(name)
    learner = policy if student is None else student
    if student is None and student_from != "policy":
        raise ValueError(f"loop '{name}': student_from is '{student_from}' and no student is given: expected a student")
    probes = [HeldOut("probe_data", probe_data, sampler, critics, ())] if probe_data else []
    refuse_overlap(data, [*evaluations, *probes])
    if student is not None and student_from == "policy":
        if not hasattr(student, "start_from"):
            raise ValueError(
                f"loop '{name}': a {type(student).__name__} cannot start from the policy's weights; expected a student "
                "with weights of its own, such as models.TransformersVLM, or student_from: itself"
            )
        student.start_from(policy)
    learner.mark_home()
    history = [_measure(store, "before", metrics, (), evaluations, policy)]
    watched = Watched(store, learner)
    for r in range(count):
        if steps is not None:
            sampler, selector, train = knobs.apply({"train.steps": share(steps, count, r)}, sampler, selector, train)
        batch = store.once(r, "samples", verbs.take, data, fraction, seed, round=r)
        tuned: dict[str, Any] = {}
        if schedule is not None:
            probe = Probe(policy, sampler, critics, probe_data, r, store)
            (tuned,) = store.once(r, "knobs", verbs.tune, schedule, sampler, history, probe, round=r)
            sampler, selector, train = knobs.apply(tuned, sampler, selector, train)
        trajectories = store.once(r, "trajectories", verbs.sample, policy, sampler, batch, spread, round=r)
        critiques = store.once(r, "critiques", verbs.critique, critics, trajectories, batch, spread, policy)
        examples = store.once(r, "examples", verbs.select, selector, batch, trajectories, critiques)
        if examples:
            learner = train(learner, examples, watched.store, round=r)
        elif when_empty == "go on":
            store.console.say(why_nothing(name, r, batch, trajectories, critiques, selector))
        else:
            raise NothingSelected(why_nothing(name, r, batch, trajectories, critiques, selector))
        groups = verbs.group(batch, trajectories, critiques)
        more = {"rows": len(examples), **knobs.numbers(tuned)}
        history.append(_measure(store, r, metrics, groups, evaluations, policy, more))
        if monitors:
            watched.obey(learner, monitors, history, r)
    return learner


def count_rounds(rounds: int | None, passes: float | None, fraction: float) -> int:
    """How many rounds a loop has.

    Raises:
        ValueError: when not exactly one of rounds and passes is given, or the passes are no whole number of rounds.
    """
    if rounds is not None and passes is None:
        return rounds
    if passes is None or rounds is not None:
        raise ValueError(f"a loop needs `rounds` or `passes`: got rounds {rounds} and passes {passes}, expected one")
    count = passes / fraction
    if not count > 0 or abs(count - round(count)) > 1e-3:  # 1 / 0.3333333 is three rounds
        raise ValueError(
            f"{passes:g} passes of {fraction:g} of the samples a round are {count:.4g} rounds, expected a whole number"
        )
    return round(count)


def share(steps: int, rounds: int, round: int) -> int:
    """A round's share of the gradient steps of all rounds; the shares add up to them.

    Raises:
        ValueError: when there are fewer steps than rounds.
    """
    if steps < rounds:
        raise ValueError(f"{steps} gradient steps for {rounds} rounds: expected at least one a round")
    return (round + 1) * steps // rounds - round * steps // rounds


def finetune(
    *,
    store: RunStore,
    policy: VLM,
    rows: Sequence[Example],
    train: TrainStep,
    name: str = "finetune",
    evaluations: Sequence[HeldOut] = (),
) -> Any:
    """Supervised training on given rows: measure, train, measure.

    Args:
        store: the run folder; every table of the loop lies under its `name`.
        policy: what learns.
        rows: what it learns from, in this order unless `train` shuffles.
        train: what the rows do to the policy.
        name: of the loop, and of its folder in the run.
        evaluations: what is measured before and after.
    """
    store = store.stage(name)
    policy.mark_home()
    _measure(store, "before", (), (), evaluations, policy)
    policy = train(policy, rows, store, round=0)
    _measure(store, 0, (), (), evaluations, policy, {"rows": len(rows)})
    return policy


def measure(*, store: RunStore, policy: VLM, evaluations: Sequence[Evaluation], name: str = "measure") -> Any:
    """Measure and train nothing: for methods that only answer, such as Self-Refine.

    Args:
        store: the run folder; every table of the loop lies under its `name`.
        policy: what is measured.
        evaluations: what is measured of it.
        name: of the loop, and of its folder in the run.
    """
    policy.mark_home()
    _measure(store.stage(name), "before", (), (), evaluations, policy)
    return policy


def _measure(
    store: RunStore,
    at: int | str,
    metrics: Sequence[Metric],
    groups: Sequence[Any],
    held: Sequence[Evaluation],
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
    """Tries knobs on held-out samples, with the loop's own critics; schedules call it.

    With a store, what was drawn and said at each setting is kept beside the round's `knobs` table until that is whole.
    """

    def __init__(
        self,
        policy: VLM,
        sampler: Sampler,
        critics: Sequence[Critic],
        data: Sequence[Sample],
        round: int,
        store: RunStore | None = None,
    ):
        self.policy, self.sampler, self.critics, self.data, self.round = policy, sampler, critics, data, round
        self.store = store

    def __call__(self, knobs: dict[str, Any]) -> list[Any]:
        """Groups sampled with these knobs."""
        place = "knobs.parts/" + re.sub(r"[^\w.=,-]", "_", ",".join(f"{k}={v}" for k, v in knobs.items()))
        sampler = replace(self.sampler, **knobs)
        attempts = self._kept(f"{place}_trajectories", verbs.sample, self.policy, sampler, self.data, round=self.round)
        said = self._kept(f"{place}_critiques", verbs.critique, self.critics, attempts, self.data)
        return verbs.group(self.data, attempts, said)

    def _kept(self, table: str, verb: Callable[..., Any], *args: Any, **words: Any) -> list[Any]:
        if self.store is not None:
            return self.store.once(self.round, table, verb, *args, **words)
        units = verb(*args, **words)
        return [row for rows in units.work(units.items) for row in rows]

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
