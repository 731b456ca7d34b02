"""Preference rows to a loss's input, with the reference's log-probabilities scored once, before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch

from mmevolve.losses.inputs import LossInput
from mmevolve.models.encode import Row, collate
from mmevolve.models.prefix import shared_batches
from mmevolve.models.score import score
from mmevolve.models.vlm import SCORE_TOKENS
from mmevolve.training.check_rows import check_completion
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


def check_reference(policy: Any, reference: Any) -> None:
    """Refuse a reference that is another model than the policy began as.

    Raises:
        ValueError: naming both.
    """
    if reference.source != policy.source:
        raise ValueError(
            f"the reference '{reference.name}' is not the base of the policy '{policy.name}': log-ratios of two models "
            f"mean nothing, expected '{policy.source}'"
        )


def with_reference(
    policy: Any, rows: Sequence[Preference], *, reference: Any = None, base: bool = False
) -> list[ScoredPair]:
    """The rows with the reference's log-probabilities, token by token; weights and random state stay as they are.

    Args:
        policy: the model to be trained, as it is before training.
        rows: pairs.
        reference: another model of the same base; None for the policy as it is now (SPPO, iterated DPO).
        base: with an adapter, score with it off: the reference is the base model, in every round.

    Raises:
        ValueError: as `check_pairs` and `check_reference`; for `base` without an adapter.
    """
    check_pairs(rows)
    if reference is not None:
        check_reference(policy, reference)
    judge = policy if reference is None else reference
    if base and judge.lora is None:
        raise ValueError(f"'{judge.name}' has no adapter to turn off: pass the base model itself as reference")
    off = judge.model.disable_adapter() if base else nullcontext()
    tokens = [side for row in rows for side in sides(judge, row)]
    logps: list[tuple[float, ...]] = [()] * len(tokens)
    learning = judge.model.training
    judge.model.eval()  # no dropout in a reference
    with torch.inference_mode(), off:
        for batch in shared_batches(tokens, SCORE_TOKENS):
            picked = [tokens[i] for i in batch]  # the pass that training makes: its roundings cancel in the ratio
            inputs = collate(picked, pad=judge.pad, device=judge.device, side="right")
            out = score(judge.model, inputs, picked).logps.tolist()
            for values, i in zip(out, batch, strict=True):
                logps[i] = tuple(values[: len(tokens[i].completion)])
    if learning:
        judge.train_mode()
    return [
        ScoredPair(**{f.name: getattr(row, f.name) for f in fields(Preference)}, ref_chosen=w, ref_rejected=y)
        for row, w, y in zip(rows, logps[::2], logps[1::2], strict=True)
    ]


def pair_input(policy: Any, rows: Sequence[Preference]) -> LossInput:
    """Pairs to per-token log-probabilities: all chosen rows, then all rejected ones.

    A pair's shared prefix stands before both sides, is marked in `prefix` and has no part in the mask. A side ends with
    the end token unless the row's scope is `step`.
    """
    both = [sides(policy, row) for row in rows]
    tokens = [w for w, _ in both] + [y for _, y in both]
    batch = collate(tokens, pad=policy.pad, device=policy.device, side="right")
    out = score(policy.model, batch, tokens)
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
    made = torch.zeros_like(like)
    for i, (values, side) in enumerate(zip(carried, tokens, strict=True)):
        if len(values) != len(side.completion):
            raise ValueError(
                f"pair from '{rows[i % len(rows)].source}': its reference scored {len(values)} tokens, the policy "
                f"reads {len(side.completion)}: they do not share a tokenizer"
            )
        made[i, : len(values)] = torch.tensor(values, dtype=like.dtype)
    return made


def _identical(row: Preference) -> str:
    return (
        f"pair from '{row.source}' has identical sides under the same prompt and images: there is nothing to prefer; "
        "an image-conditional pair names another image in `rejected_prompt`"
    )
