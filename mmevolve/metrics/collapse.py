"""Signs that a policy collapses: attempts that grow or shrink, are cut off, or repeat each other or themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Collapse:
    """Length and repetition of the attempts, means over samples.

    `length_tokens` and `length_steps` an attempt (tokens as sampled; NaN where none were stored); `cut`, the share that
    met the token limit; `empty`, the share without a step; `duplicates`, the share whose text another attempt at the
    same sample had before; `repeated_steps`, the share of the steps that the same attempt had said already;
    `commonest_text`, the share of the attempts that have the most frequent text.
    """

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        tried = [group.trajectories for group in groups if group.trajectories]
        texts = [[t.text for t in attempts] for attempts in tried]
        steps = [[[s.text for s in t.steps] for t in attempts if t.steps] for attempts in tried]
        tokens = [[len(t.token_ids) for t in attempts if t.token_ids] for attempts in tried]
        return {
            "length_tokens": mean([mean(own) for own in tokens if own]),
            "length_steps": mean([mean([len(t.steps) for t in attempts]) for attempts in tried]),
            "cut": mean([mean([t.stop_reason == "length" for t in attempts]) for attempts in tried]),
            "empty": mean([mean([not t.steps for t in attempts]) for attempts in tried]),
            "duplicates": mean([1 - len(set(own)) / len(own) for own in texts]),
            "repeated_steps": mean([mean([1 - len(set(s)) / len(s) for s in own]) for own in steps if own]),
            "commonest_text": mean([max(map(own.count, own)) / len(own) for own in texts]),
        }
