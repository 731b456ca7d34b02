"""SCIR: a model's two internal rewards are made to agree, and DPO learns from the pairs on which they do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F

from mmevolve.config.ranges import Range
from mmevolve.losses.checks import check_setting, mean_of
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.losses.pairs import pairs_of
from mmevolve.types import Preference

_SURE = 1e-6  # a frozen judge's preference is kept this far from 0 and 1: beyond it the divergence has no bound


@dataclass(frozen=True)
class SCIR:
    """[agree] c (-log sigma(|z|)) + a J(p_j, p_i) + h (H(p_j) + H(p_i)), for each pair of answers y1, y2.

    p_i = sigma(z), z = beta (u_1 - u_2), is the implicit reward's preference for y1; p_j that of the same model as a
    judge, the mean over both orders of P(y1's letter) / (P(A) + P(B)). J = KL(p_j, p_i) + KL(p_i, p_j) =
    (p_j - p_i) (logit p_j - logit p_i) and the entropies H are those of Bernoulli distributions, with gradient into
    both rewards. DPO takes the pairs with p_j and p_i on the same side of 1/2, for the answer that both prefer, each
    weighted by c = min(max(p_j, 1 - p_j), max(p_i, 1 - p_i)), without gradient. The mean is over all pairs, so those on
    which the rewards disagree count as pairs with no DPO term.

    Rows are `selectors.InternalPairs`: three a pair, with the same `source`, all in one batch: the answers under the
    question, and the judge's two letters under each order of them; those of the judge are the ones that have a prefix.

    Paper: Zhou et al. 2025, "Self-Consistency of the Internal Reward Models Improves Self-Rewarding Language Models"
    (SCIR), arXiv:2502.08922 (agreement of generative and implicit reward, inconsistency penalty with a confidence
    term, consistent pairs only).
    Differs: the penalty's form is rebuilt from the paper's description, and beta, a and h are our choices; the weights
    of a batch's pairs are not normalised.

    Attributes:
        judge: `learns`: from rows of its own, as above; `frozen`: one row a pair, whose `p_win` is p_j (an ablation,
            kept 1e-6 off 0 and 1).
        beta: of the implicit reward.
        consistency: a; 0 leaves the penalty out.
        entropy: h; above 0, both rewards are pushed to be sure.

    Raises:
        ValueError: when a pair's three rows are not in the batch; for a batch as `check_batch`.
    """

    example: ClassVar[type[Preference]] = Preference
    needs_reference: ClassVar[bool] = True
    judge: Literal["learns", "frozen"] = "learns"
    beta: Annotated[float, Range(0)] = 0.1
    consistency: Annotated[float, Range(0)] = 1.0
    entropy: Annotated[float, Range(0)] = 0.1

    def __post_init__(self) -> None:
        check_setting("SCIR", "beta", self.beta, above=0)
        check_setting("SCIR", "consistency", self.consistency, low=0)
        check_setting("SCIR", "entropy", self.entropy, low=0)
        if self.judge not in ("learns", "frozen"):
            raise ValueError(f"SCIR: judge is '{self.judge}', expected learns or frozen")

    def __call__(self, x: LossInput) -> LossOutput:
        pairs = pairs_of(x, "SCIR", reference=True, needs=("prefix",) if self.judge == "learns" else ("p_win",))
        z = self.beta * (pairs.chosen_ratio - pairs.rejected_ratio)
        if self.judge == "learns":
            answers, there, back = joined(x)
            odds = pairs.chosen - pairs.rejected
            judge = both_orders(odds[there], odds[back])
            z, names = z[answers], tuple(x.names[int(i)] for i in answers) if x.names else None
            x = replace(x, weight=x.weight[answers], names=names)
        else:
            assert x.p_win is not None
            judge = torch.logit(x.p_win.to(z.dtype).clamp(_SURE, 1 - _SURE))
        agree = (judge * z > 0).to(z.dtype)  # a reward without an opinion agrees with nothing
        sure = torch.minimum(torch.sigmoid(judge.abs()), torch.sigmoid(z.abs())).detach()
        dpo = -F.logsigmoid(z * torch.sign(z).detach()) * sure * agree
        apart = (torch.sigmoid(judge) - torch.sigmoid(z)) * (judge - z)
        unsure = bernoulli_entropy(judge) + bernoulli_entropy(z)
        loss = mean_of(x, "SCIR", dpo + self.consistency * apart + self.entropy * unsure, pairs=True)
        means = {
            "agreement": agree, "dpo": dpo, "inconsistency": apart, "entropy": unsure, "confidence": sure,
            "p_judge": torch.sigmoid(judge), "p_implicit": torch.sigmoid(z),
        }  # fmt: skip
        return LossOutput(loss, {"loss": loss.detach(), **{k: v.detach().mean() for k, v in means.items()}})


def both_orders(there: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """(P,) logit of the mean of sigma(there) and sigma(back): the log-odds of y1 when shown first, and second."""
    won = torch.logaddexp(F.logsigmoid(there), F.logsigmoid(back))
    return won - torch.logaddexp(F.logsigmoid(-there), F.logsigmoid(-back))


def bernoulli_entropy(logit: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of a Bernoulli variable: p softplus(-l) + (1 - p) softplus(l)."""
    return torch.sigmoid(logit) * F.softplus(-logit) + torch.sigmoid(-logit) * F.softplus(logit)


def joined(x: LossInput) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places of the answers' rows and of the judge's two, pair by pair, wherever they stand in the batch.

    Raises:
        ValueError: naming a pair whose rows are not one of its answers and two of the judge's.
    """
    half = len(x.logps) // 2
    if x.names is None:
        raise ValueError("SCIR needs `names` in its input, got none: the three rows of a pair share their source")
    assert x.prefix is not None
    judging = (x.prefix[:half] > 0).any(1).tolist()
    found: dict[str, tuple[list[int], list[int]]] = {}
    for i, name in enumerate(x.names[:half]):
        found.setdefault(name, ([], []))[judging[i]].append(i)
    rows: list[tuple[int, int, int]] = []
    for name, (own, judged) in found.items():
        if len(judged) != 2 * len(own):  # a row that was taken again in the same batch comes with its own two
            raise ValueError(
                f"SCIR: pair from '{name}' has {len(own)} rows of answers and {len(judged)} of the judge in its batch, "
                "expected 1 and 2: keep the rows of selectors.InternalPairs together with shuffle: false, bucket: 1 "
                "and a batch_size that is a multiple of 3"
            )
        rows += [(i, judged[2 * k], judged[2 * k + 1]) for k, i in enumerate(own)]
    at = torch.tensor(rows, device=x.logps.device)
    return at[:, 0], at[:, 1], at[:, 2]
