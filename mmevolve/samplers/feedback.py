"""The five arms of a control on feedback: is it what an attempt is told that helps, or that there is another one?"""

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
from mmevolve.text import ask, assistant, stable_seed
from mmevolve.types import Chat, Critique, Sample, Trajectory

Arm = Literal["resample", "binary", "first_wrong", "all_wrong", "shuffled"]
ARMS: tuple[Arm, ...] = get_args(Arm)
TEMPLATES: dict[Arm, str] = {
    "binary": "binary", "first_wrong": "first", "all_wrong": "all", "shuffled": "all",
}  # fmt: skip


@dataclass(frozen=True)
class Feedback:
    """First attempts, and from each one chain of further attempts an arm, until the verifier passes one.

    Every arm starts from the same first attempts, has the same budget of `attempts` and the same stop, so that they
    differ in what the policy is told of a wrong attempt:

    - `resample`: nothing; it is asked the question anew.
    - `binary`: that its answer is wrong.
    - `first_wrong`: and which step is the first wrong one.
    - `all_wrong`: and which steps are wrong.
    - `shuffled`: as `all_wrong`, but with the wrong steps of an attempt at another question.

    Told ones see their last attempt and the feedback, not earlier ones. Where the critic finds no wrong step in a wrong
    attempt, or scores none, an arm falls back on the binary sentence; `sampling["told"]` counts the steps named. A
    resample revises nothing: it has no parent, and `sampling["chain"]` says which first attempt it follows. All arms
    draw from the same seeds. Count with `metrics.FeedbackEffect`.

    Paper: Stechly et al. 2023, "GPT-4 Doesn't Know It's Wrong", arXiv:2310.12397 (feedback none, first error, all
    errors, and plain resampling with a verifier). Differs: the arm of shuffled feedback is ours; the prompts are ours.

    Attributes:
        verifier: passes an attempt with a score above `satisfied` (the oracle stop of every arm); an attempt without a
            score is not passed.
        critic: gives each step a score; a step is wrong below `threshold`.
        arms: which of the five.
        donors: questions from which shuffled feedback comes, at least two; a question never gets its own.
        tries: donors looked at for one whose first attempt is wrong with a step to name.
        n: first attempts a sample.
        attempts: most attempts of a chain, the first among them.
        words: the feedback's templates, `<words>_binary`, `<words>_first` and `<words>_all`, with the field `{steps}`
            in the last two; `world` has those that the tiny VLM can read.
        satisfied: of the verifier.
        threshold: of the critic's step scores.
        temperature: of all attempts; above 0, since a resample at 0 is the same answer.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: nucleus mass.
        max_tokens: longest attempt.
        prompt: template of the question.
        seed: of the draws; first attempts are what `Independent` draws with the same seed.

    Raises:
        ValueError: when there is no arm, one twice, shuffled feedback without two donors, a temperature of 0, a
            template without its field, or step scores that are not one a step.
    """

    verifier: Critic
    critic: Critic
    arms: tuple[Arm, ...] = ARMS
    donors: Sequence[Sample] = ()
    tries: Annotated[int, Range(1)] = 8
    n: Annotated[int, Range(1)] = 1
    attempts: Annotated[int, Range(2)] = 2
    words: str = "feedback"
    satisfied: float = 0.0
    threshold: float = 0.5
    temperature: Annotated[float, Range(0.0)] = 0.7
    top_k: Annotated[int, Range(0)] = 0
    top_p: Annotated[float, Range(0.0, 1.0)] = 1.0
    max_tokens: Annotated[int, Range(1)] = 256
    prompt: str = "question"
    seed: int = 0

    def __post_init__(self) -> None:
        odd = [arm for arm in self.arms if arm not in ARMS]
        if odd or not self.arms or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms {list(self.arms)}: expected one or more of {', '.join(ARMS)}, each once")
        if "shuffled" in self.arms and len({s.id for s in self.donors}) < 2:
            raise ValueError(
                f"shuffled feedback comes from other questions: got {len(self.donors)} donors, expected 2 or more"
            )
        if not self.temperature > 0:
            raise ValueError("temperature 0: a resample would be the same answer again, expected more than 0")
        for arm in [arm for arm in self.arms if arm != "resample"]:
            if "{steps}" not in self._template(arm) and arm != "binary":
                raise ValueError(f"the template '{self.words}_{TEMPLATES[arm]}' has no field {{steps}}")

    def __call__(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> Iterator[Trajectory]:
        first = list(self._first(policy, samples, self.n, round))
        for t in first:
            facts = {"attempts": self.attempts, "chain": t.id, "arms": list(self.arms)}
            yield replace(t, sampling={**t.sampling, **facts})
        by_id = {s.id: s for s in samples}
        wrong = [t for t, passed in zip(first, self._passed(by_id, first), strict=True) if not passed]
        lent: dict[str, tuple[str, ...]] = {}
        if "shuffled" in self.arms:
            look = partial(self._mistakes, policy, round=round)
            asking = [by_id[t.sample_id] for t in wrong]
            lent = borrowed(asking, self.donors, look, tries=self.tries, seed=self.seed)
        for arm in self.arms:
            latest = [(t.id, t) for t in wrong]
            for turn in range(1, self.attempts):
                made = self._again(policy, arm, latest, by_id, lent, turn, round)
                yield from (t for _, t in made)
                passed = self._passed(by_id, [t for _, t in made])
                latest = [pair for pair, good in zip(made, passed, strict=True) if not good]

    def _first(self, policy: VLM, samples: Sequence[Sample], n: int, round: int) -> Iterator[Trajectory]:
        """First attempts, `n` a sample."""
        sampler = Independent(
            n=n, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            prompt=self.prompt, seed=self.seed,
        )  # fmt: skip
        yield from sampler(policy, samples, round=round)

    def _again(
        self, policy: VLM, arm: Arm, latest: Sequence[tuple[str, Trajectory]], by_id: dict[str, Sample],
        lent: dict[str, tuple[str, ...]], turn: int, round: int,
    ) -> list[tuple[str, Trajectory]]:  # fmt: skip
        """The next attempt of every chain that still goes on, with the id of the first one."""
        if not latest:
            return []
        items = [(by_id[t.sample_id], t) for _, t in latest]
        told = [()] * len(items) if arm in ("resample", "binary") else self._told(arm, items, lent)
        chats = [self._chat(arm, s, t, steps) for (s, t), steps in zip(items, told, strict=True)]
        replies = policy.generate(
            chats, n=1, temperature=self.temperature, top_k=self.top_k, top_p=self.top_p, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, "feedback", chain, turn) for chain, _ in latest],
        )  # fmt: skip
        made = []
        for (chain, t), (s, _), steps, (reply,) in zip(latest, items, told, replies, strict=True):
            sampling: dict[str, Any] = {
                **t.sampling, "arm": arm, "turn": turn, "told": len(steps), "chain": chain, "attempts": self.attempts,
            }  # fmt: skip
            parent = None if arm == "resample" else t.id
            name = f"{chain}~{arm}{turn}"
            made.append((chain, attempt(s, reply, id=name, round=round, sampling=sampling, parent=parent)))
        return made

    def _chat(self, arm: Arm, sample: Sample, before: Trajectory, steps: Sequence[str]) -> Chat:
        asked = ask(sample, template(self.prompt))
        if arm == "resample":
            return asked
        words = self._template(arm if steps else "binary")
        told = ask(replace(sample, images=()), words, steps="\n".join(steps))  # the picture stands in the first turn
        return (*asked, assistant(before.text), *told)

    def _told(
        self, arm: Arm, items: Sequence[tuple[Sample, Trajectory]], lent: dict[str, tuple[str, ...]]
    ) -> list[tuple[str, ...]]:
        """The steps that each attempt's feedback names."""
        if arm == "shuffled":
            return [lent.get(s.id, ()) for s, _ in items]
        found = [self._wrong(t, said) for (_, t), said in zip(items, self.critic(items), strict=True)]
        return [steps[:1] for steps in found] if arm == "first_wrong" else found

    def _wrong(self, trajectory: Trajectory, said: Critique) -> tuple[str, ...]:
        """Texts of the steps that the critic calls wrong."""
        if not said.step_scores:
            return ()
        if len(said.step_scores) != len(trajectory.steps):
            raise ValueError(
                f"trajectory '{trajectory.id}': {len(said.step_scores)} step scores by critic '{self.critic.name}' for "
                f"{len(trajectory.steps)} steps, expected one each"
            )
        scored = zip(trajectory.steps, said.step_scores, strict=True)
        return tuple(step.text for step, score in scored if score < self.threshold)

    def _mistakes(self, policy: VLM, samples: Sequence[Sample], *, round: int) -> dict[str, tuple[str, ...]]:
        """Wrong steps of each question's first attempt; none of one that is right."""
        if not samples:
            return {}
        by_id = {s.id: s for s in samples}
        tried = list(self._first(policy, samples, 1, round))
        items = [(by_id[t.sample_id], t) for t in tried]
        said = zip(items, self._passed(by_id, tried), self.critic(items), strict=True)
        return {s.id: () if passed else self._wrong(t, c) for (s, t), passed, c in said}

    def _passed(self, by_id: dict[str, Sample], attempts: Sequence[Trajectory]) -> list[bool]:
        if not attempts:
            return []
        said = self.verifier([(by_id[t.sample_id], t) for t in attempts])
        return [c.score is not None and c.score > self.satisfied for c in said]

    def _template(self, arm: Arm) -> str:
        return template(f"{self.words}_{TEMPLATES[arm]}")
