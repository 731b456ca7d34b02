"""Supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.types import Demonstration


@dataclass(frozen=True)
class SFT:
    """Weighted mean negative log-likelihood of completion tokens.

    loss = -sum_b w_b sum_t m_bt logp_bt / sum_b w_b sum_t m_bt: every token counts alike, so a long rationale
    weighs more than a short one, as in the usual causal-LM loss.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    needs_reference: ClassVar[bool] = False

    def __call__(self, x: LossInput) -> LossOutput:
        weight = x.mask * x.weight[:, None]
        loss = -(x.logps * weight).sum() / weight.sum().clamp(min=1e-8)
        return LossOutput(loss, {"nll": loss.detach()})
