"""Attempts that are held against a checklist and written again where they fail it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from mmevolve.answers import checklist
from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM, Critic
from mmevolve.samplers.attempts import attempt
from mmevolve.samplers.independent import Independent
from mmevolve.text import ask, assistant, fill, stable_seed, user
from mmevolve.types import Chat, Critique, Sample, Trajectory

Stop = Literal["all pass", "no score", "nothing failed", "unchanged", "rounds"]
Turn = tuple[Trajectory, Critique]


@dataclass(frozen=True)
class ChecklistRefine:
    """Answer, hold the answer against a checklist, write it again with the items it failed in sight, keep the best.

    A chain stops, looked for in this order, when the critic has no score (`no score`: its `error` is set), when the
    attempt passes every item (`all pass`), when no item is failed although some could not be read (`nothing failed`),
    when a revision says what its parent said (`unchanged`), or after `max_rounds` revisions (`rounds`);
    `sampling["stopped"]` of the last one written says which. The kept answer is the one with the highest score, of
    equals the first. It is always the last of its chain: where it is not the last one written, the chain ends in a copy
    of it, whose `sampling["copy_of"]` names it, so that metrics of first and last turns count what is kept
    (`metrics.OverTurns` over all questions, `metrics.SelfCorrection` over those that were revised). Every attempt has
    its score in `sampling["checklist"]`, a revision what was told in `sampling["feedback"]`.

    Paper: Cook et al. 2024, "TICKing All the Boxes", arXiv:2410.03608 (STICK: self-refinement by the checklist).
    Differs: the highest score is kept, as the paper finds that later revisions may lose what the first one gained;
    every turn sees the question and the last attempt alone; the words of the prompt.

    Attributes:
        critic: gives checklists; `critics.Checklist`.
        max_rounds: revisions of a chain at most.
        n: first attempts a sample.
        temperature: of all attempts; 0 is greedy.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt.
        prompt: template of the question.
        refine: template that asks for a revision, with `{failed}`.
        seed: of the draws; first attempts are what `Independent` draws with the same seed.

    Raises:
        ValueError: when the template lacks the failed items, or a critic's text is no checklist.
    """

    critic: Critic
    max_rounds: Annotated[int, Range(1)] = 2
    n: Annotated[int, Range(1)] = 1
    temperature: Annotated[float, Range(0.0)] = 0.0
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 512
    prompt: str = "question"
    refine: str = "checklist_refine"
    seed: int = 0

    def __post_init__(self) -> None:
        if "{failed}" not in template(self.refine):
            raise ValueError(f"the template '{self.refine}' has no field {{failed}}: nothing would be told")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        first = Independent(
            n=self.n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=self.seed,
        )  # fmt: skip
        by_id = {s.id: s for s in samples}
        chains = [[turn] for turn in self._checked(by_id, list(first(policy, samples, round=round)))]
        going = chains
        for k in range(1, self.max_rounds + 1):
            going = [chain for chain in going if self._stop(chain) is None]
            for chain, turn in zip(going, self._revised(policy, by_id, going, k, round), strict=True):
                chain.append(turn)
        for chain in chains:
            written = [self._noted(t, said) for t, said in chain]
            why = self._stop(chain)
            assert why is not None  # no chain is longer than the rounds
            written[-1] = replace(written[-1], sampling={**written[-1].sampling, "stopped": why})
            yield from written
            best = max(range(len(chain)), key=lambda i: -1.0 if chain[i][1].score is None else chain[i][1].score)
            if best < len(chain) - 1:
                kept, last = written[best], written[-1]
                sampling = {**kept.sampling, "copy_of": kept.id}
                yield replace(kept, id=f"{written[0].id}~{len(chain)}", parent=last.id, sampling=sampling)

    def _revised(
        self, policy: VLM, by_id: dict[str, Sample], chains: Sequence[Sequence[Turn]], k: int, round: int
    ) -> list[Turn]:
        """The k-th revision of every chain, with what the critic says of it."""
        if not chains:
            return []
        told = [self._failed(*chain[-1]) for chain in chains]
        before = [chain[-1][0] for chain in chains]
        replies = policy.generate(
            [self._chat(by_id[t.sample_id], t, failed) for t, failed in zip(before, told, strict=True)],
            n=1, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "checklist", t.id) for t in before],
        )  # fmt: skip
        made = []
        for chain, t, failed, (reply,) in zip(chains, before, told, replies, strict=True):
            sampling = {**t.sampling, "prompt": self.refine, "revision": k, "feedback": "\n".join(failed)}
            name = f"{chain[0][0].id}~{k}"
            made.append(attempt(by_id[t.sample_id], reply, id=name, round=round, sampling=sampling, parent=t.id))
        return self._checked(by_id, made)

    def _chat(self, sample: Sample, t: Trajectory, failed: Sequence[str]) -> Chat:
        listed = "\n".join(f"- {item}" for item in failed)
        again = fill(template(self.refine), question=sample.question, failed=listed)
        return (*ask(sample, template(self.prompt)), assistant(t.text), user(again))

    def _checked(self, by_id: dict[str, Sample], attempts: Sequence[Trajectory]) -> list[Turn]:
        said = self.critic([(by_id[t.sample_id], t) for t in attempts]) if attempts else ()
        return list(zip(attempts, said, strict=True))

    def _failed(self, t: Trajectory, said: Critique) -> list[str]:
        """The items that an attempt fails."""
        found = checklist.parse(said.text)
        if not found:
            raise ValueError(
                f"trajectory '{t.id}': critic '{said.critic}' gives a score without a checklist, expected one such as "
                "critics.Checklist, whose text has a line an item"
            )
        return [item for item, passes in found if passes is False]

    def _stop(self, chain: Sequence[Turn]) -> Stop | None:
        """Why a chain ends with its last attempt; None where it goes on."""
        t, said = chain[-1]
        if said.score is None:
            return "no score"
        if not self._failed(t, said):
            return "all pass" if all(passes for _, passes in checklist.parse(said.text)) else "nothing failed"
        if len(chain) > 1 and t.text == chain[-2][0].text:
            return "unchanged"
        return "rounds" if len(chain) > self.max_rounds else None

    def _noted(self, t: Trajectory, said: Critique) -> Trajectory:
        return replace(t, sampling={**t.sampling, "checklist": said.score})
