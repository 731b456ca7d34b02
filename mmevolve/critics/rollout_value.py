"""Step values by rollouts: how often an attempt that begins like this ends well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmevolve.protocols import VLM, Critic
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class RolloutValue:
    """Soft Monte-Carlo value of every prefix of an attempt; the last step's value is the verifier's verdict.

    No value where the verifier could not judge the attempt, or a completion of one of its prefixes.

    Paper: Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935, Eq. 3 (soft estimation); its hard estimation (Eq. 2) is
    `value > 0`, taken by the selector.
    Differs: prefixes that several attempts share are rolled out once.

    Attributes:
        policy: who completes the prefixes.
        rollouts: how they are completed (`samplers.Rollouts`).
        verifier: judges the completions.
        name: the column other parts refer to.
    """

    policy: VLM
    rollouts: Any
    verifier: Critic
    name: str = "value"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        own = {c.trajectory_id: c for c in self.verifier(items)}
        wanted: dict[tuple[str, tuple[str, ...]], Sample] = {}
        for sample, trajectory in items:
            if own[trajectory.id].score is None:
                continue
            texts = tuple(s.text for s in trajectory.steps)
            for k in range(1, len(texts)):
                wanted.setdefault((sample.id, texts[:k]), sample)
        prefixes = list(wanted)
        ends = self.rollouts(self.policy, [(wanted[p], p[1]) for p in prefixes]) if prefixes else []
        value = {p: self._share(wanted[p], group) for p, group in zip(prefixes, ends, strict=True)}
        for sample, trajectory in items:
            verdict = own[trajectory.id]
            if verdict.score is None:
                yield Critique(trajectory.id, self.name, None, error=verdict.error)
                continue
            texts = tuple(s.text for s in trajectory.steps)
            values = tuple(value[sample.id, texts[:k]] for k in range(1, len(texts)))
            if None in values:
                error = f"the verifier could not judge every completion after step {values.index(None) + 1}"
                yield Critique(trajectory.id, self.name, None, error=error)
                continue
            steps = (*values, verdict.score) if texts else ()
            yield Critique(trajectory.id, self.name, min(steps, default=verdict.score), steps)

    def _share(self, sample: Sample, group: Sequence[Trajectory]) -> float | None:
        scores = [v.score for v in self.verifier([(sample, t) for t in group])]
        return None if None in scores else sum(scores) / len(scores)
