"""Preference rows to a loss's input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mmevolve.losses.inputs import LossInput
from mmevolve.models.encode import Row
from mmevolve.training.check_rows import check_completion
from mmevolve.training.padded import padded
from mmevolve.training.passes import Read, plainly
from mmevolve.types import Preference


@dataclass(frozen=True)
class ScoredPair(Preference):
    """A pair that carries what the reference thinks of it; made before training, never stored.

    Attributes:
        ref_chosen: log-probability of each token of prefix and chosen completion under the reference.
        ref_rejected: the same of the rejected completion, under `rejected_prompt` where there is one.
    """

    ref_chosen: tuple[float, ...] = ()
    ref_rejected: tuple[float, ...] = ()


def check_pairs(rows: Sequence[Preference]) -> None:
    """Refuse pairs that hold no preference.

    Raises:
        ValueError: naming the row: a side without text, sides that are the same under the same prompt, a number that
            is not finite or no probability; or when every row is a tie.
    """
    for row in rows:
        for side in ("chosen", "rejected"):
            if not getattr(row, side).strip():
                raise ValueError(f"pair from '{row.source}': its {side} side is empty, expected a completion")
        if row.chosen == row.rejected and row.rejected_prompt in (None, row.prompt):
            raise ValueError(_identical(row))
        if not 0.0 <= row.p_win <= 1.0:
            raise ValueError(f"pair from '{row.source}': p_win is {row.p_win}, expected a probability from 0 to 1")
        if not (math.isfinite(row.weight) and row.weight >= 0.0):
            raise ValueError(f"pair from '{row.source}': weight is {row.weight}, expected a number of at least 0")
        if not math.isfinite(row.margin):
            raise ValueError(f"pair from '{row.source}': margin is {row.margin}, expected a finite number")
    if rows and all(row.p_win == 0.5 for row in rows):
        raise ValueError(f"all {len(rows)} pairs are ties (p_win 0.5): there is no preference to learn")


def pair_input(policy: Any, rows: Sequence[Preference], read: Read = plainly) -> LossInput:
    """Pairs to per-token log-probabilities: all chosen rows, then all rejected ones.

    A pair's shared prefix stands before both sides, is marked in `prefix` and has no part in the mask. A side ends with
    the end token unless the row's scope is `step`.
    """
    both = [sides(policy, row) for row in rows]
    tokens = [w for w, _ in both] + [y for _, y in both]
    out = read(policy, tokens)
    shared = torch.tensor([prefix_length(policy, row) for row in rows] * 2, device=out.mask.device)
    prefix = (torch.arange(out.mask.shape[1], device=out.mask.device) < shared[:, None]).to(out.mask.dtype)

    def column(name: str) -> torch.Tensor:
        return torch.tensor([getattr(row, name) for row in rows], device=out.logps.device)

    return LossInput(
        out.logps,
        out.mask * (1 - prefix),
        column("weight").repeat(2),
        ref_logps=_reference(rows, tokens, out.logps),
        margin=column("margin"),
        p_win=column("p_win"),
        prefix=prefix,
        log_sum_sq=out.log_sum_sq,
        names=tuple(row.source for row in rows) * 2,
    )


def sides(policy: Any, row: Preference) -> tuple[Row, Row]:
    """Tokens of the chosen and the rejected side, prefix included.

    Raises:
        ValueError: when a side holds special tokens, or both are the same tokens under the same prompt.
    """
    encoder = policy.encoder
    made = []
    for prompt, text in ((row.prompt, row.chosen), (row.rejected_prompt or row.prompt, row.rejected)):
        start = encoder.completion(row.prefix, end=False)
        completion = (*start, *encoder.completion(text, end=row.scope != "step"))
        check_completion(row.source, completion, policy.banned_in_completion)
        made.append(Row(encoder.prompt(prompt), completion))
    chosen, rejected = made
    # The encoder gives one object for one content: two files of the same image are the same prompt.
    if chosen.completion == rejected.completion and chosen.prompt is rejected.prompt:
        raise ValueError(_identical(row))
    return chosen, rejected


def prefix_length(policy: Any, row: Preference) -> int:
    """Tokens that both sides begin with by construction."""
    return len(policy.encoder.completion(row.prefix, end=False))


def _reference(rows: Sequence[Preference], tokens: list[Row], like: torch.Tensor) -> torch.Tensor | None:
    """(B, T) what the rows carry, zero-padded; None when they carry nothing."""
    if not all(isinstance(row, ScoredPair) for row in rows):
        return None
    carried = [row.ref_chosen for row in rows] + [row.ref_rejected for row in rows]
    lengths = [len(side.completion) for side in tokens]
    return padded(carried, lengths, like, [f"pair from '{row.source}'" for row in rows] * 2, "its reference scored")


def _identical(row: Preference) -> str:
    return (
        f"pair from '{row.source}' has identical sides under the same prompt and images: there is nothing to prefer; "
        "an image-conditional pair names another image in `rejected_prompt`"
    )
