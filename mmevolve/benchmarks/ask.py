"""Asking: each question as its spec words it, `n` times, every attempt from a seed of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from mmevolve.answers import extract
from mmevolve.benchmarks.spec import Benchmark, Kind
from mmevolve.config.ranges import Range
from mmevolve.controls.link import KEY
from mmevolve.protocols import VLM, TooLong
from mmevolve.store import Units
from mmevolve.text import fill, stable_seed, user
from mmevolve.types import Chat, Reply, Sample, Step, Trajectory

OPTION = "({letter}) {choice}"


@dataclass(frozen=True)
class Ask:
    """`n` attempts a question; attempt j of a question depends on the seed, its id and j only.

    An attempt is one step that holds the whole response as it was written: official rules read blank lines too.

    Attributes:
        prompt: text with `{question}` and what the kind adds.
        kind: of the benchmark.
        show_choices: whether options are put under the question.
        n: attempts a question.
        temperature: 0 is greedy.
        top_p: nucleus mass.
        max_tokens: longest response.
        seed: of the draws.
    """

    prompt: str
    kind: Kind = "answer"
    show_choices: bool = True
    n: Annotated[int, Range(1)] = 1
    temperature: Annotated[float, Range(0.0)] = 0.0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        yield from self.attempts(policy, [(s, j) for s in samples for j in range(self.n)])

    def attempts(self, policy: VLM, asked: Sequence[tuple[Sample, int]]) -> list[Trajectory]:
        """The attempts that are asked for: (question, number of the attempt).

        A question that is too long for the model has an attempt without text, which says so; the others are asked.
        """
        try:
            replies = policy.generate(
                [self.chat(s) for s, _ in asked], n=1, temperature=self.temperature, top_p=self.top_p,
                max_tokens=self.max_tokens, seeds=[stable_seed(self.seed, s.id, j) for s, j in asked],
            )  # fmt: skip
        except TooLong as error:
            if len(asked) == 1:
                return [self._unasked(*asked[0], policy.name, str(error))]
            return [attempt for one in asked for attempt in self.attempts(policy, [one])]
        return [self._attempt(s, j, reply) for (s, j), (reply,) in zip(asked, replies, strict=True)]

    def chat(self, sample: Sample) -> Chat:
        """The question as one message; a variant in other words brings the prompt and the form of its options."""
        question, fields = sample.question, {}
        told = sample.meta.get(KEY)
        told = told if isinstance(told, Mapping) and "of" in told else {}  # a column of the data may have that name
        prompt, option = told.get("prompt", self.prompt), told.get("option", OPTION)
        if self.kind == "critique":
            fields = {"steps": "\n".join(f"{i}. {step}" for i, step in enumerate(sample.meta["steps"], start=1))}
            fields["answer"] = str(sample.meta.get("response_answer", ""))
        elif self.kind == "correction":
            fields = {name: sample.meta[name] for name in ("before", "critique")}
        if self.kind == "pairwise":
            fields = {"first": sample.choices[0], "second": sample.choices[1]}
        elif sample.choices and self.show_choices:
            listed = (fill(option, letter=chr(65 + i), choice=choice) for i, choice in enumerate(sample.choices))
            question += "".join(f"\n{line}" for line in listed)
        return (user(fill(prompt, question=question, **fields), sample.images),)

    def _unasked(self, sample: Sample, number: int, author: str, error: str) -> Trajectory:
        sampling = {"temperature": self.temperature, "seed": self.seed, "index": number, "error": error}
        name = f"{sample.id}/0/{number}"
        return Trajectory(name, sample.id, author, (), stop_reason="error", sampling=sampling)

    def _attempt(self, sample: Sample, number: int, reply: Reply) -> Trajectory:
        return Trajectory(
            id=f"{sample.id}/0/{number}", sample_id=sample.id, author=reply.author,
            steps=(Step(reply.text),) if reply.stop_reason != "error" else (),
            answer=extract(reply.text, choices=sample.choices), stop_reason=reply.stop_reason,
            sampling={"temperature": self.temperature, "seed": self.seed, "index": number},
            token_ids=reply.token_ids, logprobs=reply.logprobs,
        )  # fmt: skip


def asking(spec: Benchmark, *, max_tokens: int | None = None, **settings: Any) -> Ask:
    """The sampler that asks a spec's questions."""
    return Ask(
        spec.prompt, spec.kind, spec.show_choices, max_tokens=spec.max_tokens if max_tokens is None else max_tokens,
        **settings,
    )  # fmt: skip


class OneByOne:
    """A verb for the store: every attempt is a unit of its own, kept as soon as it is finished.

    Args:
        batch: attempts drawn together; changes speed and what a kill can lose, not results.
    """

    def __init__(self, batch: int = 1):
        self.batch = batch

    def __call__(self, policy: VLM, sampler: Ask, samples: Sequence[Sample]) -> Units:
        asked = [(s, j) for s in samples for j in range(sampler.n)]
        return Units(asked, lambda todo: [[t] for t in sampler.attempts(policy, todo)], at_once=self.batch)

    def describe(self) -> str:
        """The batch decides nothing."""
        return "benchmarks.OneByOne"
