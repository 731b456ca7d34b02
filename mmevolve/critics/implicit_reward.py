"""DPO's implicit reward of an attempt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class ImplicitReward:
    """beta (log pi(y|x) - log ref(y|x)), summed over tokens: what a policy that DPO trained has come to like.

    Only differences between attempts at one question mean anything. Where both models are the same it is 0.

    Papers: Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290 (the reward a policy stands for);
    SCIR, arXiv:2502.08922 (as one of a model's internal rewards).

    Attributes:
        policy: the model that was trained.
        reference: the one that it was trained from, with the same tokenizer.
        name: the column other parts refer to.
        beta: of the training.
        mean: divide by the attempt's tokens, as length-normalised losses do.
        prompt: template of the question that the policy was trained under.

    Raises:
        ValueError: when both models do not read an attempt as the same tokens.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False

    policy: VLM
    reference: VLM
    name: str = "implicit"
    beta: Annotated[float, Range(0.0)] = 0.1
    mean: bool = False
    prompt: str = "question"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        words = template(self.prompt)
        asked = {(s.id, t.text): (ask(s, words), t.text) for s, t in items if t.text}
        chats, texts = [chat for chat, _ in asked.values()], [text for _, text in asked.values()]
        both = (self.policy.logprobs(chats, texts), self.reference.logprobs(chats, texts)) if asked else ([], [])
        known: dict[tuple[str, str], float] = {}
        for key, ours, theirs in zip(asked, *both, strict=True):
            if ours.token_ids != theirs.token_ids:
                raise ValueError(
                    f"critic '{self.name}': '{self.policy.name}' and '{self.reference.name}' read an attempt at sample "
                    f"'{key[0]}' as different tokens: expected a reference with the policy's tokenizer"
                )
            ratio = math.fsum(ours.logprobs) - math.fsum(theirs.logprobs)
            known[key] = self.beta * (ratio / len(ours.token_ids) if self.mean else ratio)
        for s, t in items:
            if t.text:
                yield Critique(t.id, self.name, known[s.id, t.text], sees_image=bool(s.images))
            else:
                yield Critique(t.id, self.name, None, error="the attempt has no steps")
