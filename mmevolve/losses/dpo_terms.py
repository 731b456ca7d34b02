"""The fifteen losses of a pair that DPO's `loss_type` names, each a small pure function of `Terms`; (P,) each.

Notation: u = log(pi / ref) of a completion, s = f'(e^u) its score under the f-divergence (u itself for reverse KL),
D = s_w - s_l, b = beta, e = label smoothing, n = tokens of a completion; w is chosen, l rejected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from mmevolve.losses.divergences import DIVERGENCES
from mmevolve.losses.numbers import smoothed_logistic
from mmevolve.losses.pairs import Pairs

LossType = Literal[
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
]
WITH_DIVERGENCE = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft")
WITH_SMOOTHING = ("exo_pair", "robust", "aot", "aot_unpaired")
SORTED = ("aot", "aot_unpaired")


@dataclass(frozen=True)
class Terms:
    """What the losses are written in.

    Attributes:
        pairs: sums of log-probabilities and lengths, (P,) each.
        nll: token mean of the chosen completions' negative log-likelihood over the batch, a scalar.
        beta: strength of the pull to the reference.
        label_smoothing: share of labels taken to be wrong.
        tau: DiscoPOP's temperature.
        divergence: name of the f-divergence.
        alpha: coefficient of the alpha divergence.
    """

    pairs: Pairs
    nll: torch.Tensor
    beta: float = 0.1
    label_smoothing: float = 0.0
    tau: float = 0.05
    divergence: str = "reverse_kl"
    alpha: float = 0.5

    @property
    def u_w(self) -> torch.Tensor:
        return self.pairs.chosen_ratio

    @property
    def u_l(self) -> torch.Tensor:
        return self.pairs.rejected_ratio

    @property
    def s_w(self) -> torch.Tensor:
        return DIVERGENCES[self.divergence](self.u_w, self.alpha)

    @property
    def s_l(self) -> torch.Tensor:
        return DIVERGENCES[self.divergence](self.u_l, self.alpha)

    @property
    def z(self) -> torch.Tensor:
        """B D."""
        return self.beta * (self.s_w - self.s_l)

    @property
    def mean_difference(self) -> torch.Tensor:
        """s_w / n_w - s_l / n_l."""
        return self.s_w / self.pairs.chosen_length - self.s_l / self.pairs.rejected_length


def sigmoid(t: Terms) -> torch.Tensor:
    """-log sigma(b D). Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290, Eq. 7."""
    return -F.logsigmoid(t.z)


def hinge(t: Terms) -> torch.Tensor:
    """max(0, 1 - b D). Liu et al. 2023, "RSO", arXiv:2309.06657; SLiC-HF, arXiv:2305.10425."""
    return torch.relu(1 - t.z)


def ipo(t: Terms) -> torch.Tensor:
    """(s_w / n_w - s_l / n_l - 1 / (2b))^2. Azar et al. 2023, arXiv:2310.12036, Eq. 17, averaged over tokens."""
    return (t.mean_difference - 1 / (2 * t.beta)) ** 2


def exo_pair(t: Terms) -> torch.Tensor:
    """KL of (sigma(bD), sigma(-bD)) from (1 - e, e). Ji et al. 2024, "EXO", arXiv:2402.00856, Eq. 16; e > 0."""
    e = torch.tensor(t.label_smoothing, dtype=t.z.dtype, device=t.z.device)
    won = torch.sigmoid(t.z) * (F.logsigmoid(t.z) - torch.log1p(-e))
    return won + torch.sigmoid(-t.z) * (F.logsigmoid(-t.z) - torch.log(e))


def nca_pair(t: Terms) -> torch.Tensor:
    """-log sigma(b u_w) - 1/2 log sigma(-b u_w) - 1/2 log sigma(-b u_l). Chen et al. 2024, "NCA", arXiv:2402.05369."""
    w, l = t.beta * t.u_w, t.beta * t.u_l  # noqa: E741
    return -F.logsigmoid(w) - 0.5 * F.logsigmoid(-w) - 0.5 * F.logsigmoid(-l)


def robust(t: Terms) -> torch.Tensor:
    """[-(1 - e) log sigma(bD) + e log sigma(-bD)] / (1 - 2e). Chowdhury et al. 2024, "rDPO", arXiv:2403.00409."""
    e = t.label_smoothing
    return (-(1 - e) * F.logsigmoid(t.z) + e * F.logsigmoid(-t.z)) / (1 - 2 * e)


def bco_pair(t: Terms) -> torch.Tensor:
    """-log sigma(b u_w) - log sigma(-b u_l). Jung et al. 2024, "BCO", arXiv:2404.04656, with reward shift 0."""
    return -F.logsigmoid(t.beta * t.u_w) - F.logsigmoid(-t.beta * t.u_l)


def sppo_hard(t: Terms) -> torch.Tensor:
    """(u_w - 1 / (2b))^2 + (u_l + 1 / (2b))^2. Wu et al. 2024, "SPPO", arXiv:2405.00675, Eq. 4.7 with P = 1 and 0."""
    return (t.u_w - 0.5 / t.beta) ** 2 + (t.u_l + 0.5 / t.beta) ** 2


def aot(t: Terms) -> torch.Tensor:
    """Logistic loss of b (sort(log pi_w - log pi_l) - sort(log ref_w - log ref_l)), sorted over the batch.

    Melnyk et al. 2024, "Distributional Preference Alignment via Optimal Transport", arXiv:2406.05882, paired form.
    Only the batch's mean has a meaning, and it depends on what else is in the batch.
    """
    policy = torch.sort(t.pairs.chosen - t.pairs.rejected).values
    reference = torch.sort(t.pairs.ref_chosen - t.pairs.ref_rejected).values
    return smoothed_logistic(t.beta * (policy - reference), t.label_smoothing)


def aot_unpaired(t: Terms) -> torch.Tensor:
    """Logistic loss of b (sort(u_w) - sort(u_l)), sorted over the batch. arXiv:2406.05882, unpaired form."""
    difference = torch.sort(t.u_w).values - torch.sort(t.u_l).values
    return smoothed_logistic(t.beta * difference, t.label_smoothing)


def apo_zero(t: Terms) -> torch.Tensor:
    """1 - sigma(b u_w) + sigma(b u_l). D'Oosterlinck et al. 2024, "APO", arXiv:2408.06266, Eq. 7."""
    return 1 - torch.sigmoid(t.beta * t.u_w) + torch.sigmoid(t.beta * t.u_l)


def apo_down(t: Terms) -> torch.Tensor:
    """sigma(b u_w) + 1 - sigma(b (u_w - u_l)). APO, arXiv:2408.06266, Eq. 8."""
    return torch.sigmoid(t.beta * t.u_w) + 1 - torch.sigmoid(t.beta * (t.u_w - t.u_l))


def discopop(t: Terms) -> torch.Tensor:
    """(1 - m)(-log sigma(z)) + m exp(-z), z = bD, m = sigma(z / tau). Lu et al. 2024, arXiv:2406.08414, Eq. 5.

    Far below 0 the second product is taken as one exponential, exp(log m - z): it is 0 there, not 0 times infinity.
    """
    m, near = torch.sigmoid(t.z / t.tau), t.z > -40
    product = m * torch.exp(-torch.where(near, t.z, torch.zeros_like(t.z)))
    far = torch.exp(F.logsigmoid(t.z / t.tau) - t.z)
    return (1 - m) * -F.logsigmoid(t.z) + torch.where(near, product, far)


def sft(t: Terms) -> torch.Tensor:
    """Token mean of -log pi over all chosen tokens of the batch, the same number for every pair."""
    return t.nll.expand_as(t.u_w)


def sigmoid_norm(t: Terms) -> torch.Tensor:
    """-log sigma(b (s_w / n_w - s_l / n_l)). Lambert et al. 2024, "Tulu 3", arXiv:2411.15124 (length-normalised)."""
    return -F.logsigmoid(t.beta * t.mean_difference)


LOSSES: dict[str, Callable[[Terms], torch.Tensor]] = {
    "sigmoid": sigmoid,
    "hinge": hinge,
    "ipo": ipo,
    "exo_pair": exo_pair,
    "nca_pair": nca_pair,
    "robust": robust,
    "bco_pair": bco_pair,
    "sppo_hard": sppo_hard,
    "aot": aot,
    "aot_unpaired": aot_unpaired,
    "apo_zero": apo_zero,
    "apo_down": apo_down,
    "discopop": discopop,
    "sft": sft,
    "sigmoid_norm": sigmoid_norm,
}
