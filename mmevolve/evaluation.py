"""Held-out evaluation in a loop: attempts at questions never trained on, judged and kept like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve import verbs
from mmevolve.protocols import VLM, Critic, Metric, Sampler
from mmevolve.store import RunStore
from mmevolve.types import Group, Sample


@dataclass(frozen=True)
class HeldOut:
    """Samples, how to answer them, who judges, what to count.

    Attributes:
        name: names its tables and prefixes its numbers.
        data: the held-out samples.
        sampler: how they are answered; greedy for accuracy, several samples for pass@k.
        critics: who judges.
        metrics: what is counted.
    """

    name: str
    data: Sequence[Sample]
    sampler: Sampler
    critics: Sequence[Critic]
    metrics: Sequence[Metric]

    def __call__(self, policy: VLM, store: RunStore, *, at: int | str) -> dict[str, float]:
        """Numbers of this evaluation, names prefixed by its own."""
        numbers = verbs.measure(self.metrics, self.groups(policy, store, at=at))
        return {f"{self.name}/{k}": v for k, v in numbers.items()}

    def groups(self, policy: VLM, store: RunStore, *, at: int | str) -> list[Group]:
        """Attempts and critiques, made or read. Draws do not depend on the round, so rounds are paired by question."""
        store.once(at, f"{self.name}_samples", list, self.data)
        attempts = store.once(at, f"{self.name}_trajectories", verbs.sample, policy, self.sampler, self.data, round=0)
        said = store.once(at, f"{self.name}_critiques", verbs.critique, self.critics, attempts, self.data)
        return verbs.group(self.data, attempts, said)


def refuse_overlap(train: Sequence[Sample], held_out: Sequence[HeldOut]) -> None:
    """Stop before any work when a held-out question is also trained on.

    Raises:
        ValueError: naming the first such sample and how many there are.
    """
    trained = {(s.question, s.images) for s in train} | {s.id for s in train}
    for evaluation in held_out:
        both = [s.id for s in evaluation.data if s.id in trained or (s.question, s.images) in trained]
        if both:
            raise ValueError(
                f"{len(both)} samples of the held-out set '{evaluation.name}' are also trained on, '{both[0]}' first: "
                "hold out other samples"
            )
