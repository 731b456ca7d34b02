"""Log-probabilities, entropies and hidden states of given completions.

The vocabulary projection is applied to completion positions only, a chunk of tokens at a time, in float32: no
(batch, length, vocabulary) tensor is ever held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from mmevolve.models.cache import forget_positions, prompt_positions, rope_modules
from mmevolve.models.encode import Row
from mmevolve.models.parts import head, trunk

CHUNK_TOKENS = 1024


@dataclass(frozen=True)
class Scored:
    """Per-token numbers of a batch of completions, right-padded with zeros.

    Attributes:
        logps: (B, T) natural-log probability of each completion token.
        entropies: (B, T) nats, without gradient.
        mask: (B, T) 1 on completion tokens.
        log_sum_sq: (B, T) log of the sum of squared probabilities over the vocabulary, without gradient (WPO).
    """

    logps: torch.Tensor
    entropies: torch.Tensor
    mask: torch.Tensor
    log_sum_sq: torch.Tensor


def hidden_states(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Last hidden states (B, T, D) of a right-padded batch, before the vocabulary projection."""
    ropes = rope_modules(model)
    hidden = trunk(model)(**inputs, **prompt_positions(ropes, inputs), use_cache=False).last_hidden_state
    forget_positions(ropes)
    return hidden


def score(model: Any, inputs: dict[str, torch.Tensor], rows: list[Row]) -> Scored:
    """Score each row's completion; gradients flow when they are enabled."""
    return score_hidden(model, hidden_states(model, inputs), rows, before(rows))


def before(rows: list[Row]) -> list[int]:
    """Where, in a plain pass, the state stands that predicts each row's first completion token."""
    return [len(row.prompt.ids) - 1 for row in rows]


def score_hidden(model: Any, hidden: torch.Tensor, rows: list[Row], first: Sequence[int]) -> Scored:
    """Score completions whose hidden states (B, T, D) are there already.

    Args:
        model: for its vocabulary projection.
        hidden: states of a plain pass, or of `shared_states`.
        rows: whose completions.
        first: index of the state that predicts each row's first completion token: `before(rows)`, or zeros.
    """
    width = max(len(r.completion) for r in rows)
    where, targets = [], []
    for i, (row, start) in enumerate(zip(rows, first, strict=True)):
        where += [(i, start + t, t) for t in range(len(row.completion))]
        targets += row.completion
    b, s, t = torch.tensor(where, device=hidden.device).T
    states, target = hidden[b, s], torch.tensor(targets, device=hidden.device)
    parts = [
        _chunk(head(model), states[k : k + CHUNK_TOKENS], target[k : k + CHUNK_TOKENS])
        for k in range(0, len(target), CHUNK_TOKENS)
    ]
    logps, entropies, mask, log_sum_sq = torch.zeros(4, len(rows), width, device=hidden.device)
    said, spread, peak = (torch.cat(part) for part in zip(*parts, strict=True))
    logps = logps.index_put((b, t), said)
    entropies[b, t] = spread
    mask[b, t] = 1.0
    log_sum_sq[b, t] = peak
    return Scored(logps, entropies, mask, log_sum_sq)


@torch.no_grad()
def path_logps(
    model: Any, states: torch.Tensor, at: Sequence[Sequence[int]], said: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Log-probabilities (B, T) of tokens, zero past each row's last; what several rows share is projected once.

    Args:
        model: for its vocabulary projection.
        states: (M, D), as `tree.tree_states` gives them.
        at: of each row, the state that predicts each token.
        said: of each row, its tokens.
    """
    where = np.fromiter((s for own in at for s in own), dtype=np.int64)
    tokens = np.fromiter((t for own in said for t in own), dtype=np.int64)
    base = int(tokens.max()) + 1
    pairs, owner = np.unique(where * base + tokens, return_inverse=True)
    state, target = (torch.from_numpy(x).to(states.device) for x in np.divmod(pairs, base))
    parts = []
    for k in range(0, len(pairs), CHUNK_TOKENS):
        logits = head(model)(states[state[k : k + CHUNK_TOKENS]]).float()
        parts.append(logits.gather(-1, target[k : k + CHUNK_TOKENS, None])[:, 0] - logits.logsumexp(-1))
    lengths = torch.tensor([len(own) for own in said])
    filled = torch.arange(int(lengths.max())) < lengths[:, None]
    logps = torch.zeros(filled.shape, device=states.device)
    logps[filled.to(states.device)] = torch.cat(parts)[torch.from_numpy(owner).to(states.device)]
    return logps


def _chunk(head: Any, states: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each token three numbers (`Scored`). Recomputed in the backward pass, so logits are never kept."""
    if torch.is_grad_enabled() and states.requires_grad:
        return checkpoint(_project, head, states, target, use_reentrant=False)
    return _project(head, states, target)


def _project(head: Any, states: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits = head(states).float()
    logs = logits - logits.logsumexp(-1, keepdim=True)
    with torch.no_grad():
        probabilities = logs.exp()
        log_sum_sq = 2 * probabilities.norm(dim=-1).log()  # at least -log of the vocabulary's size: never log 0
        entropies = -probabilities.mul_(logs).sum(-1)
    return logs.gather(-1, target[:, None])[:, 0], entropies, log_sum_sq
