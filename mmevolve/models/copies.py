"""What a model remembers while it writes many replies to each prompt: a copy of the whole cache for every reply.

Works for every kind of layer (sliding windows, states, any attention), and is the slow oracle of
`models.split_attention`. The prompts of a batch are read together and no more can join before all have left.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache

from mmevolve.models.cache import make_roomy


class Copies:
    """One row a reply, prompt by prompt.

    Attributes:
        mask: (B, T) of prompts and replies so far.
        offset: (B, 1) how far a row's next position is from its number of tokens.
    """

    can_join = False

    def __init__(self, model: Any):
        self.model = model

    def join(self, cache: Cache, mask: torch.Tensor, offset: torch.Tensor, n: int) -> None:
        """Begin with the prompts that a model has just read; see `SharedPrompts.join`."""
        self.cache = make_roomy(cache)
        if n > 1:
            self.cache.batch_repeat_interleave(n)
        self.mask, self.offset = mask.repeat_interleave(n, 0), offset.repeat_interleave(n, 0)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these."""
        self.cache.batch_select_indices(rows)
        self.mask, self.offset = self.mask[rows], self.offset[rows]

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) after one more token (B,) of each row."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], -1)
        at = self.mask.sum(-1, keepdim=True) - 1 + self.offset
        out = self.model(
            input_ids=ids[:, None],
            attention_mask=self.mask,
            position_ids=at,
            past_key_values=self.cache,
            use_cache=True,
        )
        return out.logits[:, -1]
