"""Sampling that reads each prompt once: prefill, copy the cache for N replies, drop rows as they finish.

`generate(num_return_sequences=N)` of transformers repeats the pixels and the prompt N times before the first forward
pass; here the image is encoded and the prompt read once, whatever N is. The slow oracle is `generate` itself: greedy
tokens are equal (tests/models/test_decode.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmevolve.models.cache import make_roomy, position_offsets, prompt_positions, rope_modules
from mmevolve.models.draw import draw, row_keys

COMPACT_BELOW = 0.8  # live share of the rows at which finished ones are dropped from the cache


@dataclass(frozen=True)
class Knobs:
    """How to draw; see `VLM.generate`."""

    n: int = 1
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    max_tokens: int = 1024


@dataclass
class Drawn:
    """One reply's tokens and their log-probabilities under the untempered, untruncated policy."""

    ids: list[int]
    logprobs: list[float]
    ended: bool = False


@torch.inference_mode()
def decode(
    model: Any,
    inputs: dict[str, torch.Tensor],
    knobs: Knobs,
    seeds: list[int],
    *,
    end: frozenset[int],
    banned: tuple[int, ...],
    stopped: Any = None,
) -> list[Drawn]:
    """N replies to each left-padded prompt, prompt by prompt.

    Args:
        model: a transformers image-text-to-text model in eval mode.
        inputs: `input_ids` and `attention_mask` (P, T), left-padded, and the image tensors.
        knobs: drawing settings.
        seeds: one a prompt.
        end: ids that finish a reply (kept as its last token).
        banned: ids never drawn: image placeholders, padding, role markers.
        stopped: `stopped(ids) -> bool`, asked after each token of a live reply; None when there are no stop strings.

    Returns:
        P * n replies.

    Raises:
        FloatingPointError: when the model's logits are not numbers.
    """
    ropes = rope_modules(model)
    mask = inputs["attention_mask"]
    out = model(**inputs, **prompt_positions(ropes, inputs), use_cache=True, logits_to_keep=1)
    offset = position_offsets(ropes, mask)
    cache = make_roomy(out.past_key_values)
    logits = out.logits[:, -1].float()
    keys = row_keys(seeds, knobs.n)
    if knobs.n > 1:
        cache.batch_repeat_interleave(knobs.n)
        logits, mask, offset = (x.repeat_interleave(knobs.n, 0) for x in (logits, mask, offset))
    replies = [Drawn([], []) for _ in range(len(keys))]
    rows = np.arange(len(keys))  # which reply each live row of the batch is
    live = np.ones(len(keys), dtype=bool)
    for t in range(knobs.max_tokens):
        allowed = logits.clone()
        allowed[:, list(banned)] = -torch.inf
        ids = draw(allowed, keys[rows], t, temperature=knobs.temperature, top_k=knobs.top_k, top_p=knobs.top_p)
        said = (logits.gather(-1, ids[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
        for row, (token, logprob) in enumerate(zip(ids.tolist(), said, strict=True)):
            if not live[row]:
                continue
            if math.isnan(logprob):
                raise FloatingPointError("the policy's logits are not numbers: its weights have diverged")
            reply = replies[rows[row]]
            reply.ids.append(token)
            reply.logprobs.append(logprob)
            if token in end or (stopped is not None and stopped(reply.ids)):
                reply.ended, live[row] = True, False
        if not live.any() or t + 1 == knobs.max_tokens:
            break
        if live.mean() < COMPACT_BELOW:
            keep = torch.from_numpy(np.flatnonzero(live)).to(ids.device)
            cache.batch_select_indices(keep)
            ids, mask, offset, rows, live = ids[keep], mask[keep], offset[keep], rows[live], live[live]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], -1)
        at = mask.sum(-1, keepdim=True) - 1 + offset
        out = model(input_ids=ids[:, None], attention_mask=mask, position_ids=at, past_key_values=cache, use_cache=True)
        logits = out.logits[:, -1].float()
    return replies
