"""Sampling that reads each prompt once: prefill, copy the cache for N replies, drop rows as they finish.

`generate(num_return_sequences=N)` of transformers repeats the pixels and the prompt N times before the first forward
pass; here the image is encoded and the prompt read once, whatever N is. The slow oracle is `generate` itself: greedy
tokens are equal (tests/models/test_decode.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmevolve.models.cache import make_roomy
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
    """
    ropes = [m for m in model.modules() if hasattr(m, "rope_deltas")]
    mask = inputs["attention_mask"]
    positions = {} if ropes else {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    out = model(**inputs, **positions, use_cache=True, logits_to_keep=1)
    cache = make_roomy(out.past_key_values)
    logits = out.logits[:, -1].float()
    keys = row_keys(seeds, knobs.n)
    if knobs.n > 1:
        cache.batch_repeat_interleave(knobs.n)
        logits, mask = logits.repeat_interleave(knobs.n, 0), mask.repeat_interleave(knobs.n, 0)
        _each_rope(ropes, lambda d: d.repeat_interleave(knobs.n, 0))
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
            _each_rope(ropes, lambda d, keep=keep: d[keep])
            ids, mask, rows, live = ids[keep], mask[keep], rows[live], live[live]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], -1)
        where = {} if ropes else {"position_ids": mask.sum(-1, keepdim=True) - 1}
        out = model(input_ids=ids[:, None], attention_mask=mask, past_key_values=cache, use_cache=True, **where)
        logits = out.logits[:, -1].float()
    _each_rope(ropes, lambda d: None)  # stale offsets must not leak into the next forward pass
    return replies


def _each_rope(modules: list[Any], change: Any) -> None:
    """Multimodal rotary models keep a per-row position offset on the module; it follows the rows."""
    for module in modules:
        if module.rope_deltas is not None:
            module.rope_deltas = change(module.rope_deltas)
