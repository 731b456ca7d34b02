"""Attempts that the policy itself criticises in words and then writes again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.samplers.attempts import attempt
from mmevolve.samplers.independent import Independent
from mmevolve.text import ask, assistant, stable_seed
from mmevolve.types import Chat, Reply, Sample, Trajectory


@dataclass(frozen=True)
class SelfRefine:
    """Answer, say what is wrong with the answer, answer again; feedback and refinement by the same policy.

    A turn is asked for in one conversation: question, last attempt, `feedback` prompt, the feedback, `refine` prompt.
    What was said stands in the refined attempt's `sampling["feedback"]`. Every attempt is refined, right or wrong,
    unless its feedback holds the words of `done`.

    Paper: Madaan et al. 2023, "Self-Refine", arXiv:2303.17651; a baseline of SCoRe, arXiv:2409.12917.
    Differs: no examples in the prompt; of earlier attempts only the last is in sight; the prompts are ours.

    Attributes:
        n: attempts a sample.
        revisions: feedback and refinement so many times at most.
        temperature: of attempts and refinements; 0 is greedy.
        feedback_temperature: of the feedback.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt, feedback or refinement.
        prompt: template of the question.
        feedback: template that asks for feedback; `{question}` in it asks the question again.
        refine: template that asks for the refinement.
        done: words that end the chain when the feedback holds them, in any case; empty for none.
        seed: of the draws; first attempts are what `Independent` draws with the same seed.
    """

    n: Annotated[int, Range(1)] = 1
    revisions: Annotated[int, Range(1)] = 1
    temperature: Annotated[float, Range(0.0)] = 0.7
    feedback_temperature: Annotated[float, Range(0.0)] = 0.0
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 256
    prompt: str = "question"
    feedback: str = "self_feedback"
    refine: str = "self_refine"
    done: str = "nothing is wrong"
    seed: int = 0

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        first = Independent(
            n=self.n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=self.seed,
        )  # fmt: skip
        by_id = {s.id: s for s in samples}
        latest = list(first(policy, samples, round=round))
        yield from latest
        for k in range(1, self.revisions + 1):
            latest = self._refined(policy, [(by_id[t.sample_id], t) for t in latest], k, round)
            yield from latest

    def _refined(
        self, policy: VLM, before: Sequence[tuple[Sample, Trajectory]], k: int, round: int
    ) -> list[Trajectory]:
        """The k-th refinement of each attempt that its feedback finds something wrong with."""
        words, again = template(self.feedback), template(self.refine)
        chats = [
            (*ask(s, template(self.prompt)), assistant(t.text), *ask(replace(s, images=()), words)) for s, t in before
        ]
        said = self._written(policy, chats, before, "feedback", self.feedback_temperature)
        going = [
            (s, t, chat, reply.text)
            for (s, t), chat, reply in zip(before, chats, said, strict=True)
            if not (self.done and self.done.lower() in reply.text.lower())
        ]
        asked = [(*chat, assistant(text), *ask(replace(s, images=()), again)) for s, _, chat, text in going]
        replies = self._written(policy, asked, [(s, t) for s, t, _, _ in going], "refine", self.temperature)
        made = []
        for (s, t, _, text), reply in zip(going, replies, strict=True):
            sampling = {**t.sampling, "prompt": self.refine, "revision": k, "feedback": text}
            name = f"{t.id.partition('~')[0]}~{k}"
            made.append(attempt(s, reply, id=name, round=round, sampling=sampling, parent=t.id))
        return made

    def _written(
        self, policy: VLM, chats: Sequence[Chat], about: Sequence[tuple[Sample, Trajectory]], what: str,
        temperature: float,
    ) -> list[Reply]:  # fmt: skip
        if not chats:
            return []
        replies = policy.generate(
            chats, n=1, temperature=temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, what, t.id) for _, t in about],
        )  # fmt: skip
        return [reply for (reply,) in replies]
