"""SimPO and AlphaPO: reference-free, on average log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_setting, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.numbers import bounded_exp, smoothed_logistic
from mmevolve.losses.pairs import pair_metrics, pairs_of
from mmevolve.types import Preference


@dataclass(frozen=True)
class SimPO:
    """-log sigma(beta (r_w - r_l) - gamma), where r is a completion's mean log-probability.

    Paper: Meng et al. 2024, "SimPO", arXiv:2405.14734, Eq. 6. With `alpha`, AlphaPO (Gupta et al. 2025,
    arXiv:2501.03884): r = (1 - p^-alpha) / alpha of the mean probability p, which is log p at alpha = 0.
    Differs: values and gradients are those of TRL 1.16's `CPOTrainer` with `loss_type="simpo"`, `cpo_alpha=0`; the
    default beta and gamma lie in the paper's range, TRL's are 0.1 and 0.5. The exponent of p^-alpha is capped at 80.

    Attributes:
        beta: scale of the reward difference.
        gamma: target margin, after scaling (the paper's gamma, not gamma / beta).
        label_smoothing: share of labels taken to be wrong.
        alpha: AlphaPO's.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = False
    beta: Annotated[float, Range(0)] = 2.0
    gamma: float = 1.0
    label_smoothing: Annotated[float, Range(0, 1)] = 0.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        check_setting("SimPO", "beta", self.beta, above=0)
        check_setting("SimPO", "label_smoothing", self.label_smoothing, low=0, high=1)

    def __call__(self, x: LossInput) -> LossOutput:
        pairs = pairs_of(x, "SimPO", reference=False)
        chosen = shaped(pairs.chosen / pairs.chosen_length, self.alpha)
        rejected = shaped(pairs.rejected / pairs.rejected_length, self.alpha)
        each = smoothed_logistic(self.beta * (chosen - rejected - self.gamma / self.beta), self.label_smoothing)
        loss = mean_of(x, "SimPO", each, pairs=True)
        return LossOutput(loss, pair_metrics(pairs, self.beta, loss))


def shaped(average: torch.Tensor, alpha: float) -> torch.Tensor:
    """AlphaPO's reward of a mean log-probability; the mean itself at alpha = 0."""
    return average if alpha == 0.0 else (1 - bounded_exp(-alpha * average)) / alpha
