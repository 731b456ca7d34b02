"""Step-level DPO: the two sides share their first steps and differ in the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_batch, check_setting, row
from mmevolve.losses.dpo import DPO
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.types import Preference


@dataclass(frozen=True)
class StepDPO:
    """-log sigma(beta [u(s_w | x, s_1..k-1) - u(s_l | x, s_1..k-1)]): DPO on the step after a shared prefix.

    Paper: Lai et al. 2024, "Step-DPO", arXiv:2406.18629, Eq. 2.
    Differs: nothing; the prefix's log-ratios would cancel in the difference, here they are not summed at all, so that
    lengths and rewards are those of the step.

    Attributes:
        beta: strength of the pull to the reference.

    Raises:
        ValueError: when the input marks no prefix, the sides of a pair share prefixes of unlike lengths, or a side has
            no token after it; else as `DPO`.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = True
    beta: Annotated[float, Range(0)] = 0.1

    def __post_init__(self) -> None:
        check_setting("StepDPO", "beta", self.beta, above=0)

    def __call__(self, x: LossInput) -> LossOutput:
        if x.prefix is None:  # a whole answer is a step after an empty prefix
            return DPO(beta=self.beta)(x)
        check_batch(x, "StepDPO", ("ref_logps",), pairs=True)
        chosen, rejected = x.prefix.sum(1).chunk(2)
        if (chosen != rejected).any():
            i = int((chosen != rejected).nonzero()[0])
            raise ValueError(
                f"StepDPO: {row(x, i, pairs=True)} shares {int(chosen[i])} tokens with a rejected side that shares "
                f"{int(rejected[i])}, expected as many: both sides begin with the same steps"
            )
        return DPO(beta=self.beta)(replace(x, mask=x.mask * (1 - x.prefix)))
