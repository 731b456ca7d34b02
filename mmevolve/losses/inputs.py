"""What a loss sees and gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class LossInput:
    """One batch. For pairs the first half of the rows is chosen, the second rejected: rows i and P + i are pair i.

    Attributes:
        logps: (B, T) natural-log probability of each completion token under the model; for step rewards, (B, S) logits.
        mask: (B, T) 1 where a token (or step) counts.
        weight: (B,) multiplies each row; a pair has the weight of its chosen row.
        ref_logps: (B, T) the same as `logps` under the reference.
        old_logps: (B, T) the same under the behaviour policy.
        advantages: (B, T) or (B, 1).
        kl: (B,) multiplies each row's KL term; None is 1.
        labels: (B, S) targets of steps; NaN where there is none.
        margin: (P,) score difference of a pair.
        p_win: (P,) probability that chosen beats rejected.
        scores: (B,) reward of each row's answer, from a head.
        prefix: (B, T) 1 on the tokens of a step-level pair that both of its sides begin with.
        log_sum_sq: (B, T) log of the sum of squared probabilities over the vocabulary at each token (WPO).
        kl_logps: (K, T') log-probabilities of mismatched completions, each a completion of another row (KTO).
        kl_ref_logps: (K, T') the same under the reference.
        kl_mask: (K, T') 1 where a token of theirs counts.
        names: (B,) where each row comes from, for what is said of a row that cannot be learned from.
    """

    logps: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    ref_logps: torch.Tensor | None = None
    old_logps: torch.Tensor | None = None
    advantages: torch.Tensor | None = None
    kl: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    margin: torch.Tensor | None = None
    p_win: torch.Tensor | None = None
    scores: torch.Tensor | None = None
    prefix: torch.Tensor | None = None
    log_sum_sq: torch.Tensor | None = None
    kl_logps: torch.Tensor | None = None
    kl_ref_logps: torch.Tensor | None = None
    kl_mask: torch.Tensor | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class LossOutput:
    """A scalar loss and detached numbers to log."""

    loss: torch.Tensor
    metrics: dict[str, torch.Tensor] = field(default_factory=dict)
