"""Attempts by several models at the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.protocols import VLM
from mmevolve.samplers.independent import Independent
from mmevolve.types import Sample, Trajectory


@dataclass(frozen=True)
class SeveralModels:
    """`n` attempts of each model at each sample: on samples of `data.critiquing`, Critic-V's several detectors.

    Attempts are numbered through, the policy's own first; `author` says whose they are.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (three VLMs criticise each corrupted answer).

    Attributes:
        models: the other models.
        own: whether the policy attempts them too.
        n: attempts a model and sample.
        temperature: 0 is greedy.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt.
        prompt: prompt template.
        seed: of the draws; each model draws from seeds of its own.

    Raises:
        ValueError: when nobody is asked.
    """

    models: Sequence[VLM] = ()
    own: bool = True
    n: Annotated[int, Range(1)] = 1
    temperature: Annotated[float, Range(0.0)] = 1.0
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    prompt: str = "question"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.own and not self.models:
            raise ValueError("SeveralModels: no model and not the policy itself: expected somebody to ask")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        asked = [policy, *self.models] if self.own else list(self.models)
        made: dict[str, list[Trajectory]] = {s.id: [] for s in samples}
        for place, model in enumerate(asked):
            sampler = Independent(
                n=self.n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p,
                max_tokens=self.max_tokens, prompt=self.prompt, seed=self.seed + place,
            )  # fmt: skip
            for t in sampler(model, samples, round=round):
                index = len(made[t.sample_id])
                made[t.sample_id].append(replace(t, id=f"{t.sample_id}/{round}/{index}"))
        for own in made.values():
            yield from own
