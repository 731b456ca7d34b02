"""MM-DPO: the surer a reward model is of a pair, the harder the pull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F

from mmevolve.config.ranges import Range
from mmevolve.keys import without_defaults
from mmevolve.losses.checks import check_setting, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.pairs import pair_metrics, pairs_of
from mmevolve.types import Preference


@dataclass(frozen=True)
class MMDPO:
    """-log sigma(beta(d) (u_w - u_l)), beta(d) = beta (1 + w (1 - e^(-k d))), d = r(y_w) - r(y_l) by a reward model.

    Paper: Zhang et al. 2025, "MM-RLHF", arXiv:2502.10391 (MM-DPO); beta 0.1, w 0.5, k 0.5 are its own.
    Differs: a pair whose margin is below 0 (the reward model disagrees with its label) counts as one of margin 0; by
    the formula its beta would fall and turn negative below d = -ln(1 + 1/w) / k. Each pair has the beta of its own
    margin, so a batch of one is as good as any. With `margins: implicit`, an ablation that their paper reports not to
    work, d is the policy's own reward margin beta (u_w - u_l), without gradient; the authors' code makes one beta a
    batch of it, by its mean and deviation, which is no number for a batch of one.

    Attributes:
        beta: at margin 0.
        w: how much of it comes on top at a large margin.
        k: how soon.
        margins: of the rows (`reward`, what a reward model says) or of the policy itself (`implicit`).

    Raises:
        ValueError: when margins are missing or one is not finite; for a batch as `check_batch`.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = True
    beta: Annotated[float, Range(0)] = 0.1
    w: Annotated[float, Range(0)] = 0.5
    k: Annotated[float, Range(0)] = 0.5
    margins: Literal["reward", "implicit"] = "reward"

    def __post_init__(self) -> None:
        if self.margins not in ("reward", "implicit"):
            raise ValueError(f"MMDPO: margins are '{self.margins}', expected reward or implicit")
        check_setting("MMDPO", "beta", self.beta, above=0)
        check_setting("MMDPO", "w", self.w, low=0)
        check_setting("MMDPO", "k", self.k, low=0)

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("margins",))

    def __call__(self, x: LossInput) -> LossOutput:
        reward = self.margins == "reward"
        pairs = pairs_of(x, "MMDPO", reference=True, needs=("margin",) if reward else ())
        apart = pairs.chosen_ratio - pairs.rejected_ratio
        margin = self._given(x) if reward else self.beta * apart.detach()
        beta = self.beta_of(margin).detach()
        loss = mean_of(x, "MMDPO", -F.logsigmoid(beta * apart), pairs=True)
        more = {"beta": beta.mean(), "margin_below_0": (margin < 0).float().mean()}
        return LossOutput(loss, {**pair_metrics(pairs, beta, loss), **more})

    def _given(self, x: LossInput) -> torch.Tensor:
        """(P,) margins of the rows, as they are refused or taken."""
        assert x.margin is not None
        finite = torch.isfinite(x.margin)
        if not finite.all():
            i = int((~finite).nonzero()[0])
            named = f" from '{x.names[i]}'" if x.names else ""
            raise ValueError(f"MMDPO: pair {i}{named} has margin {x.margin[i].item()}, expected a finite number")
        return x.margin

    def beta_of(self, margin: torch.Tensor) -> torch.Tensor:
        """(P,) from `beta` at margins up to 0 to beta (1 + w) at large ones."""
        return self.beta * (1 - self.w * torch.expm1(-self.k * margin.clamp(min=0)))
