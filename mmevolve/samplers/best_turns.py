"""Chains of turns that go on from the best of several candidates: what RISE learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM, Critic
from mmevolve.samplers.attempts import attempt
from mmevolve.samplers.independent import Independent
from mmevolve.text import conversation, stable_seed
from mmevolve.types import Sample, Trajectory


@dataclass(frozen=True)
class BestTurns:
    """First attempts, and after each wrong one `k` candidates for the next turn; the best of them goes on.

    A candidate is best when the verifier scores it highest; one without an answer is below all others, one that the
    verifier could not judge is never taken, of equals the first is. A right turn ends its chain. All candidates are
    given, each revising the turn that it was written after; `selectors.RewardedTurns` follows the best.

    Paper: Qu et al. 2024, "Recursive Introspection" (RISE), arXiv:2407.18219: one first attempt, then the best of 16
    of the policy itself (self-distillation) or the turn of a stronger teacher (distillation).
    Differs: the published script takes any number of candidates and any model for each turn; here all later turns have
    `k`, and a teacher, where there is one, writes all of them.

    Attributes:
        verifier: scores the candidates.
        teacher: writes the later turns; None for the policy itself.
        n: first attempts a sample.
        k: candidates a later turn.
        revisions: later turns at most.
        temperature: of all turns; above 0 where there are several candidates.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest answer of one turn.
        prompt: template of the first turn.
        review: template of the later turns.
        window: as that of `Review`.
        seed: of the draws; the first turn is what `Independent` draws with the same seed.

    Raises:
        ValueError: for a temperature of 0 with several candidates, or a window below 2.
    """

    verifier: Critic
    teacher: VLM | None = None
    n: Annotated[int, Range(1)] = 1
    k: Annotated[int, Range(1)] = 16
    revisions: Annotated[int, Range(1)] = 1
    temperature: Annotated[float, Range(0.0)] = 1.0
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 256
    prompt: str = "question"
    review: str = "review"
    window: Annotated[int, Range(2)] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k > 1 and not self.temperature > 0:
            raise ValueError(f"BestTurns: temperature 0 makes {self.k} equal candidates, expected more than 0 or k: 1")
        if self.window is not None and self.window < 2:
            raise ValueError(f"BestTurns: window is {self.window}, expected 2 or more: a turn and the one before")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        first = Independent(
            n=self.n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=self.seed,
        )  # fmt: skip
        by_id = {s.id: s for s in samples}
        made = list(first(policy, samples, round=round))
        yield from made
        writer = policy if self.teacher is None else self.teacher
        open_ = self._best([(by_id[t.sample_id], (), [t]) for t in made])
        for turn in range(1, self.revisions + 1):
            if not open_:
                return
            drawn = self._drawn(writer, open_, turn, round)
            yield from (t for _, _, candidates in drawn for t in candidates)
            open_ = self._best(drawn)

    def _drawn(
        self, writer: VLM, open_: Sequence[tuple[Sample, tuple[str, ...], Trajectory]], turn: int, round: int
    ) -> list[tuple[Sample, tuple[str, ...], list[Trajectory]]]:
        """(sample, turns before, candidates) of each chain that goes on."""
        asked, again = template(self.prompt), template(self.review)
        said = [(*before, t.text) for _, before, t in open_]
        replies = writer.generate(
            [conversation(s, asked, again, turns, self.window) for (s, _, _), turns in zip(open_, said, strict=True)],
            n=self.k, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "turns", t.id) for _, _, t in open_],
        )  # fmt: skip
        made = []
        for (sample, _, t), turns, own in zip(open_, said, replies, strict=True):
            root = t.id.partition("~")[0]
            sampling = {**t.sampling, "prompt": self.review, "revision": turn}
            made.append((sample, turns, [
                attempt(sample, reply, id=f"{root}~{turn}.{j}", round=round, sampling={**sampling, "candidate": j},
                        parent=t.id)
                for j, reply in enumerate(own)
            ]))  # fmt: skip
        return made

    def _best(
        self, chains: Sequence[tuple[Sample, tuple[str, ...], list[Trajectory]]]
    ) -> list[tuple[Sample, tuple[str, ...], Trajectory]]:
        """The best candidate of each chain, without those chains that are right or that nobody could judge."""
        items = [(sample, t) for sample, _, candidates in chains for t in candidates]
        scores = {c.trajectory_id: c.score for c in (self.verifier(items) if items else ())}
        going = []
        for sample, turns, candidates in chains:
            judged = [t for t in candidates if scores[t.id] is not None]
            best = max(judged, key=lambda t: (t.answer is not None, scores[t.id]), default=None)
            if best is not None and not (best.answer is not None and scores[best.id] > 0):
                going.append((sample, turns, best))
        return going
