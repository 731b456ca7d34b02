"""Direct preference optimisation and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_setting, mean_of, row
from mmevolve.losses.chosen_sft import chosen_nll
from mmevolve.losses.divergences import DIVERGENCES, Divergence
from mmevolve.losses.dpo_terms import LOSSES, SORTED, WITH_DIVERGENCE, WITH_SMOOTHING, LossType, Terms
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.numbers import bounded_exp
from mmevolve.losses.pairs import pair_metrics, pairs_of
from mmevolve.types import Preference


@dataclass(frozen=True)
class DPO:
    """DPO and the losses that differ from it in how a pair's log-ratios are judged.

    Paper: Rafailov et al. 2023, arXiv:2305.18290, Eq. 7; each `loss_type` is cited to its equation in `dpo_terms`.
    f-divergences: arXiv:2309.16240. LD-DPO: arXiv:2409.06411. WPO: Zhou et al. 2024, arXiv:2406.11827, Eq. 2.
    Differs: names, values and gradients are those of TRL 1.16's `DPOTrainer` (docs/losses.md), but rows have weights,
    and exponents are capped where TRL overflows. A setting that a loss type would ignore is refused.

    Attributes:
        loss_type: one of fifteen; for a weighted mix of several see `Mix`.
        beta: strength of the pull to the reference; IPO's tau.
        label_smoothing: share of labels taken to be wrong, for `exo_pair` (above 0), `robust` (below 0.5), `aot`,
            `aot_unpaired`.
        f_divergence_type: of policy and reference.
        f_alpha_divergence_coef: alpha of the alpha divergence.
        discopop_tau: temperature of DiscoPOP's blend.
        ld_alpha: LD-DPO: what the tokens past the shorter side's length count; None for as much as the others.
        use_weighting: WPO: weigh a pair by how likely the policy finds both sides.

    Raises:
        ValueError: for a setting out of its range or without effect on the loss type; for a batch as `check_batch`.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = True
    loss_type: LossType = "sigmoid"
    beta: Annotated[float, Range(0)] = 0.1
    label_smoothing: Annotated[float, Range(0, 1)] = 0.0
    f_divergence_type: Divergence = "reverse_kl"
    f_alpha_divergence_coef: float = 0.5
    discopop_tau: Annotated[float, Range(0)] = 0.05
    ld_alpha: Annotated[float, Range(0, 1)] | None = None
    use_weighting: bool = False

    def __post_init__(self) -> None:
        kind, e = self.loss_type, self.label_smoothing
        if kind not in LOSSES:
            raise ValueError(f"DPO: loss_type is '{kind}', expected one of {', '.join(LOSSES)}")
        if self.f_divergence_type not in DIVERGENCES:
            known = ", ".join(DIVERGENCES)
            raise ValueError(f"DPO: f_divergence_type is '{self.f_divergence_type}', expected one of {known}")
        check_setting("DPO", "beta", self.beta, above=0)
        check_setting("DPO", "discopop_tau", self.discopop_tau, above=0)
        if self.ld_alpha is not None:
            check_setting("DPO", "ld_alpha", self.ld_alpha, low=0, high=1)
        if kind == "exo_pair":
            check_setting("DPO exo_pair", "label_smoothing", e, above=0, below=1)
        elif kind == "robust":
            check_setting("DPO robust", "label_smoothing", e, low=0, below=0.5)
        elif kind in SORTED:
            check_setting(f"DPO {kind}", "label_smoothing", e, low=0, high=1)
        elif e != 0.0:
            names = ", ".join(WITH_SMOOTHING)
            raise ValueError(f"DPO {kind} has no label smoothing, got {e}: it is for {names}")
        if self.f_divergence_type != "reverse_kl" and kind not in WITH_DIVERGENCE:
            names = ", ".join(WITH_DIVERGENCE)
            raise ValueError(f"DPO {kind} takes no f-divergence, got {self.f_divergence_type}: those are for {names}")
        if self.use_weighting and kind in SORTED:
            raise ValueError(f"DPO {kind} sorts its batch: use_weighting has no pair to weigh")

    def __call__(self, x: LossInput) -> LossOutput:
        name = f"DPO {self.loss_type}"
        needs = ("log_sum_sq",) if self.use_weighting else ()
        pairs = pairs_of(x, name, reference=True, needs=needs, ld_alpha=self.ld_alpha)
        if self.loss_type in SORTED and (x.weight != x.weight[0]).any():
            i = int((x.weight != x.weight[0]).nonzero()[0])
            raise ValueError(f"{name} sorts its batch, so its rows must weigh alike, got {x.weight[i]} in {row(x, i)}")
        terms = Terms(
            pairs,
            chosen_nll(x),
            self.beta,
            self.label_smoothing,
            self.discopop_tau,
            self.f_divergence_type,
            self.f_alpha_divergence_coef,
        )
        each = LOSSES[self.loss_type](terms)
        if self.use_weighting:
            each = each * likelihood_weights(x)
        loss = mean_of(x, name, each, pairs=True)
        return LossOutput(loss, pair_metrics(pairs, self.beta, loss))


def likelihood_weights(x: LossInput) -> torch.Tensor:
    """(P,) w(y_w) w(y_l), w(y) = exp mean_t [log pi(y_t) - log sum_v pi(v)^2], without gradient.

    Paper: WPO, arXiv:2406.11827, Eq. 2, with the alignment of its sampled-sequence weights.
    """
    assert x.log_sum_sq is not None
    aligned = torch.where(x.mask > 0, x.logps - x.log_sum_sq, torch.zeros_like(x.logps)).detach()
    chosen, rejected = bounded_exp(aligned.sum(1) / x.mask.sum(1)).chunk(2)
    return chosen * rejected
