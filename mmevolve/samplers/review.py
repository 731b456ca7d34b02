"""Attempts that the policy is asked to review: answer, then answer again with its own answer in sight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.keys import without_defaults
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.samplers.attempts import attempt
from mmevolve.samplers.independent import Independent
from mmevolve.text import conversation, stable_seed
from mmevolve.types import Chat, Sample, Trajectory


@dataclass(frozen=True)
class Review:
    """Sample `n` attempts a question, and of each a chain of revisions in the same conversation, without feedback.

    Every attempt is reviewed, right or wrong: nobody has told the policy which it is.

    Papers: He et al. 2024, "Self-Correction is More than Refinement" (SCL), arXiv:2410.04055 (two turns, T = 0.7, 256
    tokens, a generic review prompt and three visual ones); SCoRe, arXiv:2409.12917 (a generic second-turn instruction).
    Differs: the words of the prompts are ours (`review` is the generic one; `review_details`, `review_context` and
    `review_scene` look again at details, context and scene); answers end in an answer line, not between marks.

    Attributes:
        n: attempts a sample, each with its own revisions.
        revisions: turns after the first; each revises the one before and sees the whole conversation.
        temperature: of all turns; 0 is greedy.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest answer of one turn.
        prompt: template of the first turn.
        review: template of the later turns; `{question}` in it asks the question again, options included.
        seed: of the draws; the first turn is what `Independent` draws with the same seed.
        window: most turns of the conversation, the one that is written included, the question always first; 2 shows the
            turn before alone, as RISE evaluates (arXiv:2407.18219). None shows all.

    Raises:
        ValueError: when the window is below 2: a revision would see nothing to revise.
    """

    n: Annotated[int, Range(1)] = 1
    revisions: Annotated[int, Range(1)] = 1
    temperature: Annotated[float, Range(0.0)] = 0.7
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 256
    prompt: str = "question"
    review: str = "review"
    seed: int = 0
    window: Annotated[int, Range(2)] | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 2:
            raise ValueError(
                f"Review: window is {self.window}, expected 2 or more: the turn that is written and the one before"
            )

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("window",))

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        first = Independent(
            n=self.n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=self.seed,
        )  # fmt: skip
        asked, again = template(self.prompt), template(self.review)
        by_id = {s.id: s for s in samples}
        latest = list(first(policy, samples, round=round))
        yield from latest
        said: list[tuple[str, ...]] = [() for _ in latest]
        for k in range(1, self.revisions + 1):
            said = [(*turns, t.text) for turns, t in zip(said, latest, strict=True)]
            chats = [
                conversation(by_id[t.sample_id], asked, again, turns, self.window)
                for turns, t in zip(said, latest, strict=True)
            ]
            latest = self._revised(policy, chats, [(by_id[t.sample_id], t) for t in latest], k, round)
            yield from latest

    def _revised(
        self, policy: VLM, chats: Sequence[Chat], before: Sequence[tuple[Sample, Trajectory]], k: int, round: int
    ) -> list[Trajectory]:
        """The k-th revision of each attempt."""
        replies = policy.generate(
            chats, n=1, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "review", t.id) for _, t in before],
        )  # fmt: skip
        made = []
        for (sample, t), (reply,) in zip(before, replies, strict=True):
            sampling = {**t.sampling, "prompt": self.review, "revision": k}
            name = f"{t.id.partition('~')[0]}~{k}"
            made.append(attempt(sample, reply, id=name, round=round, sampling=sampling, parent=t.id))
        return made
