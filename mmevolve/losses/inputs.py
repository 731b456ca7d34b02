"""What a loss sees and gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class LossInput:
    """One batch. For pairs the first half of the rows is chosen, the second rejected.

    Attributes:
        logps: (B, T) natural-log probability of each completion token under the model; for step rewards, (B, S) logits.
        mask: (B, T) 1 where a token (or step) counts.
        weight: (B,) multiplies each row.
        ref_logps: (B, T) the same under the reference.
        old_logps: (B, T) the same under the behaviour policy.
        advantages: (B, T) or (B, 1).
        labels: (B, S) targets of steps; NaN where there is none.
        margin: (P,) score difference of a pair.
        p_win: (P,) probability that chosen beats rejected.
    """

    logps: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    ref_logps: torch.Tensor | None = None
    old_logps: torch.Tensor | None = None
    advantages: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    margin: torch.Tensor | None = None
    p_win: torch.Tensor | None = None


@dataclass(frozen=True)
class LossOutput:
    """A scalar loss and detached numbers to log."""

    loss: torch.Tensor
    metrics: dict[str, torch.Tensor] = field(default_factory=dict)
