"""Policy gradients on the policy's own rows; advantages come with the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch

from mmevolve.config.ranges import Range
from mmevolve.keys import without_defaults
from mmevolve.losses.checks import check_batch, check_setting, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.numbers import bounded_exp
from mmevolve.losses.pairs import summed
from mmevolve.types import Rollout


@dataclass(frozen=True)
class GRPO:
    """-min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A) + beta k3 a token, r = pi / old, A the row's advantage.

    k3 = ref / pi - log(ref / pi) - 1 estimates KL(pi || ref).

    Paper: Shao et al. 2024, "DeepSeekMath", arXiv:2402.03300, Eqs. 3 and 4 (`grpo`); Liu et al. 2025, "Dr. GRPO",
    arXiv:2503.20783 (`dr_grpo`); Yu et al. 2025, "DAPO", arXiv:2503.14476 (`epsilon_high`, token mean); Zheng et al.
    2025, "GSPO", arXiv:2507.18071 (`sequence`); INTELLECT-2, arXiv:2505.07291 (`delta`).
    Differs: values and gradients are those of TRL 1.16's `GRPOTrainer`; the exponents are capped at 80, where it
    overflows. TRL's `dapo` divides by the tokens of all batches of a step: on one batch that is `bnpo`. The advantage
    of a row (reward minus its group's mean, divided by its spread or not) is its selector's business.

    Attributes:
        loss_type: `grpo`: mean over rows of each row's token mean; `bnpo`: mean over the batch's tokens; `dr_grpo`:
            sum over tokens, divided by rows times `max_tokens`.
        epsilon: how far below 1 a ratio still counts.
        epsilon_high: how far above; None for `epsilon`.
        delta: upper bound of the ratio where the advantage is negative; None for no bound.
        beta: weight of the KL term, times each row's own (`Rollout.kl`); above 0 it needs a reference.
        importance_sampling_level: a ratio for each `token`, or one for the whole `sequence`, the mean of its logs.
        max_tokens: the longest completion, for `dr_grpo`.

    Raises:
        ValueError: for a setting out of range, `dr_grpo` without `max_tokens`; an advantage that is not finite; a
            batch as `check_batch`.
    """

    example: ClassVar[type[Rollout]] = Rollout
    needs_reference: ClassVar[bool] = False
    loss_type: Literal["grpo", "bnpo", "dr_grpo"] = "grpo"
    epsilon: Annotated[float, Range(0, 1)] = 0.2
    epsilon_high: Annotated[float, Range(0)] | None = None
    delta: Annotated[float, Range(1)] | None = None
    beta: Annotated[float, Range(0)] = 0.0
    importance_sampling_level: Literal["token", "sequence"] = "token"
    max_tokens: Annotated[int, Range(1)] | None = None

    def __post_init__(self) -> None:
        check_setting("GRPO", "epsilon", self.epsilon, low=0, high=1)
        check_setting("GRPO", "epsilon_high", self._high, low=0)
        check_setting("GRPO", "beta", self.beta, low=0)
        if self.delta is not None:
            check_setting("GRPO", "delta", self.delta, above=1 + self._high)
        if self.loss_type == "dr_grpo" and self.max_tokens is None:
            raise ValueError("GRPO dr_grpo divides by the longest completion: set max_tokens")
        # Only the KL term compares with a reference.
        object.__setattr__(self, "needs_reference", self.beta > 0)

    @property
    def _high(self) -> float:
        return self.epsilon if self.epsilon_high is None else self.epsilon_high

    def __call__(self, x: LossInput) -> LossOutput:
        needs = ("ref_logps",) if self.beta else ()
        advantages = checked_advantages(x, "GRPO", needs)
        log_ratio = kept(x.logps - x.old_logps, x.mask)
        if self.importance_sampling_level == "sequence":
            log_ratio = log_ratio.sum(1, keepdim=True) / x.mask.sum(1, keepdim=True)
        ratio = bounded_exp(log_ratio)
        clipped = ratio.clamp(1 - self.epsilon, 1 + self._high)
        bounded = ratio if self.delta is None else ratio.clamp(max=self.delta)
        each = -torch.minimum(bounded * advantages, clipped * advantages).expand_as(x.logps)
        metrics = {"clipped": masked_mean((ratio != clipped).expand_as(x.mask), x.mask)}
        if self.beta:
            kl = k3(x)
            each = each + self.beta * by_row(x, kl)
            metrics["kl"] = masked_mean(kl, x.mask)
        loss = self._mean(x, kept(each, x.mask))
        return LossOutput(loss, {"loss": loss.detach(), "advantage": advantages.abs().mean(), **metrics})

    def _mean(self, x: LossInput, each: torch.Tensor) -> torch.Tensor:
        """One number of (B, T) losses; rows count by their weight."""
        if self.loss_type == "grpo":
            return mean_of(x, "GRPO", each.sum(1) / x.mask.sum(1))
        tokens = x.mask.sum(1) if self.loss_type == "bnpo" else torch.full_like(x.weight, float(self.max_tokens or 1))
        return mean_of(x, "GRPO", each.sum(1)) * x.weight.sum() / (x.weight * tokens).sum().clamp(min=1e-8)


@dataclass(frozen=True)
class RLOO:
    """-min(R A, clip(R, 1 - epsilon, 1 + epsilon_high) A) + beta kl sum_t k3_t, R = pi / old of the whole completion.

    With one step a batch, R is 1 and the gradient is REINFORCE's, -A grad log pi(y); A is the reward minus the mean of
    the other attempts at the same question. `kl` is the row's own weight (`Rollout.kl`), k3 as in `GRPO`.

    Papers: Ahmadian et al. 2024, "Back to Basics", arXiv:2402.14740; SCoRe, arXiv:2409.12917, Eqs. 2 to 4 (a KL term
    that is heavy on some turns and light on others).
    Differs: with beta 0 values and gradients are those of TRL 1.16's `RLOOTrainer`, which puts the KL into the reward;
    here it is a term of the loss, so that rows without a reward are held, too. The exponents are capped at 80.

    Attributes:
        epsilon: how far below 1 the ratio still counts.
        epsilon_high: how far above; None for `epsilon`.
        beta: weight of the KL term; above 0 it needs a reference.
    """

    example: ClassVar[type[Rollout]] = Rollout
    needs_reference: ClassVar[bool] = False
    epsilon: Annotated[float, Range(0, 1)] = 0.2
    epsilon_high: Annotated[float, Range(0)] | None = None
    beta: Annotated[float, Range(0)] = 0.0

    def __post_init__(self) -> None:
        check_setting("RLOO", "epsilon", self.epsilon, low=0, high=1)
        if self.epsilon_high is not None:
            check_setting("RLOO", "epsilon_high", self.epsilon_high, low=0)
        check_setting("RLOO", "beta", self.beta, low=0)
        object.__setattr__(self, "needs_reference", self.beta > 0)

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("beta",))

    def __call__(self, x: LossInput) -> LossOutput:
        advantages = checked_advantages(x, "RLOO", ("ref_logps",) if self.beta else ())
        if advantages.shape[1] != 1:
            raise ValueError(f"RLOO got advantages of shape {tuple(advantages.shape)}, expected one a row, (B, 1)")
        high = self.epsilon if self.epsilon_high is None else self.epsilon_high
        ratio = bounded_exp(summed(x.logps, x.mask) - summed(x.old_logps, x.mask))
        clipped = ratio.clamp(1 - self.epsilon, 1 + high)
        each = -torch.minimum(ratio * advantages[:, 0], clipped * advantages[:, 0])
        metrics = {"clipped": (ratio != clipped).float().mean()}
        if self.beta:
            kl = k3(x)
            each = each + self.beta * by_row(x, kl).sum(1)
            metrics["kl"] = masked_mean(kl, x.mask)
        loss = mean_of(x, "RLOO", each)
        return LossOutput(loss, {"loss": loss.detach(), "advantage": advantages.abs().mean(), **metrics})


def checked_advantages(x: LossInput, loss: str, needs: tuple[str, ...] = ()) -> torch.Tensor:
    """(B, T) or (B, 1) advantages of a checked batch; zero where the mask does not count.

    Raises:
        ValueError: as `check_batch`; when advantages have another shape, or one that counts is not finite.
    """
    check_batch(x, loss, ("old_logps", "advantages", *needs))
    assert x.advantages is not None
    a = x.advantages
    if a.shape not in (x.logps.shape, (len(x.logps), 1)):
        raise ValueError(f"{loss} got advantages of shape {tuple(a.shape)}, expected {tuple(x.logps.shape)} or (B, 1)")
    counts = (x.mask > 0) if a.shape == x.logps.shape else torch.ones_like(a, dtype=torch.bool)
    wrong = counts & ~torch.isfinite(a)
    if wrong.any():
        i, t = (int(k) for k in wrong.nonzero()[0])
        named = f" from '{x.names[i]}'" if x.names else ""
        raise ValueError(f"{loss}: row {i}{named} has advantage {a[i, t].item()}, expected a finite number")
    return torch.where(counts, a, torch.zeros_like(a)).detach()


def k3(x: LossInput) -> torch.Tensor:
    """(B, T) ref / pi - log(ref / pi) - 1, an estimate of KL(pi || ref) a token; 0 where the mask does not count."""
    assert x.ref_logps is not None
    away = kept(x.ref_logps - x.logps, x.mask)
    return bounded_exp(away) - away - 1


def by_row(x: LossInput, kl: torch.Tensor) -> torch.Tensor:
    """The KL term times the rows' own weights of it."""
    return kl if x.kl is None else kl * x.kl[:, None]


def kept(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, T) 0 where the mask does not count; what stood there may be anything, NaN included."""
    return torch.where(mask > 0, values, torch.zeros_like(values))


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of what counts, detached."""
    return ((values * mask).sum() / mask.sum().clamp(min=1)).detach()
