"""Second turns written with the answer in sight, where those written without it came out wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM, Critic
from mmevolve.samplers.attempts import attempt
from mmevolve.samplers.review import Review
from mmevolve.text import ask, assistant, stable_seed
from mmevolve.types import Chat, Sample, Trajectory


@dataclass(frozen=True)
class RationalizedTurns:
    """All turns of a review, and one more second turn for each first attempt without a right one, told the answer.

    The rationalized turn revises the first attempt; `selectors.SecondTurns` with `kind: own` writes its row under the
    review prompt, where the answer does not stand.

    Paper: Zelikman et al. 2022, "STaR", arXiv:2203.14465, Section 3.2, on two-turn traces (a baseline of SCoRe,
    arXiv:2409.12917). Differs: the prompts are ours.

    Attributes:
        review: writes first attempts and their revisions.
        verifier: a turn is right above 0; a chain with a turn that it could not judge is left as it is.
        hint: template of the rationalized turn, with `{answer}`.
        temperature: of the rationalized turns.
        max_tokens: longest of them.
        seed: of their draws.

    Raises:
        ValueError: for a template that does not show the answer, or a sample without one.
    """

    review: Review
    verifier: Critic
    hint: str = "hint"
    temperature: Annotated[float, Range(0.0)] = 0.7
    max_tokens: Annotated[int, Range(1)] = 256
    seed: int = 0

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        words = template(self.hint)
        if "{answer}" not in words:
            raise ValueError(f"prompt '{self.hint}' has no field {{answer}}: a rationale is written with it in sight")
        for s in samples:
            if s.answer is None:
                raise ValueError(f"sample '{s.id}' has no answer to rationalize: give labelled samples")
        by_id = {s.id: s for s in samples}
        made = list(self.review(policy, samples, round=round))
        yield from made
        failed = [(by_id[t.sample_id], t) for t in self._failed(by_id, made)]
        if not failed:
            return
        asked = template(self.review.prompt)
        chats = [(*ask(s, asked), assistant(t.text), *self._told(s, words)) for s, t in failed]
        replies = policy.generate(
            chats, n=1, temperature=self.temperature, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "rationalized", t.id) for _, t in failed],
        )  # fmt: skip
        for (s, t), (reply,) in zip(failed, replies, strict=True):
            sampling = {"prompt": self.hint, "temperature": self.temperature, "seed": self.seed, "revision": 1}
            yield attempt(s, reply, id=f"{t.id}~hint", round=round, sampling=sampling, parent=t.id)

    def _told(self, sample: Sample, words: str) -> Chat:
        return ask(replace(sample, images=()), words, answer=sample.answer or "")

    def _failed(self, by_id: dict[str, Sample], made: Sequence[Trajectory]) -> list[Trajectory]:
        """First attempts none of whose revisions is right."""
        said = self.verifier([(by_id[t.sample_id], t) for t in made]) if made else ()
        scores = {c.trajectory_id: c.score for c in said}
        roots = {t.id: t.id for t in made if t.parent is None}
        chains: dict[str, list[float | None]] = {name: [] for name in roots}
        for t in made:
            if t.parent is not None:
                roots[t.id] = roots[t.parent]
                chains[roots[t.id]].append(scores[t.id])
        failed = {name for name, own in chains.items() if all(score is not None and score <= 0 for score in own)}
        return [t for t in made if t.id in failed]
