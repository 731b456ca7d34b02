"""Continuations of partial attempts: what comes of a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.samplers.attempts import attempt
from mmevolve.text import ask, stable_seed
from mmevolve.types import Sample, Trajectory


@dataclass(frozen=True)
class Rollouts:
    """Complete each prefix `k` times.

    Paper: Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935, Section 3.3 (the completer).

    Attributes:
        k: completions a prefix.
        temperature: of the completions.
        max_tokens: longest completion.
        prompt: prompt template.
        seed: of the draws, with sample id and prefix: the same prefix is always completed the same way.
    """

    k: Annotated[int, Range(1)] = 4
    temperature: Annotated[float, Range(0.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    prompt: str = "question"
    seed: int = 0

    def __call__(self, policy: VLM, prefixes: Sequence[tuple[Sample, tuple[str, ...]]]) -> list[list[Trajectory]]:
        """For each (sample, steps so far), `k` whole trajectories that begin with those steps."""
        words = template(self.prompt)
        starts = ["".join(f"{step}\n" for step in steps) for _, steps in prefixes]
        seeds = [stable_seed(self.seed, "rollout", s.id, start) for (s, _), start in zip(prefixes, starts, strict=True)]
        replies = policy.generate(
            [ask(s, words) for s, _ in prefixes], n=self.k, temperature=self.temperature, max_tokens=self.max_tokens,
            seeds=seeds, prefixes=starts,
        )  # fmt: skip
        sampling = {"prompt": self.prompt, "temperature": self.temperature}
        return [
            [
                attempt(s, reply, id=f"{s.id}/rollout-{seed:x}/{i}", round=0, sampling=sampling, before=start)
                for i, reply in enumerate(group)
            ]
            for (s, _), start, seed, group in zip(prefixes, starts, seeds, replies, strict=True)
        ]
