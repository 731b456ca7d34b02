"""Batches and settings that must not reach the optimizer: one sentence each, naming the row."""

from __future__ import annotations

import torch

from mmevolve.losses.inputs import LossInput

MEANING = {
    "logps": "the policy",
    "ref_logps": "the reference",
    "old_logps": "the behaviour policy",
    "log_sum_sq": "the policy (log of the sum of squares)",
}


def check_batch(x: LossInput, loss: str, needs: tuple[str, ...] = (), *, pairs: bool = False) -> None:
    """Refuse a batch that a loss cannot learn from.

    Args:
        x: the batch.
        loss: the loss's name, for the message.
        needs: fields that must be there; those of `MEANING` are (B, T) and must be finite where the mask counts.
        pairs: whether rows come in pairs, chosen before rejected.

    Raises:
        ValueError: when a needed field is missing or of another shape, the rows are odd in number, a row has no token
            that counts, or a log-probability is not finite.
    """
    for name in needs:
        if getattr(x, name) is None:
            raise ValueError(f"{loss} needs `{name}` in its input, got none{HINTS.get(name, '')}")
    if pairs and (len(x.logps) % 2 or not len(x.logps)):
        raise ValueError(f"{loss} got {len(x.logps)} rows: pairs come as all chosen rows, then as many rejected ones")
    tokens = ["logps", *(name for name in needs if name in MEANING)]
    for name in (*tokens, "mask"):
        if getattr(x, name).shape != x.logps.shape:
            shapes = f"{tuple(getattr(x, name).shape)}, expected that of `logps`, {tuple(x.logps.shape)}"
            raise ValueError(f"{loss} got `{name}` of shape {shapes}")
    counts = x.mask > 0
    wrong = {name: counts & ~torch.isfinite(getattr(x, name)) for name in tokens}
    empty = ~counts.any(1)
    if not (empty.any() | torch.stack([w.any() for w in wrong.values()]).any()):  # one look at the device
        return
    if empty.any():
        i = int(empty.nonzero()[0])
        raise ValueError(f"{loss}: {row(x, i, pairs=pairs)} has no token that counts: its completion is empty")
    name = next(n for n in tokens if wrong[n].any())
    i, t = (int(k) for k in wrong[name].nonzero()[0])
    raise ValueError(
        f"{loss}: {row(x, i, pairs=pairs)} has log-probability {getattr(x, name)[i, t].item()} at token {t} under "
        f"{MEANING[name]}, expected a finite number"
    )


HINTS = {
    "ref_logps": ": score the rows under the reference before training",
    "p_win": ": the rows must carry the probability that chosen beats rejected",
    "margin": ": the rows must carry the reward model's score difference",
    "scores": ": it trains a `models.CritiqueRewardModel` by `training.CriticModule`",
    "labels": ": it trains on Labelled rows",
    "log_sum_sq": ": WPO's weights read the policy's whole distribution at each token",
    "kl_logps": ": completions of other rows, scored under policy and reference",
    "advantages": ": it trains on Rollout rows",
    "old_logps": ": it trains on Rollout rows, which keep the log-probabilities that they were sampled with",
    "prefix": ": step-level pairs mark the tokens that both sides share",
}


def row(x: LossInput, i: int, *, pairs: bool = False) -> str:
    """How row `i` is called in a message."""
    half = len(x.logps) // 2
    side = f" ({'chosen' if i < half else 'rejected'} side of pair {i % half})" if pairs else ""
    return f"row {i}{side}" + (f" from '{x.names[i]}'" if x.names else "")


def mean_of(x: LossInput, loss: str, each: torch.Tensor, *, pairs: bool = False) -> torch.Tensor:
    """Mean of `each` (P,) or (B,) by the rows' weights; a common factor of the weights changes nothing.

    Raises:
        ValueError: when it is not finite, naming the first row that is not.
    """
    weight = x.weight[: len(each)]
    mean = (each * weight).sum() / weight.sum().clamp(min=1e-8)
    if not torch.isfinite(mean):
        wrong = (~torch.isfinite(each * weight)).nonzero()
        i = int(wrong[0]) if len(wrong) else 0
        what = "pair" if pairs else "row"
        named = f" from '{x.names[i]}'" if x.names else ""
        raise ValueError(f"{loss}: the loss of {what} {i}{named} is {each[i].item()}, expected a finite number")
    return mean


def check_setting(loss: str, name: str, value: float, *, above: float | None = None, low: float | None = None,
                  high: float | None = None, below: float | None = None) -> None:  # fmt: skip
    """Refuse a setting out of its range.

    Raises:
        ValueError: naming loss, setting, value and range.
    """
    bounds = {"above": above, "at least": low, "at most": high, "below": below}
    keeps = {"above": float.__gt__, "at least": float.__ge__, "at most": float.__le__, "below": float.__lt__}
    said = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
    if not all(keeps[word](float(value), float(bound)) for word, bound in bounds.items() if bound is not None):
        raise ValueError(f"{loss}: {name} is {value}, expected {' and '.join(said)}")
