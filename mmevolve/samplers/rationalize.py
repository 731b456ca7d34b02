"""Answer-conditioned attempts: the model sees the reference answer and writes how to get there."""

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
class Rationalize:
    """Sample `n` rationales a question from a prompt that holds the answer.

    Papers: STaR's rationalization, Zelikman et al. 2022, arXiv:2203.14465, Section 3.2; M-STaR's warm-up,
    arXiv:2412.17451.
    Differs: the hint is dropped from the training row by the selector, which writes the plain prompt.

    Attributes:
        n: rationales a sample.
        temperature: 0 is greedy.
        max_tokens: longest rationale.
        prompt: template with `{question}` and `{answer}`.
        seed: of the draws.

    Raises:
        ValueError: for a sample without a reference answer, or a template that would not show it.
    """

    n: Annotated[int, Range(1)] = 4
    temperature: Annotated[float, Range(0.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    prompt: str = "hint"
    seed: int = 0

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        words = template(self.prompt)
        if "{answer}" not in words:
            raise ValueError(f"prompt '{self.prompt}' has no field {{answer}}: a rationale is written with it in sight")
        for s in samples:
            if s.answer is None:
                raise ValueError(f"sample '{s.id}' has no answer to rationalize: give labelled samples to the warm-up")
        replies = policy.generate(
            [ask(s, words, answer=s.answer or "") for s in samples], n=self.n, temperature=self.temperature,
            max_tokens=self.max_tokens, seeds=[stable_seed(self.seed, "hint", s.id, round) for s in samples],
        )  # fmt: skip
        sampling = {"prompt": self.prompt, "temperature": self.temperature}
        for s, group in zip(samples, replies, strict=True):
            for i, reply in enumerate(group):
                yield attempt(s, reply, id=f"{s.id}/{round}/{i}", round=round, sampling=sampling)
