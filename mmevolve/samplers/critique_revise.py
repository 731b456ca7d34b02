"""Answer, be criticised by a critic, answer again with the critique in the prompt: Critic-V's inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, get_args

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM, Critic
from mmevolve.samplers.attempts import attempt
from mmevolve.samplers.donors import borrowed
from mmevolve.samplers.independent import Independent
from mmevolve.text import ask, assistant, stable_seed, user
from mmevolve.types import Chat, Critique, Sample, Trajectory

Arm = Literal["all_wrong", "shuffled", "resample"]
Stop = Literal["no error", "same answer", "no critique", "rounds"]
ARMS: tuple[Arm, ...] = get_args(Arm)


@dataclass(frozen=True)
class CritiqueRevise:
    """First attempts, and from each a chain of revisions, each told what a critic says of the one before.

    A chain stops, looked for in this order, when the critic finds no error (`no error`), when it has no usable critique
    (`no critique`: its `error` is set), when an attempt has its parent's answer (`same answer`, unless `on_repeat` is
    `go on`), or after `max_rounds` revisions (`rounds`); `sampling["stopped"]` of its last attempt says which. The
    critic finds no error when all its step scores reach `threshold`, or, without step scores, when its score does.

    Arms start from the same first attempts, with the same budget and stop; they differ in what the reasoner is told:

    - `all_wrong`: the critique of its own attempt. (The name is that of `Feedback`, so that `metrics.FeedbackEffect`
      counts both.)
    - `shuffled`: the critique of an attempt at another question; that critique finds an error too.
    - `resample`: nothing; it is asked anew, and the attempt has no parent.

    Revisions have a `parent`, and `sampling["critique"]` holds what was told. Counted by `metrics.FeedbackEffect` over
    all questions and, with one arm, by `metrics.TwoTurns` over those that were revised.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203, Algorithm 3 and Eq. 5 (the critique is appended to the
    reasoner's prompt; two rounds). Differs: the stop is a rule that can be tested, where the paper says `satisfactory`;
    control arms are ours.

    Attributes:
        critic: gives each attempt a critique in words, with step scores or a score; `critics.Written`, `LookBack`.
        max_rounds: revisions of a chain at most.
        arms: what reasoners are told, one chain an arm.
        on_repeat: what an answer that repeats its parent's does to the chain.
        threshold: what scores below is an error.
        donors: questions from which shuffled critiques come, at least two; a question never gets its own.
        tries: donors looked at for one in whose first attempt the critic finds an error; else the arm is told nothing.
        words: template of what is appended, with `{critique}` (the critique as written) or `{steps}` (the steps that it
            calls wrong), and `{question}` or `{attempt}` where they are wanted.
        conversation: put it as a further turn after the last attempt; else every critique so far is appended to the
            question's own prompt, as in the paper, and the reasoner does not see its attempts.
        n: first attempts a sample.
        temperature: of all attempts; above 0 where an arm is a resample.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt.
        prompt: template of the question.
        seed: of the draws; first attempts are what `Independent` draws with the same seed.

    Raises:
        ValueError: for no arm, one twice, shuffled critiques without two donors, a resample at temperature 0, a
            template that holds nothing of the critique, or step scores that are not one a step.
    """

    critic: Critic
    max_rounds: Annotated[int, Range(1)] = 2
    arms: tuple[Arm, ...] = ("all_wrong",)
    on_repeat: Literal["stop", "go on"] = "stop"
    threshold: float = 0.5
    donors: Sequence[Sample] = ()
    tries: Annotated[int, Range(1)] = 8
    words: str = "reflection"
    conversation: bool = False
    n: Annotated[int, Range(1)] = 1
    temperature: Annotated[float, Range(0.0)] = 0.0
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    prompt: str = "question"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.arms or len(set(self.arms)) < len(self.arms) or not set(self.arms) <= set(ARMS):
            raise ValueError(f"arms {list(self.arms)}: expected one or more of {', '.join(ARMS)}, each once")
        if "shuffled" in self.arms and len({s.id for s in self.donors}) < 2:
            raise ValueError(
                f"shuffled critiques come from other questions: got {len(self.donors)} donors, expected 2 or more"
            )
        if "resample" in self.arms and not self.temperature > 0:
            raise ValueError("temperature 0: a resample would be the same answer again, expected more than 0")
        if not any(field in template(self.words) for field in ("{critique}", "{steps}")):
            raise ValueError(f"the template '{self.words}' has neither {{critique}} nor {{steps}}: nothing is told")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        by_id = {s.id: s for s in samples}
        first = list(self._first(policy, samples, self.n, round))
        said = self._said(by_id, first)
        for t in first:
            facts = {"attempts": 1 + self.max_rounds, "chain": t.id, "arms": list(self.arms)}
            yield self._marked(replace(t, sampling={**t.sampling, **facts}), said[t.id], 0)
        going = [t for t in first if self._stop(t, said[t.id], 0) is None]
        foreign: dict[str, Critique] = {}
        if "shuffled" in self.arms:
            look = partial(self._lendable, policy, round=round)
            asking = [by_id[t.sample_id] for t in going]
            foreign = borrowed(asking, self.donors, look, tries=self.tries, seed=self.seed)
        for arm in self.arms:
            chains = [(t, said[t.id], ()) for t in going]
            for k in range(1, self.max_rounds + 1):
                chains = self._next(policy, arm, k, chains, by_id, foreign, round)
                yield from (self._marked(t, c, k) for t, c, _ in chains)
                chains = [(t, c, told) for t, c, told in chains if self._stop(t, c, k) is None]

    def _first(self, policy: VLM, samples: Sequence[Sample], n: int, round: int) -> Iterator[Trajectory]:
        sampler = Independent(
            n=n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=self.seed,
        )  # fmt: skip
        yield from sampler(policy, samples, round=round)

    def _next(
        self, policy: VLM, arm: Arm, k: int, chains: Sequence[tuple[Trajectory, Critique, tuple[str, ...]]],
        by_id: dict[str, Sample], foreign: dict[str, Critique], round: int,
    ) -> list[tuple[Trajectory, Critique, tuple[str, ...]]]:  # fmt: skip
        """The k-th revision of every chain that goes on, what the critic says of it, and all that was told so far."""
        if not chains:
            return []
        asked = []
        for t, said, told in chains:
            source = {"all_wrong": said, "shuffled": foreign.get(t.sample_id), "resample": None}[arm]
            words = "" if source is None else self._words(by_id[t.sample_id], t, source)
            asked.append((t, said, (*told, words) if words else told, words))
        begun = [t.sampling.get("chain", t.id) for t, *_ in asked]
        replies = policy.generate(
            [self._chat(by_id[t.sample_id], t, told, words) for t, _, told, words in asked],
            n=1, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "critique", chain, k) for chain in begun],
        )  # fmt: skip
        made = []
        for (before, said, _, words), chain, (reply,) in zip(asked, begun, replies, strict=True):
            sampling: dict[str, Any] = {
                **{key: value for key, value in before.sampling.items() if key not in ("arms", "stopped")},
                "arm": arm, "turn": k, "chain": chain, "attempts": 1 + self.max_rounds, "critique": words,
                "told": len(self._wrong(before, said)) if words else 0,
            }  # fmt: skip
            parent = None if arm == "resample" else before.id
            made.append(
                attempt(
                    by_id[before.sample_id],
                    reply,
                    id=f"{chain}~{arm}{k}",
                    round=round,
                    sampling=sampling,
                    parent=parent,
                )
            )
        heard = self._said(by_id, made)
        same = {t.id: t.answer is not None and t.answer == b.answer for t, (b, *_) in zip(made, asked, strict=True)}
        made = [replace(t, sampling={**t.sampling, "repeats": same[t.id]}) for t in made]
        return [(t, heard[t.id], told) for t, (_, _, told, _) in zip(made, asked, strict=True)]

    def _chat(self, sample: Sample, before: Trajectory, told: Sequence[str], words: str) -> Chat:
        """The question, and what is told of attempts at it."""
        asked = ask(sample, template(self.prompt))
        if not words:
            return asked
        if self.conversation:
            return (*asked, assistant(before.text), user(words))
        return (user("\n".join((asked[0]["content"][-1]["text"], *told)), sample.images),)

    def _words(self, sample: Sample, t: Trajectory, said: Critique) -> str:
        """What the reasoner is told of an attempt."""
        wrong = "\n".join(t.steps[k].text for k in self._wrong(t, said)) if said.trajectory_id == t.id else said.text
        fields = {"critique": said.text, "steps": wrong or said.text, "attempt": t.text}
        (message,) = ask(replace(sample, images=()), template(self.words), **fields)
        return message["content"][-1]["text"]

    def _said(self, by_id: dict[str, Sample], attempts: Sequence[Trajectory]) -> dict[str, Critique]:
        items = [(by_id[t.sample_id], t) for t in attempts]
        return {c.trajectory_id: c for c in (self.critic(items) if items else ())}

    def _wrong(self, t: Trajectory, said: Critique) -> list[int]:
        """The steps in which the critic finds an error."""
        if said.step_scores and len(said.step_scores) != len(t.steps):
            raise ValueError(
                f"trajectory '{t.id}': {len(said.step_scores)} step scores by critic '{self.critic.name}' for "
                f"{len(t.steps)} steps, expected one each"
            )
        return [k for k, score in enumerate(said.step_scores) if score < self.threshold]

    def _finds(self, t: Trajectory, said: Critique) -> bool:
        """Whether the critic finds an error."""
        if said.step_scores:
            return bool(self._wrong(t, said))
        return said.score is not None and said.score < self.threshold

    def _stop(self, t: Trajectory, said: Critique, k: int) -> Stop | None:
        """Why a chain ends with this attempt, the k-th revision; None where it goes on."""
        if said.error is not None:
            return "no critique"
        if not self._finds(t, said):
            return "no error"
        if t.sampling.get("repeats") and self.on_repeat == "stop":
            return "same answer"
        return "rounds" if k >= self.max_rounds else None

    def _marked(self, t: Trajectory, said: Critique, k: int) -> Trajectory:
        why = self._stop(t, said, k)
        return t if why is None else replace(t, sampling={**t.sampling, "stopped": why})

    def _lendable(self, policy: VLM, donors: Sequence[Sample], *, round: int) -> dict[str, Critique | None]:
        """A critique that finds an error in each donor's first attempt; None where it finds none."""
        tried = list(self._first(policy, donors, 1, round))
        said = self._said({s.id: s for s in donors}, tried)
        return {t.sample_id: said[t.id] if self._finds(t, said[t.id]) else None for t in tried}
