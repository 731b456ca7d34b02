"""Draw tokens so that a sample depends on its own seed alone.

Token t of reply j to a prompt with seed s is found by inverting the cumulative distribution at a uniform number that is
a pure function of (s, j, t): batch size, order, padding and worker count do not enter.
"""

from __future__ import annotations

import numpy as np
import torch

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele et al. 2014): uint64 in, well-mixed uint64 out."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def row_keys(seeds: list[int], n: int) -> np.ndarray:
    """One uint64 key a (prompt, reply index), prompt by prompt: shape (len(seeds) * n,)."""
    with np.errstate(over="ignore"):
        base = mix(np.asarray(seeds, dtype=np.uint64) + _GOLDEN)
        index = mix(np.arange(n, dtype=np.uint64) * _GOLDEN + np.uint64(1))
        return mix(base[:, None] ^ index[None, :]).reshape(-1)


def uniforms(keys: np.ndarray, token: int | np.ndarray) -> np.ndarray:
    """A float64 in [0, 1) for each row at its token position (B,), or at one position of all."""
    with np.errstate(over="ignore"):
        bits = mix(keys + (np.asarray(token).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def truncate(logits: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """Set logits outside the top k, then outside the top-p nucleus (of what is left), to -inf. Shape (B, V)."""
    if 0 < top_k < logits.shape[-1]:
        kth = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p < 1.0:
        ordered, index = logits.sort(dim=-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        beyond = before >= top_p
        beyond[:, 0] = False  # the likeliest token always stays
        ordered = ordered.masked_fill(beyond, -torch.inf)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, index, ordered)
    return logits


def draw(
    logits: torch.Tensor,
    keys: np.ndarray,
    token: int | np.ndarray,
    *,
    temperature: float,
    top_k: int,
    top_p: float,
) -> torch.Tensor:
    """Token ids (B,) drawn from logits (B, V) at each row's token position; temperature 0 takes the largest."""
    if temperature == 0.0:
        return logits.argmax(-1)
    probabilities = truncate(logits / temperature, top_k, top_p).double().softmax(-1)
    cumulative = probabilities.cumsum(-1)
    u = torch.from_numpy(uniforms(keys, token)).to(logits.device)
    # The first token whose cumulative probability exceeds u; scaled so that rounding can never run past the end.
    chosen = torch.searchsorted(cumulative, (u * cumulative[:, -1])[:, None], right=True)[:, 0]
    return chosen.clamp(max=logits.shape[-1] - 1)
