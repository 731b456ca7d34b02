"""Step rewards: how well each step's logit predicts its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.types import Labelled


@dataclass(frozen=True)
class Step:
    """Binary cross-entropy between each step's logit and its hard or soft label, mean over labelled steps.

    Paper: Wang et al. 2024, "Math-Shepherd", arXiv:2312.08935, Eq. 4 (process reward); a label in (0, 1) is the soft
    estimate of its Eq. 3.
    Differs: M-STaR does not publish its PRM loss; this is our choice.
    """

    example: ClassVar[type[Labelled]] = Labelled
    needs_reference: ClassVar[bool] = False

    def __call__(self, x: LossInput) -> LossOutput:
        if x.labels is None:
            raise ValueError("the step loss got rows without labels: it trains on Labelled rows")
        known = x.mask * ~torch.isnan(x.labels) * x.weight[:, None]
        labels = torch.nan_to_num(x.labels)
        each = F.binary_cross_entropy_with_logits(x.logps, labels, reduction="none")
        loss = (each * known).sum() / known.sum().clamp(min=1e-8)
        agree = ((x.logps > 0) == (labels > 0.5)).float()
        return LossOutput(
            loss, {"bce": loss.detach(), "agree": ((agree * known).sum() / known.sum().clamp(min=1e-8)).detach()}
        )
