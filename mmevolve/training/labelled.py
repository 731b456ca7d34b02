"""Labelled answers to a loss's input: what is good or bad without a partner (KTO)."""

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
from mmevolve.types import Labelled


@dataclass(frozen=True)
class ScoredLabelled(Labelled):
    """An answer that carries what the reference thinks of it; made before training, never stored.

    Attributes:
        ref_logps: log-probability of each token of the completion under the reference.
        mismatched: the completion of another row, read under this row's prompt; empty where none is wanted.
        ref_mismatched: log-probability of each of its tokens under the reference.
    """

    ref_logps: tuple[float, ...] = ()
    mismatched: str = ""
    ref_mismatched: tuple[float, ...] = ()


def mismatched_completions(rows: Sequence[Labelled]) -> list[str]:
    """For each row the completion of the next one with another prompt and completion; after the last comes the first.

    Paper: KTO, arXiv:2402.01306: the reference point is estimated on answers to other questions.

    Raises:
        ValueError: when a row has no such other.
    """
    found = []
    for i, row in enumerate(rows):
        others = (rows[(i + k) % len(rows)] for k in range(1, len(rows)))
        other = next((o for o in others if o.completion != row.completion and o.prompt != row.prompt), None)
        if other is None:
            raise ValueError(
                f"row from '{row.source}': no other row has another prompt and another completion, so there is no "
                "mismatched completion for KTO's reference point; expected rows of several questions"
            )
        found.append(other.completion)
    return found


def labelled_tokens(policy: Any, row: Labelled, completion: str | None = None) -> Row:
    """Prompt and tokens of a row's completion, or of another under its prompt; end token included."""
    ids = policy.encoder.completion(row.completion if completion is None else completion)
    check_completion(row.source, ids, policy.banned_in_completion)
    return Row(policy.encoder.prompt(row.prompt), ids)


def labelled_input(policy: Any, rows: Sequence[Labelled], read: Read = plainly) -> LossInput:
    """Answers to per-token log-probabilities (B, T) and labels (B, S), NaN past a row's last.

    A row weighs as its last label does, which is the answer's. Mismatched completions are scored without gradient.
    """
    names = [f"row from '{row.source}'" for row in rows]
    tokens = [labelled_tokens(policy, row) for row in rows]
    out = read(policy, tokens)
    labels = torch.full((len(rows), max(len(row.labels) for row in rows)), math.nan, device=out.logps.device)
    for i, row in enumerate(rows):
        labels[i, : len(row.labels)] = torch.tensor(row.labels)
    weight = torch.tensor([row.weights[-1] if row.weights else 1.0 for row in rows], device=out.logps.device)
    said = {"labels": labels, "names": tuple(row.source for row in rows)}
    scored = [row for row in rows if isinstance(row, ScoredLabelled)]
    if len(scored) != len(rows):
        return LossInput(out.logps, out.mask, weight, **said)
    lengths = [len(row.completion) for row in tokens]
    said["ref_logps"] = padded([r.ref_logps for r in scored], lengths, out.logps, names, "its reference scored")
    if all(row.mismatched for row in scored):
        others = [labelled_tokens(policy, row, row.mismatched) for row in scored]
        with torch.no_grad():
            apart = read(policy, others)
        lengths = [len(row.completion) for row in others]
        reference = padded([r.ref_mismatched for r in scored], lengths, apart.logps, names, "its reference scored")
        said |= {"kl_logps": apart.logps, "kl_ref_logps": reference, "kl_mask": apart.mask}
    return LossInput(out.logps, out.mask, weight, **said)
