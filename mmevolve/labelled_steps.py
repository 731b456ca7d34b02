"""A critic on real solutions whose steps people or builders have labelled: the step benchmarks, as groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmevolve import verbs
from mmevolve.benchmarks.load import load_samples
from mmevolve.benchmarks.spec import find, load_spec
from mmevolve.protocols import Critic, TooLong
from mmevolve.samplers.attempts import kind_of
from mmevolve.store import RunStore
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


@dataclass(frozen=True)
class Patient:
    """A critic that gives no score, and says why, where a solution is too long for its model."""

    critic: Any

    @property
    def name(self) -> str:
        return str(self.critic.name)

    def describe(self) -> Any:
        return self.critic

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        try:
            yield from list(self.critic(items))
        except TooLong as error:
            if len(items) == 1:
                yield Critique(items[0][1].id, self.name, None, error=str(error))
                return
            for item in items:
                yield from self([item])


def judged_benchmark(
    store: RunStore, critic: Critic, name: str, *, data: str | None = None, limit: int | None = None
) -> tuple[str, list[Group]]:
    """What a benchmark's questions may be called, and its labelled solutions with what the critic says of them.

    The labels stand as the critiques of `oracle`, one a step; `answer` is 1 where every step is right.

    Raises:
        ValueError: when the benchmark has no labelled steps, or its data are not here.
    """
    spec = load_spec(find(name))
    if spec.kind != "critique":
        raise ValueError(f"benchmark '{spec.name}' has no labelled steps: expected one of kind critique")
    loaded = load_samples(spec, data=data, limit=limit)
    batch = [replace(sample, choices=()) for sample in loaded.samples]
    attempts = [solution(sample) for sample in batch]
    said = store.once(loaded.slug, f"score_{critic.name}", verbs.critique, [Patient(critic)], attempts, batch)
    known = [c for sample, attempt in zip(batch, attempts, strict=True) for c in labels(sample, attempt)]
    return loaded.label, verbs.group(batch, attempts, [*said, *known])


def solution(sample: Sample) -> Trajectory:
    """The given solution as an attempt, each step one line."""
    lines = [" ".join(step.split()) or "-" for step in sample.meta["steps"]]
    steps = tuple(Step(line, kind_of(line)) for line in lines)
    return Trajectory(f"{sample.id}/given/0", sample.id, "given", steps)


def labels(sample: Sample, attempt: Trajectory) -> Iterator[Critique]:
    """What is known of it."""
    right = tuple(float(label) for label in sample.meta["step_labels"])
    yield Critique(attempt.id, "oracle", float(all(right)), right)
    yield Critique(attempt.id, "answer", float(all(right)))
