"""Attempts that are judged, criticised and written again until the judge is satisfied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.protocols import VLM, Critic, Sampler
from mmevolve.samplers.attempts import attempt
from mmevolve.text import ask, stable_seed
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class Reflect:
    """Every attempt of a sampler, and up to `rounds` revisions of it, each of the one before; a yes ends it.

    A revision is written with the former attempt and what the judge said of it in sight. Attempts that were cut, by the
    token limit or by a sampler that prunes, and those that the judge gave no score, are left as they are.

    Paper: PARM++, arXiv:2501.13926 (reflection: reasons for a no, at most three rounds); its code is not public.

    Attributes:
        sampler: writes the first attempts.
        judge: its score decides, its text is the reflection (`critics.YesNo` with reads text).
        rounds: revisions at most.
        satisfied: an attempt is good above it.
        asks: template of the revision with `{question}`, `{attempt}` and `{reflection}`.
        silent: the reflection where the judge writes none.
        temperature: of the revisions.
        max_tokens: longest revision.
        seed: of the draws, with the revised attempt's id.

    Raises:
        ValueError: when the template lacks the attempt or the reflection.
    """

    sampler: Sampler
    judge: Critic
    rounds: Annotated[int, Range(1)] = 3
    satisfied: float = 0.5
    asks: str = "{question}\nA former attempt:\n{attempt}\nWhat is wrong with it: {reflection}\nAnswer again."
    silent: str = "it is not right"
    temperature: Annotated[float, Range(0.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("attempt", "reflection"):
            if f"{{{name}}}" not in self.asks:
                raise ValueError(f"'asks' of the reflecting sampler has no field {{{name}}}")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        by_id = {s.id: s for s in samples}
        latest = list(self.sampler(policy, samples, round=round))
        yield from latest
        roots = {t.id: t.id for t in latest}
        for k in range(1, self.rounds + 1):
            seen = [(by_id[t.sample_id], t) for t in latest if t.stop_reason != "length"]
            judged = zip(seen, self.judge(seen), strict=True) if seen else ()
            poor = [(s, t, c) for (s, t), c in judged if c.score is not None and not c.score > self.satisfied]
            latest = self._revise(policy, poor, roots, k, round)
            yield from latest
            if not latest:
                return

    def _revise(
        self,
        policy: VLM,
        poor: Sequence[tuple[Sample, Trajectory, Critique]],
        roots: dict[str, str],
        k: int,
        round: int,
    ) -> list[Trajectory]:
        """The k-th revisions; `roots` learns which attempt each goes back to."""
        if not poor:
            return []
        replies = policy.generate(
            [ask(s, self.asks, attempt=t.text, reflection=c.text.strip() or self.silent) for s, t, c in poor], n=1,
            temperature=self.temperature, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "reflect", t.id) for _, t, _ in poor],
        )  # fmt: skip
        made = []
        for (sample, t, _), (reply,) in zip(poor, replies, strict=True):
            name = f"{roots[t.id]}~{k}"
            roots[name] = roots[t.id]
            sampling = {"temperature": self.temperature, "seed": self.seed, "reflection": k}
            made.append(attempt(sample, reply, id=name, round=round, sampling=sampling, parent=t.id))
        return made
