"""Rollout rows to a loss's input: token ids as sampled, so that ratios to the behaviour policy are exact."""

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
from mmevolve.types import Rollout


@dataclass(frozen=True)
class ScoredRollout(Rollout):
    """A rollout that carries what the reference thinks of it; made before training, never stored.

    Attributes:
        ref_logps: log-probability of each token under the reference.
    """

    ref_logps: tuple[float, ...] = ()


def rollout_tokens(policy: Any, row: Rollout) -> Row:
    """Prompt and sampled tokens.

    Raises:
        ValueError: when there is no token, a token that sampling never gives, numbers for another number of tokens, or
            a KL weight below 0.
    """
    n = len(row.token_ids)
    if not n:
        raise ValueError(f"rollout from '{row.source}' has no token: a policy that is asked for text alone keeps none")
    if len(row.logprobs) != n or len(row.advantages) not in (1, n):
        raise ValueError(
            f"rollout from '{row.source}': {len(row.logprobs)} log-probabilities and {len(row.advantages)} advantages "
            f"for {n} tokens, expected a log-probability a token and an advantage a token or one for all"
        )
    if not 0 <= row.kl < math.inf:
        raise ValueError(
            f"rollout from '{row.source}': its KL weight is {row.kl}, expected a finite number of 0 or more"
        )
    check_completion(row.source, row.token_ids, policy.banned_in_completion)
    return Row(policy.encoder.prompt(row.prompt), row.token_ids)


def rollout_input(policy: Any, rows: Sequence[Rollout], read: Read = plainly) -> LossInput:
    """Rollouts to per-token log-probabilities (B, T), those they were sampled with, and advantages.

    Advantages are (B, 1) when every row has one for all its tokens, else (B, T).
    """
    tokens = [rollout_tokens(policy, row) for row in rows]
    out = read(policy, tokens)
    lengths = [len(row.token_ids) for row in rows]
    names = [f"rollout from '{row.source}'" for row in rows]
    if all(len(row.advantages) == 1 for row in rows):
        advantages = torch.tensor([row.advantages for row in rows], dtype=out.logps.dtype, device=out.logps.device)
    else:
        sizes = zip((row.advantages for row in rows), lengths, strict=True)
        each = [a * n if len(a) == 1 else a for a, n in sizes]
        advantages = padded(each, lengths, out.logps, names, "advantages for")
    scored = [row.ref_logps for row in rows if isinstance(row, ScoredRollout)]
    reference = padded(scored, lengths, out.logps, names, "its reference scored") if len(scored) == len(rows) else None
    return LossInput(
        out.logps,
        out.mask,
        torch.ones(len(rows), device=out.logps.device),
        ref_logps=reference,
        old_logps=padded([row.logprobs for row in rows], lengths, out.logps, names, "sampled"),
        advantages=advantages,
        kl=torch.tensor([row.kl for row in rows], dtype=out.logps.dtype, device=out.logps.device),
        names=tuple(row.source for row in rows),
    )
