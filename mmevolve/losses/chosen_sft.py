"""The SFT term on the chosen side of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from mmevolve.losses.checks import check_batch, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.types import Preference


@dataclass(frozen=True)
class ChosenSFT:
    """Negative log-likelihood of the chosen completions, without a reference: the SFT term of a mix.

    Paper: Pang et al. 2024, "Iterative Reasoning Preference Optimization", arXiv:2404.19733, Eq. 1 (`sequence`: each
    completion divided by its length).

    Attributes:
        mean: `token`: over all chosen tokens of the batch, as SFT and TRL's `sft`; `sequence`: over completions, each
            the mean of its tokens; `sum`: over completions, each the sum of its tokens.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = False
    mean: Literal["token", "sequence", "sum"] = "token"

    def __call__(self, x: LossInput) -> LossOutput:
        check_batch(x, "ChosenSFT", pairs=True)
        if self.mean == "token":
            loss = mean_of(x, "ChosenSFT", chosen_nll(x)[None].expand(len(x.logps) // 2), pairs=True)
        else:
            pairs = len(x.logps) // 2
            mask = x.mask[:pairs]
            each = -torch.where(mask > 0, x.logps[:pairs] * mask, torch.zeros_like(mask)).sum(1)
            loss = mean_of(x, "ChosenSFT", each / mask.sum(1) if self.mean == "sequence" else each, pairs=True)
        return LossOutput(loss, {"nll": loss.detach()})


def chosen_nll(x: LossInput) -> torch.Tensor:
    """-sum w log pi / sum w over the tokens of the chosen half, by their rows' weights: a scalar."""
    half = len(x.logps) // 2
    share = x.mask[:half] * x.weight[:half, None]
    kept = torch.where(share > 0, x.logps[:half] * share, torch.zeros_like(share))
    return -kept.sum() / share.sum().clamp(min=1e-8)
