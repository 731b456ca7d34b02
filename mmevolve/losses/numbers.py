"""Elementary functions that stay finite, in value and in gradient, on whatever log-probabilities training meets."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

LARGEST = {torch.float16: 11.0}  # exponents whose exponential can still be held; 80 for the wider types


def bounded_exp(x: torch.Tensor) -> torch.Tensor:
    """exp(x), constant above the largest exponent that its dtype holds (80; float16: 11).

    Beyond it exp(x) is infinite, and a zero gradient times infinity is NaN.
    """
    return x.clamp(max=LARGEST.get(x.dtype, 80.0)).exp()


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x <= 0, taken at -eps of the dtype where x is nearer to 0.

    Two forms that meet at -ln 2 keep their digits on either side (Maechler 2012, "Accurately computing
    log(1 - exp(-|a|))").
    """
    x = x.clamp(max=-torch.finfo(x.dtype).eps)
    near = x > -math.log(2.0)
    inner = torch.where(near, x, torch.full_like(x, -1.0))  # each form sees only what it is good at: no NaN gradient
    outer = torch.where(near, torch.full_like(x, -1.0), x)
    return torch.where(near, torch.log(-torch.expm1(inner)), torch.log1p(-torch.exp(outer)))


def smoothed_logistic(z: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """-(1 - e) log sigmoid(z) - e log sigmoid(-z): the logistic loss when a share e of the labels is wrong."""
    if label_smoothing == 0.0:
        return -F.logsigmoid(z)
    return -(1 - label_smoothing) * F.logsigmoid(z) - label_smoothing * F.logsigmoid(-z)
