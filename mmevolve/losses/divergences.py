"""f-divergences of f-DPO: the score that a log-ratio becomes.

Paper: Wang et al. 2024, "Beyond Reverse KL", arXiv:2309.16240: the implicit reward is beta f'(pi / ref), up to
a constant that cancels in a pair.
Differs: exponents are capped at 80 (float16: 11). TRL caps those of the alpha divergence only; its forward KL overflows
at log-ratios below -88 and gives NaN gradients there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from mmevolve.losses.numbers import bounded_exp

Divergence = Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"]


def reverse_kl(u: torch.Tensor, alpha: float) -> torch.Tensor:
    """Log t: plain DPO."""
    return u


def forward_kl(u: torch.Tensor, alpha: float) -> torch.Tensor:
    """1 - 1/t."""
    return 1 - bounded_exp(-u)


def js_divergence(u: torch.Tensor, alpha: float) -> torch.Tensor:
    """log(2t / (1 + t)) = ln 2 + log sigmoid(log t)."""
    return math.log(2.0) + F.logsigmoid(u)


def alpha_divergence(u: torch.Tensor, alpha: float) -> torch.Tensor:
    """(t^(alpha - 1) - 1) / (alpha - 1), whose limit at alpha = 1 is log t."""
    if abs(alpha - 1.0) < 1e-6:
        return u
    return (bounded_exp((alpha - 1.0) * u) - 1.0) * (1.0 / (alpha - 1.0))


DIVERGENCES: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "reverse_kl": reverse_kl,
    "forward_kl": forward_kl,
    "js_divergence": js_divergence,
    "alpha_divergence": alpha_divergence,
}
