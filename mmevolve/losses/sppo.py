"""SPPO with soft win probabilities; its hard form is `DPO(loss_type="sppo_hard")`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_setting, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.pairs import pair_metrics, pairs_of
from mmevolve.types import Preference


@dataclass(frozen=True)
class SPPO:
    """(u_w - (p - 1/2) / beta)^2 + (u_l - (1/2 - p) / beta)^2, u = log(pi / ref), p = P(chosen beats rejected).

    Paper: Wu et al. 2024, "Self-Play Preference Optimization", arXiv:2405.00675, Eq. 4.7; beta is 1 / eta, and the
    reference is the policy of the round before.
    Differs: the paper's P is the probability to beat the policy, estimated over all attempts at a question; a row holds
    one number, so the loser's is taken to be 1 - p. At p = 1 it is `DPO(loss_type="sppo_hard")`, which ignores `p_win`.

    Attributes:
        beta: 1 / eta.

    Raises:
        ValueError: when a row's `p_win` is missing or no probability; for a batch as `check_batch`.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = True
    beta: Annotated[float, Range(0)] = 0.001

    def __post_init__(self) -> None:
        check_setting("SPPO", "beta", self.beta, above=0)

    def __call__(self, x: LossInput) -> LossOutput:
        pairs = pairs_of(x, "SPPO", reference=True, needs=("p_win",))
        p = x.p_win
        assert p is not None
        inside = (p >= 0) & (p <= 1)
        if not inside.all():
            i = int((~inside).nonzero()[0])
            named = f" from '{x.names[i]}'" if x.names else ""
            raise ValueError(f"SPPO: pair {i}{named} has p_win {p[i].item()}, expected a probability from 0 to 1")
        target = (p - 0.5) / self.beta
        each = (pairs.chosen_ratio - target) ** 2 + (pairs.rejected_ratio + target) ** 2
        loss = mean_of(x, "SPPO", each, pairs=True)
        return LossOutput(loss, {**pair_metrics(pairs, self.beta, loss), "p_win": p.float().mean()})
