"""Step values by rollouts: how often an attempt that begins like this ends well."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Annotated, Any, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.keys import without_defaults
from mmevolve.protocols import VLM, Critic
from mmevolve.text import stable_seed
from mmevolve.types import Critique, Sample, Trajectory

KEPT = 2**16  # values that are remembered, those used last
Prefix = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class RolloutValue:
    """Soft Monte-Carlo value of every prefix of an attempt; the last step's value is the verifier's verdict.

    No value where the verifier could not judge the attempt, or a completion of one of its prefixes.

    Paper: Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935, Eq. 3 (soft estimation); its hard estimation (Eq. 2) is
    `value > 0`, taken by the selector.
    Differs: prefixes that several attempts share are rolled out once; so are those that two critics ask for, when both
    are given the same `RolloutValue`, until the policy's weights change.

    Attributes:
        policy: who completes the prefixes.
        rollouts: how they are completed (`samplers.Rollouts`).
        verifier: judges the completions.
        name: the column other parts refer to.
        budget: prefixes of a sample that are rolled out at most, chosen by chance over all of its attempts; the other
            steps have no value (NaN) and get no label. None for all.
        seed: of that choice, with the sample's id.
    """

    sees_image: ClassVar[bool] = True

    policy: VLM
    rollouts: Any
    verifier: Critic
    name: str = "value"
    budget: Annotated[int, Range(1)] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise ValueError(f"critic '{self.name}': a label budget of {self.budget}: expected 1 or more, or none")

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("budget", "seed"))

    @property
    def sees_outcome(self) -> bool:
        return self.verifier.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        own = {c.trajectory_id: c for c in self.verifier(items)}
        wanted: dict[Prefix, Sample] = {}
        for sample, trajectory in items:
            if own[trajectory.id].score is None:
                continue
            texts = tuple(s.text for s in trajectory.steps)
            for k in range(1, len(texts)):
                wanted.setdefault((sample.id, texts[:k]), sample)
        value = self._values(self._afforded(wanted))
        for sample, trajectory in items:
            verdict = own[trajectory.id]
            if verdict.score is None:
                yield Critique(trajectory.id, self.name, None, error=verdict.error)
                continue
            texts = tuple(s.text for s in trajectory.steps)
            values = tuple(value.get((sample.id, texts[:k]), math.nan) for k in range(1, len(texts)))
            if None in values:
                error = f"the verifier could not judge every completion after step {values.index(None) + 1}"
                yield Critique(trajectory.id, self.name, None, error=error)
                continue
            steps = (*values, verdict.score) if texts else ()
            known = [v for v in steps if v is not None and not math.isnan(v)]
            yield Critique(trajectory.id, self.name, min(known, default=verdict.score), steps)

    def _afforded(self, wanted: dict[Prefix, Sample]) -> dict[Prefix, Sample]:
        """The prefixes that the budget pays for; a sample's choice does not depend on the other samples."""
        if self.budget is None:
            return wanted
        of: dict[str, list[Prefix]] = {}
        for prefix in wanted:
            of.setdefault(prefix[0], []).append(prefix)
        chosen = {
            prefix
            for id_, own in of.items()
            for prefix in Random(stable_seed(self.seed, "budget", id_)).sample(sorted(own), min(self.budget, len(own)))
        }
        return {prefix: sample for prefix, sample in wanted.items() if prefix in chosen}

    def _values(self, wanted: dict[Prefix, Sample]) -> dict[Prefix, float | None]:
        """The value of each prefix, rolled out where it is not known yet."""
        author = self.policy.name  # model and weights version
        found = {p: self._known[author, p] for p in wanted if (author, p) in self._known}
        todo = [p for p in wanted if p not in found]
        ends = self.rollouts(self.policy, [(wanted[p], p[1]) for p in todo]) if todo else []
        found |= {p: self._share(wanted[p], group) for p, group in zip(todo, ends, strict=True)}
        self._known.update({(author, p): v for p, v in found.items()})
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return found

    @cached_property
    def _known(self) -> dict[tuple[str, Prefix], float | None]:
        return {}

    def _share(self, sample: Sample, group: Sequence[Trajectory]) -> float | None:
        scores = [v.score for v in self.verifier([(sample, t) for t in group])]
        return None if None in scores else sum(scores) / len(scores)
