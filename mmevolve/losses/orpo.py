"""ORPO: SFT with an odds-ratio penalty on the rejected side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch.nn.functional as F

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_setting, mean_of
from mmevolve.losses.chosen_sft import chosen_nll
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.numbers import log1mexp
from mmevolve.losses.pairs import pair_metrics, pairs_of
from mmevolve.types import Preference


@dataclass(frozen=True)
class ORPO:
    """NLL of the chosen tokens - beta log sigma(log odds_w - log odds_l), odds = p / (1 - p) of the mean token.

    Paper: Hong et al. 2024, "ORPO", arXiv:2403.07691, Eqs. 4, 6 and 7; beta is its lambda.
    Differs: TRL 1.16's experimental `ORPOTrainer` takes the NLL over prompt and chosen completion, we over the
    completion; the odds-ratio term, and all of it for a prompt that is one token, agree.

    Attributes:
        beta: weight of the odds-ratio term.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = False
    beta: Annotated[float, Range(0)] = 0.1

    def __post_init__(self) -> None:
        check_setting("ORPO", "beta", self.beta, above=0)

    def __call__(self, x: LossInput) -> LossOutput:
        pairs = pairs_of(x, "ORPO", reference=False)
        chosen, rejected = pairs.chosen / pairs.chosen_length, pairs.rejected / pairs.rejected_length
        log_odds = (chosen - rejected) - (log1mexp(chosen) - log1mexp(rejected))
        nll = chosen_nll(x)
        loss = nll + mean_of(x, "ORPO", -self.beta * F.logsigmoid(log_odds), pairs=True)
        more = {"nll": nll.detach(), "log_odds": log_odds.detach().mean()}
        return LossOutput(loss, {**pair_metrics(pairs, self.beta, loss), **more})
