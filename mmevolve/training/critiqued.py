"""Pairs of criticised answers to a loss's input: what the critiques are worth as text, and the scores after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mmevolve.losses.inputs import LossInput
from mmevolve.models.encode import Row, collate
from mmevolve.models.score import before, hidden_states
from mmevolve.training.pairs import sides
from mmevolve.training.passes import Read, Reader, plainly
from mmevolve.types import Preference


def critiqued_input(policy: Any, rows: Sequence[Preference], read: Read = plainly) -> LossInput:
    """Log-probabilities (2P, T) and scores (2P,): all chosen answers' critiques, then all rejected ones'.

    Each side's prompt shows its answer and its completion is the critique of it, so sides have different prompts.
    """
    trunk = policy.trunk
    both = [sides(trunk, row) for row in rows]
    tokens = [w for w, _ in both] + [y for _, y in both]
    out = _read(policy, tokens, read)
    logps = out[:, 1:]
    lengths = torch.tensor([len(row.completion) for row in tokens], device=out.device)
    mask = (torch.arange(logps.shape[1], device=out.device) < lengths[:, None]).to(logps.dtype)
    weight = torch.tensor([row.weight for row in rows], device=out.device).repeat(2)
    return LossInput(
        logps,
        mask,
        weight,
        p_win=torch.tensor([row.p_win for row in rows], device=out.device),
        scores=out[:, 0],
        names=tuple(row.source for row in rows) * 2,
    )


def _read(policy: Any, tokens: list[Row], read: Read) -> torch.Tensor:
    """(2P, 1 + T) as `CritiqueRewardModel.read_out` gives it."""
    if isinstance(read, Reader):
        return read.states(policy.trunk, tokens, lambda hidden, rows, first, _: policy.read_out(hidden, rows, first))
    batch = collate(tokens, pad=policy.trunk.pad, device=policy.trunk.device, side="right")
    return policy.read_out(hidden_states(policy.trunk.model, batch), tokens, before(tokens))
