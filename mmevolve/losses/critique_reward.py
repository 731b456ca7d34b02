"""Critique-based reward models: learn to write the critique, and to rank what was criticised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_batch, check_setting, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.types import Preference


@dataclass(frozen=True)
class CritiqueReward:
    """c NLL(critiques) + [-log sigma(r_w - r_l), or (r_w - r_l)^2 for a tie] + z (r_w + r_l)^2.

    NLL is the mean over all critique tokens of both sides, -log sigma the Bradley-Terry loss of the scores r that the
    head gives after reading the gold critiques. The three terms are weighted by row.

    Paper: Zhang et al. 2025, "MM-RLHF", arXiv:2502.10391 (critique-based reward model: LM loss on the critique and
    preference loss on the scores, with gold critiques in training). Centring and the loss of ties are those of the
    authors' code.
    Differs: c is a setting (1 in the paper); a tie is a pair whose `p_win` is 0.5; other values of `p_win` are 1.

    Attributes:
        critique: c; 0 with a model that reads no critique: scores alone.
        centre: z, which keeps scores near 0; 0.01 in the authors' code.

    Raises:
        ValueError: when scores are missing or not finite; for a batch as `check_batch`.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = False
    critique: Annotated[float, Range(0)] = 1.0
    centre: Annotated[float, Range(0)] = 0.0

    def __post_init__(self) -> None:
        check_setting("CritiqueReward", "critique", self.critique, low=0)
        check_setting("CritiqueReward", "centre", self.centre, low=0)

    def __call__(self, x: LossInput) -> LossOutput:
        check_batch(x, "CritiqueReward", ("scores",), pairs=True)
        assert x.scores is not None
        if x.scores.shape != x.weight.shape:
            shape = tuple(x.scores.shape)
            raise ValueError(f"CritiqueReward got `scores` of shape {shape}, expected one a row: {len(x.logps)}")
        chosen, rejected = x.scores.chunk(2)
        gap = chosen - rejected
        tied = torch.zeros_like(gap, dtype=torch.bool) if x.p_win is None else x.p_win == 0.5
        ranked = mean_of(x, "CritiqueReward", torch.where(tied, gap**2, -F.logsigmoid(gap)), pairs=True)
        centred = mean_of(x, "CritiqueReward", (chosen + rejected) ** 2, pairs=True)
        share = x.mask * x.weight[:, None]
        kept = torch.where(share > 0, x.logps * share, torch.zeros_like(share))
        written = -kept.sum() / share.sum().clamp(min=1e-8)
        loss = ranked + self.centre * centred + (self.critique * written if self.critique else 0.0)
        right = (gap > 0).float()[~tied]
        metrics = {"loss": loss, "ranked": ranked, "nll": written, "margin": gap.mean(), "score": x.scores.mean()}
        if len(right):
            metrics["accuracy"] = right.mean()
        return LossOutput(loss, {name: value.detach() for name, value in metrics.items()})
