"""A batch of pairs as one number a side: what every preference loss starts from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmevolve.losses.checks import check_batch
from mmevolve.losses.inputs import LossInput


@dataclass(frozen=True)
class Pairs:
    """Sums over the tokens that count, (P,) each.

    Attributes:
        chosen: log-probability of the chosen completion under the policy.
        rejected: of the rejected one.
        ref_chosen: of the chosen one under the reference; zeros for losses that have none.
        ref_rejected: of the rejected one under the reference.
        chosen_length: tokens that count.
        rejected_length: tokens that count.
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    ref_chosen: torch.Tensor
    ref_rejected: torch.Tensor
    chosen_length: torch.Tensor
    rejected_length: torch.Tensor

    @property
    def chosen_ratio(self) -> torch.Tensor:
        """Log(pi / ref) of the chosen side."""
        return self.chosen - self.ref_chosen

    @property
    def rejected_ratio(self) -> torch.Tensor:
        """Log(pi / ref) of the rejected side."""
        return self.rejected - self.ref_rejected


def pairs_of(
    x: LossInput, loss: str, *, reference: bool, needs: tuple[str, ...] = (), ld_alpha: float | None = None
) -> Pairs:
    """Sum a checked batch of pairs over its tokens.

    Args:
        x: the batch, chosen rows before rejected ones.
        loss: its name, for messages.
        reference: whether the loss compares with a reference.
        needs: other fields that must be there.
        ld_alpha: LD-DPO's factor on the tokens past the shorter side's length; None counts all alike.

    Raises:
        ValueError: as `check_batch` does.
    """
    check_batch(x, loss, (*(("ref_logps",) if reference else ()), *needs), pairs=True)
    chosen, rejected = desensitised(x.logps, x.mask, ld_alpha).chunk(2)
    if reference and x.ref_logps is not None:
        ref_chosen, ref_rejected = desensitised(x.ref_logps.detach(), x.mask, ld_alpha).chunk(2)
    else:
        ref_chosen, ref_rejected = torch.zeros_like(chosen), torch.zeros_like(rejected)
    return Pairs(chosen, rejected, ref_chosen, ref_rejected, *x.mask.sum(1).chunk(2))


def summed(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B,) sum of what counts; what does not may hold anything, NaN included."""
    return torch.where(mask > 0, values * mask, torch.zeros_like(values)).sum(1)


def desensitised(values: torch.Tensor, mask: torch.Tensor, ld_alpha: float | None) -> torch.Tensor:
    """(B,) sums over tokens; those past the length that both sides of a pair reach count `ld_alpha`, None for 1.

    Paper: Liu et al. 2024, "Length Desensitization in DPO" (LD-DPO), arXiv:2409.06411: probabilities past the shorter
    length are raised to the power alpha, under policy and reference alike.
    """
    if ld_alpha is None:
        return summed(values, mask)
    chosen, rejected = mask.sum(1).chunk(2)
    shared = mask.cumsum(1) <= torch.minimum(chosen, rejected).repeat(2)[:, None]
    return summed(values, mask * shared) + ld_alpha * summed(values, mask * ~shared)


def pair_metrics(pairs: Pairs, beta: float | torch.Tensor, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """What is logged of a batch of pairs: means, detached; a reward is beta times the log-ratio, whatever the loss."""
    chosen, rejected = (beta * pairs.chosen_ratio).detach(), (beta * pairs.rejected_ratio).detach()
    return {
        "loss": loss.detach(),
        "reward_chosen": chosen.mean(),
        "reward_rejected": rejected.mean(),
        "reward_margin": (chosen - rejected).mean(),
        "reward_accuracy": (chosen > rejected).float().mean(),  # a tie is not won
        "logp_chosen": pairs.chosen.detach().mean(),
        "logp_rejected": pairs.rejected.detach().mean(),
    }
