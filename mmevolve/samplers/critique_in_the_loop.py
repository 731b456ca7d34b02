"""Explore with a critic: wrong attempts are criticised and written again, the more often the harder the question."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM, Critic
from mmevolve.samplers.attempts import attempt
from mmevolve.samplers.independent import Independent
from mmevolve.text import ask, assistant, stable_seed, user
from mmevolve.types import Chat, Critique, Sample, Trajectory


@dataclass(frozen=True)
class CritiqueInTheLoop:
    """`n` attempts a question, and refinements of the wrong ones, each told what a critic says of it.

    With `draws: difficulty`, a question with w wrong attempts of n gets ceil(most w / n) refinements, shared out over
    those wrong attempts that have a critique, the first ones first; with `draws: each`, one for each of them. Where all
    attempts are right there are none. Several refinements of one attempt are told the same and differ by their seed.
    The critic is asked about wrong attempts alone. A critique without a score is used where it has words; where the
    critic finds no error in a wrong attempt, that is what is told.

    A refinement's `parent` is the attempt that it refines and `sampling["critique"]` what was told. It is one turn; for
    chains of several see `samplers.CritiqueRevise`. Keep with `selectors.Refined`; count with `metrics.Refilled`.

    Paper: Xi et al. 2024, "Enhancing LLM Reasoning via Critique Models with Test-Time and Training-Time Supervision"
    (AutoMathCritique), arXiv:2411.16579 (critique-in-the-loop self-improvement: critic at temperature 0, refinements of
    failed attempts, more of them for harder questions).
    Differs: the rule of how many is ours; the words of the prompts.

    Attributes:
        verifier: an attempt is wrong where it scores 0 or less; one without a score is left as it is.
        critic: criticises in words, such as `critics.Written`.
        n: first attempts a sample.
        most: refinements of a question that has no right attempt.
        draws: how many refinements a question gets.
        words: template of what is told, with `{critique}`, and `{question}` or `{attempt}` where they are wanted.
        conversation: put it as a further turn after the attempt; else it is appended to the question's own prompt.
        temperature: of attempts and refinements, above 0.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt.
        prompt: template of the question.
        seed: of the draws; first attempts are what `Independent` draws with the same seed.

    Raises:
        ValueError: at temperature 0, where all refinements would be one, or for a template without the critique.
    """

    verifier: Critic
    critic: Critic
    n: Annotated[int, Range(1)] = 5
    most: Annotated[int, Range(1)] = 5
    draws: Literal["difficulty", "each"] = "difficulty"
    words: str = "reflection"
    conversation: bool = False
    temperature: Annotated[float, Range(0.0)] = 0.7
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    prompt: str = "question"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError("temperature 0: all refinements of an attempt would be one, expected more than 0")
        if "{critique}" not in template(self.words):
            raise ValueError(f"the template '{self.words}' has no field {{critique}}: nothing would be told")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        by_id = {s.id: s for s in samples}
        sampler = Independent(
            n=self.n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=self.seed,
        )  # fmt: skip
        first = list(sampler(policy, samples, round=round))
        yield from first
        told = self._told(by_id, first)
        todo: list[tuple[Trajectory, int]] = []
        for sample in samples:
            own = [t for t in first if t.sample_id == sample.id]
            wrong = [t for t in own if t.id in told]
            usable = [t for t in wrong if told[t.id]]
            todo += shared_out(usable, self._draws(len(wrong), len(usable), len(own)))
        yield from self._refined(policy, by_id, told, todo, round)

    def _draws(self, wrong: int, usable: int, attempts: int) -> int:
        return usable if self.draws == "each" else math.ceil(self.most * wrong / attempts)

    def _told(self, by_id: Mapping[str, Sample], first: Sequence[Trajectory]) -> dict[str, str]:
        """What each wrong attempt is told; nothing where there is no attempt, or no word of it."""
        if not first:
            return {}
        verdicts = self.verifier([(by_id[t.sample_id], t) for t in first])
        wrong = [t for t, c in zip(first, verdicts, strict=True) if c.score is not None and not c.score > 0]
        asked = [(by_id[t.sample_id], t) for t in wrong if t.steps]
        said = {c.trajectory_id: c for c in (self.critic(asked) if asked else ())}
        return {t.id: self._words(by_id[t.sample_id], t, said.get(t.id)) for t in wrong}

    def _words(self, sample: Sample, t: Trajectory, said: Critique | None) -> str:
        if said is None or not said.text.strip():
            return ""
        (message,) = ask(replace(sample, images=()), template(self.words), critique=said.text, attempt=t.text)
        return message["content"][-1]["text"]

    def _refined(
        self, policy: VLM, by_id: Mapping[str, Sample], told: Mapping[str, str],
        todo: Sequence[tuple[Trajectory, int]], round: int,
    ) -> Iterator[Trajectory]:  # fmt: skip
        if not todo:
            return
        replies = policy.generate(
            [self._chat(by_id[t.sample_id], t, told[t.id]) for t, _ in todo], n=1, temperature=self.temperature,
            top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "refine", t.id, k) for t, k in todo],
        )  # fmt: skip
        for (t, k), (reply,) in zip(todo, replies, strict=True):
            sampling: dict[str, Any] = {**t.sampling, "critique": told[t.id], "refinement": k}
            sample = by_id[t.sample_id]
            yield attempt(sample, reply, id=f"{t.id}~{k}", round=round, sampling=sampling, parent=t.id)

    def _chat(self, sample: Sample, t: Trajectory, words: str) -> Chat:
        asked = ask(sample, template(self.prompt))
        if self.conversation:
            return (*asked, assistant(t.text), user(words))
        return (user(f"{asked[0]['content'][-1]['text']}\n{words}", sample.images),)


def shared_out(attempts: Sequence[Trajectory], draws: int) -> list[tuple[Trajectory, int]]:
    """So many draws over the attempts, one each in turn: attempt and number of its draw, from 1."""
    if not attempts:
        return []
    return [(t, k) for i, t in enumerate(attempts) for k in range(1, len(range(i, draws, len(attempts))) + 1)]
