"""Attempts by several models at the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mmevolve.protocols import VLM
from mmevolve.samplers.independent import Independent
from mmevolve.types import Sample, Trajectory


@dataclass(frozen=True)
class SeveralModels:
    """Attempts of each model at each sample: on samples of `data.critiquing`, Critic-V's several detectors.

    Attempts are numbered through, the policy's own first; `author` says whose they are.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (three VLMs criticise each corrupted answer).

    Attributes:
        models: the other models.
        own: whether the policy attempts them too.
        sampler: how each attempts them; the k-th model draws with its seed + k.

    Raises:
        ValueError: when nobody is asked.
    """

    models: Sequence[VLM] = ()
    own: bool = True
    sampler: Independent = field(default_factory=Independent)

    def __post_init__(self) -> None:
        if not self.own and not self.models:
            raise ValueError("SeveralModels: no model and not the policy itself: expected somebody to ask")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        asked = [policy, *self.models] if self.own else list(self.models)
        made: dict[str, list[Trajectory]] = {s.id: [] for s in samples}
        for place, model in enumerate(asked):
            sampler = replace(self.sampler, seed=self.sampler.seed + place)
            for t in sampler(model, samples, round=round):
                index = len(made[t.sample_id])
                made[t.sample_id].append(replace(t, id=f"{t.sample_id}/{round}/{index}"))
        for own in made.values():
            yield from own
