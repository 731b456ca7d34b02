"""KTO: answers that are good or bad, without pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_batch, check_setting, mean_of, row
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.pairs import summed
from mmevolve.types import Labelled


@dataclass(frozen=True)
class KTO:
    """w_D (1 - sigma(beta (u - z0))) for good answers, w_U (1 - sigma(beta (z0 - u))) for bad ones, u = log(pi / ref).

    Paper: Ethayarajh et al. 2024, "KTO", arXiv:2402.01306, Eq. 7; `apo_zero_unpaired` is Eq. 7 of APO
    (arXiv:2408.06266) on rows instead of pairs: z0 = 0.
    Differs: with `reference_point="mismatched"` values and gradients are those of TRL 1.16's `KTOTrainer`. The default,
    `batch`, is ours: the rows of a self-training round are the policy's own answers, so the mean of their log-ratios
    estimates KL(pi || ref) as it stands, and no second forward pass is needed.

    Attributes:
        loss_type: `kto`, or `apo_zero_unpaired` without a reference point.
        beta: strength of the pull to the reference.
        desirable_weight: w_D.
        undesirable_weight: w_U.
        reference_point: z0, never below 0 and without gradient: the mean log-ratio of the `batch`'s own rows, or of
            `mismatched` completions (`LossInput.kl_logps`), as the paper and TRL have it.

    A row is good when its last label is above 1/2: one number for the whole answer stands at its last step.

    Raises:
        ValueError: when a row has no label; for a batch as `check_batch`.
    """

    example: ClassVar[type[Labelled]] = Labelled
    needs_reference: ClassVar[bool] = True
    loss_type: Literal["kto", "apo_zero_unpaired"] = "kto"
    beta: Annotated[float, Range(0)] = 0.1
    desirable_weight: Annotated[float, Range(0)] = 1.0
    undesirable_weight: Annotated[float, Range(0)] = 1.0
    reference_point: Literal["batch", "mismatched"] = "batch"

    def __post_init__(self) -> None:
        check_setting("KTO", "beta", self.beta, above=0)
        check_setting("KTO", "desirable_weight", self.desirable_weight, low=0)
        check_setting("KTO", "undesirable_weight", self.undesirable_weight, low=0)

    def __call__(self, x: LossInput) -> LossOutput:
        mismatched = self.loss_type == "kto" and self.reference_point == "mismatched"
        kl_fields = ("kl_logps", "kl_ref_logps", "kl_mask") if mismatched else ()
        check_batch(x, "KTO", ("ref_logps", "labels", *kl_fields))
        good = is_good(x)
        ratio = summed(x.logps, x.mask) - summed(x.ref_logps, x.mask)
        zero = self._reference_point(x, ratio, mismatched=mismatched)
        reward = self.beta * (ratio - zero)
        each = torch.where(
            good,
            self.desirable_weight * (1 - torch.sigmoid(reward)),
            self.undesirable_weight * (1 - torch.sigmoid(-reward)),
        )
        loss = mean_of(x, "KTO", each)
        reward = reward.detach()
        return LossOutput(
            loss,
            {
                "loss": loss.detach(),
                "kl": zero.detach(),
                "reward_good": (reward * good).sum() / good.sum().clamp(min=1),
                "reward_bad": (reward * ~good).sum() / (~good).sum().clamp(min=1),
                "good": good.float().mean(),
            },
        )

    def _reference_point(self, x: LossInput, ratio: torch.Tensor, *, mismatched: bool) -> torch.Tensor:
        """z0, a scalar without gradient."""
        if self.loss_type != "kto":
            return torch.zeros_like(ratio[0])
        if mismatched:
            assert x.kl_logps is not None and x.kl_ref_logps is not None and x.kl_mask is not None
            ratio = summed(x.kl_logps, x.kl_mask) - summed(x.kl_ref_logps, x.kl_mask)
            if not torch.isfinite(ratio).all():
                i = int((~torch.isfinite(ratio)).nonzero()[0])
                raise ValueError(f"KTO: mismatched completion {i} has log-ratio {ratio[i].item()}, expected a number")
        return ratio.mean().clamp(min=0).detach()


def is_good(x: LossInput) -> torch.Tensor:
    """(B,) whether each row's answer is good: its last label is above 1/2.

    Raises:
        ValueError: when a row has no label at all.
    """
    assert x.labels is not None
    there = ~torch.isnan(x.labels)
    if not there.any(1).all():
        i = int((~there.any(1)).nonzero()[0])
        raise ValueError(f"KTO: {row(x, i)} has no label, expected 1 for a good answer and 0 for a bad one")
    last = there.long().cumsum(1).argmax(1, keepdim=True)
    return x.labels.gather(1, last)[:, 0] > 0.5
