"""N independent attempts at each sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.samplers.attempts import attempt
from mmevolve.text import ask, stable_seed
from mmevolve.types import Sample, Trajectory


@dataclass(frozen=True)
class Independent:
    """Sample `n` attempts a question, each from its own seed.

    Paper: rejection sampling's first half; Yuan et al. 2023, arXiv:2308.01825 (RFT); M-STaR,
    arXiv:2412.17451 (n = 16, T = 1).

    Attributes:
        n: attempts a sample.
        temperature: 0 is greedy.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt.
        prompt: prompt template.
        seed: of the draws, with sample id, round and index.
    """

    n: Annotated[int, Range(1)] = 8
    temperature: Annotated[float, Range(0.0)] = 1.0
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    prompt: str = "question"
    seed: int = 0

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        words = template(self.prompt)
        replies = policy.generate(
            [ask(s, words) for s in samples], n=self.n, temperature=self.temperature, top_k=self.top_k,
            top_p=self.top_p, max_tokens=self.max_tokens, seeds=[stable_seed(self.seed, s.id, round) for s in samples],
        )  # fmt: skip
        sampling = {
            "prompt": self.prompt, "temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p,
            "max_tokens": self.max_tokens, "seed": self.seed,
        }  # fmt: skip
        for s, group in zip(samples, replies, strict=True):
            for i, reply in enumerate(group):
                yield attempt(s, reply, id=f"{s.id}/{round}/{i}", round=round, sampling=sampling)
