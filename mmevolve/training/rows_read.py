"""What a model reads of a training row of any kind."""

from __future__ import annotations

from typing import Any

from mmevolve.models.encode import Row
from mmevolve.training.labelled import labelled_tokens
from mmevolve.training.pairs import sides
from mmevolve.training.passes import vlm_of
from mmevolve.training.rollouts import rollout_tokens
from mmevolve.types import Example, Labelled, Preference, Rollout


def rows_read(policy: Any, example: Example) -> list[Row]:
    """Token rows of one training row; a pair has two.

    Raises:
        ValueError: when it holds what must never reach a model, naming it.
    """
    if isinstance(example, Preference):
        return list(sides(vlm_of(policy), example))
    if isinstance(example, Rollout):
        return [rollout_tokens(policy, example)]
    if isinstance(example, Labelled):
        if hasattr(policy, "rows"):  # a step-reward model has tokens of its own
            return policy.rows([example.prompt], [example.completion])[0]
        return [labelled_tokens(policy, example)]
    return [Row(policy.encoder.prompt(example.prompt), policy.encoder.completion(example.completion))]
