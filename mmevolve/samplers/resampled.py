"""A review, and plain resamples of the questions that it seems to have mended: were its corrections lucky guesses?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from mmevolve.config.ranges import Range
from mmevolve.protocols import VLM, Critic, Sampler
from mmevolve.samplers.independent import Independent
from mmevolve.text import stable_seed
from mmevolve.types import Sample, Trajectory


@dataclass(frozen=True)
class Resampled:
    """All attempts of a reviewing sampler, then `k` plain ones at each question whose review mended an answer.

    The resamples have `sampling["resample"]`; they see neither the first answer nor the review. Count with
    `metrics.LuckyGuess`. With `of: wrong` every question with a wrong reviewed answer is resampled, mended or not, so
    that the review's fix rate and the resample's can be compared without choosing by what the review did.

    Paper: the audit of lucky guesses that SCL, arXiv:2410.04055, lacks; ours.

    Attributes:
        review: writes attempts and revisions (`samplers.Review`).
        verifier: an attempt is right above 0.
        k: resamples a question.
        of: which questions are resampled.
        temperature: above 0; as the review's, if the comparison is to be fair, like the next four.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt.
        prompt: template of the question.
        seed: of the resamples, which are never the review's own first attempts.

    Raises:
        ValueError: when the temperature is 0.
    """

    review: Sampler
    verifier: Critic
    k: Annotated[int, Range(1)] = 8
    of: Literal["mended", "wrong"] = "mended"
    temperature: Annotated[float, Range(0.0)] = 0.7
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 256
    prompt: str = "question"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError("temperature 0: every resample would be the same answer, expected more than 0")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        made = list(self.review(policy, samples, round=round))
        yield from made
        if not made:
            return
        by_id = {s.id: s for s in samples}
        said = self.verifier([(by_id[t.sample_id], t) for t in made])
        right = {t.id: c.score is not None and c.score > 0 for t, c in zip(made, said, strict=True)}
        chosen = {
            t.sample_id
            for t in made
            if t.parent is not None and not right[t.parent] and (self.of == "wrong" or right[t.id])
        }
        roots = {name: sum(t.sample_id == name and t.parent is None for t in made) for name in chosen}
        plain = Independent(
            n=self.k, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=stable_seed(self.seed, "resampled"),
        )  # fmt: skip
        for i, t in enumerate(plain(policy, [s for s in samples if s.id in chosen], round=round)):
            name = f"{t.sample_id}/{round}/{roots[t.sample_id] + i % self.k}"
            yield replace(t, id=name, sampling={**t.sampling, "seed": self.seed, "resample": True})
