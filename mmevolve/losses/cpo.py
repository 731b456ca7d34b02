"""CPO: a contrast without a reference, and an SFT term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_setting, mean_of
from mmevolve.losses.chosen_sft import chosen_nll
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.numbers import smoothed_logistic
from mmevolve.losses.pairs import pair_metrics, pairs_of
from mmevolve.types import Preference


@dataclass(frozen=True)
class CPO:
    """L(log pi_w - log pi_l) + cpo_alpha * NLL of the chosen tokens.

    Paper: Xu et al. 2024, "Contrastive Preference Optimization", arXiv:2401.08417, Eq. 3 (`sigmoid`).
    Differs: values and gradients are those of TRL 1.16's experimental `CPOTrainer`; `ipo` there averages over tokens.
    Its `simpo` is `SimPO`.

    Attributes:
        loss_type: logistic, hinge max(0, 1 - beta d), or IPO (d - 1 / (2 beta))^2 on mean log-probabilities.
        beta: scale of the difference.
        label_smoothing: share of labels taken to be wrong, for `sigmoid`.
        cpo_alpha: weight of the SFT term.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = False
    loss_type: Literal["sigmoid", "hinge", "ipo"] = "sigmoid"
    beta: Annotated[float, Range(0)] = 0.1
    label_smoothing: Annotated[float, Range(0, 1)] = 0.0
    cpo_alpha: Annotated[float, Range(0)] = 1.0

    def __post_init__(self) -> None:
        check_setting("CPO", "beta", self.beta, above=0)
        check_setting("CPO", "label_smoothing", self.label_smoothing, low=0, high=1)
        check_setting("CPO", "cpo_alpha", self.cpo_alpha, low=0)
        if self.loss_type != "sigmoid" and self.label_smoothing:
            raise ValueError(f"CPO {self.loss_type} has no label smoothing, got {self.label_smoothing}")

    def __call__(self, x: LossInput) -> LossOutput:
        pairs = pairs_of(x, "CPO", reference=False)
        if self.loss_type == "ipo":
            difference = pairs.chosen / pairs.chosen_length - pairs.rejected / pairs.rejected_length
            each = (difference - 1 / (2 * self.beta)) ** 2
        elif self.loss_type == "hinge":
            each = torch.relu(1 - self.beta * (pairs.chosen - pairs.rejected))
        else:
            each = smoothed_logistic(self.beta * (pairs.chosen - pairs.rejected), self.label_smoothing)
        nll = chosen_nll(x)
        loss = mean_of(x, "CPO", each, pairs=True) + self.cpo_alpha * nll
        return LossOutput(loss, {**pair_metrics(pairs, self.beta, loss), "nll": nll.detach()})
