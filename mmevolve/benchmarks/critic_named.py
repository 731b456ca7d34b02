"""A critic by the word that stands where a model's name does: it judges what a model would be asked to judge."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmevolve.benchmarks import critic_scores
from mmevolve.benchmarks.load import Loaded
from mmevolve.benchmarks.spec import Kind
from mmevolve.config.build import build
from mmevolve.config.load import Recipe
from mmevolve.config.read_yaml import parse
from mmevolve.config.targets import resolve
from mmevolve.config.tree import Entry, Keyed
from mmevolve.protocols import Critic, TooLong
from mmevolve.types import Critique, Sample, Step, Trajectory

Judgement = tuple[str | None, str | None]  # scores as words, and why there are none
YES_NO = "yes_no:"
HEAD = "step_reward_head.safetensors"
ASKS = "{question}\nAn attempt:\n{attempt}\nIs the last step right? Answer yes or no."
ASKS_WHOLE = "{question}\nAn attempt:\n{attempt}\nIs the attempt right? Answer yes or no."


@dataclass(frozen=True)
class NamedCritic:
    """A critic in a model's place.

    Attributes:
        name: what results are called by.
        steps: judges solutions step by step.
        whole: judges one response as a whole.
    """

    name: str
    steps: Critic
    whole: Critic


@dataclass(frozen=True)
class Judge:
    """Asks a critic where `Ask` asks a model: its scores become the response.

    Attributes:
        kind: of the benchmark: `critique` or `pairwise`.
        n: attempts a question; a critic judges once.
    """

    kind: Kind
    n: int = 1

    def attempts(self, critic: NamedCritic, asked: Sequence[tuple[Sample, int]]) -> list[Trajectory]:
        """What the critic says of each (question, 0), as an attempt."""
        ask = self._steps if self.kind == "critique" else self._pairs
        found = list(ask(critic, [sample for sample, _ in asked]))
        return [_said(critic, sample, *said) for (sample, _), said in zip(asked, found, strict=True)]

    def _steps(self, critic: NamedCritic, samples: Sequence[Sample]) -> Iterator[Judgement]:
        items = [(replace(s, choices=()), solution(s)) for s in samples]
        for (_, t), said in zip(items, judged(critic.steps, items), strict=True):
            if said.score is not None and len(said.step_scores) != len(t.steps):
                raise ValueError(
                    f"critic '{critic.name}' gives {len(said.step_scores)} step scores for the {len(t.steps)} steps of "
                    f"'{t.sample_id}': wrap a critic of whole texts in critics.EachPrefix"
                )
            yield critic_scores.words(said), said.error

    def _pairs(self, critic: NamedCritic, samples: Sequence[Sample]) -> Iterator[Judgement]:
        items = [
            (replace(s, choices=()), Trajectory(f"{s.id}/0/{k}", s.id, "given", (_line(text),)))
            for s in samples
            for k, text in enumerate(s.choices)
        ]
        said = judged(critic.whole, items)
        for first, second in zip(said[::2], said[1::2], strict=True):
            yield critic_scores.pair_words(first, second), first.error or second.error


def judged(critic: Critic, items: Sequence[tuple[Sample, Trajectory]]) -> list[Critique]:
    """What a critic says of all; of an attempt that is too long for it, that it cannot judge."""
    try:
        return list(critic(items))
    except TooLong as error:
        if len(items) == 1:
            return [Critique(items[0][1].id, "", None, error=str(error))]
        return [said for item in items for said in judged(critic, [item])]


def solution(sample: Sample) -> Trajectory:
    """The solution under criticism as an attempt: one step a line, as critics read them."""
    return Trajectory(f"{sample.id}/0/0", sample.id, "given", tuple(_line(step) for step in sample.meta["steps"]))


def _line(text: str) -> Step:
    return Step(" ".join(text.split()) or "-")


def _said(critic: NamedCritic, sample: Sample, text: str | None, error: str | None) -> Trajectory:
    steps = () if text is None else (Step(text),)
    sampling = {"index": 0} if text is not None else {"index": 0, "error": error}
    return Trajectory(
        id=f"{sample.id}/0/0", sample_id=sample.id, author=critic.name, steps=steps,
        stop_reason="error" if text is None else "stop", sampling=sampling,
    )  # fmt: skip


def is_critic(model: str) -> bool:
    """Whether a word means a critic: `yes_no:MODEL`, a call in YAML's braces, or the folder of a step-reward model."""
    return model.startswith((YES_NO, "{")) or (Path(model) / HEAD).is_file()


def misfits(model: str, loaded: Sequence[Loaded]) -> Iterator[str]:
    """One sentence for each benchmark that a critic cannot be put to."""
    for one in loaded:
        if one.spec.kind not in ("critique", "pairwise"):
            what = "a better answer" if one.spec.kind == "correction" else "an answer"
            yield f"{one.spec.name} asks for {what}, which the critic '{model}' does not write: name a model"


def below(model: str) -> str | None:
    """The model's name or folder that must be there; None where braces name it."""
    return None if model.startswith("{") else model.removeprefix(YES_NO)


def named_critic(model: str, *, dtype: str = "float32") -> NamedCritic:
    """The critic behind a word, its room imported only now.

    Raises:
        ConfigError: when braces hold no call, or a call refuses its settings.
        ValueError: when a step-reward model needs settings that its folder does not say.
    """
    if model.startswith("{"):
        node = parse(model, "MODEL")
        if not isinstance(node, Keyed):
            raise ValueError(f"'{model}' is no call in YAML's braces, such as {{_target_: critics.YesNo, judge: ...}}")
        nodes = replace(node, entries=(Entry("critic", node, node.place),))
        critic: Any = build(Recipe("MODEL", model, nodes))["critic"]
        return NamedCritic(critic.name, critic, critic)
    if model.startswith(YES_NO):
        judge = _part("models.TransformersVLM")(model.removeprefix(YES_NO), dtype=dtype)
        steps = _part("critics.EachPrefix")(_part("critics.YesNo")(judge, asks=ASKS))
        return NamedCritic(f"{YES_NO}{judge.name}", steps, _part("critics.YesNo")(judge, asks=ASKS_WHOLE))
    reward = _part("models.StepRewardModel")(model, dtype=dtype, **made_with(Path(model)))
    critic = _part("critics.StepReward")(reward)
    return NamedCritic(reward.name, critic, critic)


def made_with(folder: Path) -> dict[str, Any]:
    """How the head of a step-reward model reads, from the note that training left beside it; nothing without one.

    Raises:
        ValueError: when it asks second questions, which the note does not hold.
    """
    note = folder / "made_by.json"
    if not note.is_file():
        return {}
    said = json.loads(note.read_text(encoding="utf-8")).get("policy", {}).get("step_reward", {})
    if said.get("ask") is not None:
        raise ValueError(
            f"the step-reward model '{folder}' asks second questions of its own: write it as a call, "
            "{_target_: critics.StepReward, model: {_target_: models.StepRewardModel, name: ..., ask: ...}}"
        )
    return {key: said[key] for key in ("reads",) if key in said}


def _part(text: str) -> Any:
    target = resolve(text)
    return getattr(importlib.import_module(target.module), target.attribute)
