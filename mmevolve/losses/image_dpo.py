"""Image-conditional preference: the same answer, under its own image and under another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch.nn.functional as F

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_setting, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.pairs import pair_metrics, pairs_of
from mmevolve.types import Preference


@dataclass(frozen=True)
class ImageDPO:
    """-log sigma(beta [u(y | m_w, x) - u(y | m_l, x)]) - anchor * log sigma(beta u(y | m_w, x) - delta).

    The answer y must be likelier under its image m_w than under another, m_l; the anchor keeps it from getting less
    likely altogether. Rows: chosen and rejected are the same text, `rejected_prompt` holds the other image.

    Paper: Wang et al. 2024, "mDPO", arXiv:2406.11839: L_CoPO and L_AncPO; with text pairs in the same rows the
    batch's mean is its DPO + CoPO + AncPO, each in the share of its rows.
    Differs: in mDPO the anchor acts on text pairs too, whose chosen side and image are the same as here.

    Attributes:
        beta: strength of the pull to the reference.
        anchor: weight of the anchor; 0 leaves it out.
        delta: what the anchored reward must exceed.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = True
    beta: Annotated[float, Range(0)] = 0.1
    anchor: Annotated[float, Range(0)] = 1.0
    delta: float = 0.0

    def __post_init__(self) -> None:
        check_setting("ImageDPO", "beta", self.beta, above=0)
        check_setting("ImageDPO", "anchor", self.anchor, low=0)

    def __call__(self, x: LossInput) -> LossOutput:
        pairs = pairs_of(x, "ImageDPO", reference=True)
        each = -F.logsigmoid(self.beta * (pairs.chosen_ratio - pairs.rejected_ratio))
        if self.anchor:
            each = each - self.anchor * F.logsigmoid(self.beta * pairs.chosen_ratio - self.delta)
        loss = mean_of(x, "ImageDPO", each, pairs=True)
        return LossOutput(loss, pair_metrics(pairs, self.beta, loss))
