"""Weighted mixes of losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.losses.dpo import DPO
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.protocols import Loss
from mmevolve.types import Preference


@dataclass(frozen=True)
class Mix:
    """Weighted sum of losses on the same pairs; by default MPO.

    Paper: Wang et al. 2024, "Enhancing the Reasoning Ability of Multimodal LLMs via Mixed Preference Optimization"
    (MPO), arXiv:2411.10442: 0.8 DPO + 0.2 BCO + 1.0 SFT.
    Differs: BCO without its running reward shift, as TRL 1.16 has it.

    Attributes:
        losses: each trains on pairs.
        weights: one a loss; they are not normalised.

    Raises:
        ValueError: when weights and losses differ in number, a weight is not finite, or a loss trains on other rows.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = True
    losses: Sequence[Loss] = (DPO("sigmoid"), DPO("bco_pair"), DPO("sft"))
    weights: Sequence[float] = (0.8, 0.2, 1.0)

    def __post_init__(self) -> None:
        if not self.losses or len(self.losses) != len(self.weights):
            raise ValueError(f"Mix: {len(self.losses)} losses and {len(self.weights)} weights, expected one each")
        if not all(math.isfinite(w) for w in self.weights):
            raise ValueError(f"Mix: weights are {list(self.weights)}, expected finite numbers")
        for loss in self.losses:
            if loss.example is not Preference:
                name = type(loss).__name__
                raise ValueError(f"Mix: {name} trains on {loss.example.__name__} rows, expected Preference")
        # A mix without any loss that compares with a reference must not ask for one.
        object.__setattr__(self, "needs_reference", any(loss.needs_reference for loss in self.losses))

    def __call__(self, x: LossInput) -> LossOutput:
        outs = [loss(x) for loss in self.losses]
        total = sum(w * out.loss for w, out in zip(self.weights, outs, strict=True))
        metrics = {f"{i}/{name}": value for i, out in enumerate(outs) for name, value in out.metrics.items()}
        return LossOutput(total, {"loss": total.detach(), **metrics})
