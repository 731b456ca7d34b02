"""Sampling that reads each prompt once and keeps the batch full: as rows finish, further prompts take their place.

`generate(num_return_sequences=N)` of transformers repeats the prompt N times before the first forward pass and goes on
until the longest reply ends; here a prompt is read once, whatever N is. The slow oracle is `generate` itself: greedy
tokens are equal (tests/models/test_decode.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmevolve.models.cache import position_offsets, prompt_positions, rope_modules
from mmevolve.models.copies import Copies
from mmevolve.models.draw import draw, row_keys
from mmevolve.models.encode import Row
from mmevolve.models.split_attention import SharedPrompts, can_share

COMPACT_BELOW = 0.8  # live share of the rows at which finished ones are dropped from the cache
REFILL_BELOW = 0.75  # live share of the room at which further prompts join
READ_TOKENS = 16384  # prompt tokens read in one pass


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
    prompts: Sequence[Row],
    knobs: Knobs,
    seeds: Sequence[int],
    *,
    read: Callable[[list[Row]], dict[str, Any]],
    room: int,
    end: frozenset[int],
    banned: tuple[int, ...],
    stopped: Callable[[list[int]], bool] | None = None,
) -> list[Drawn]:
    """N replies to each prompt, prompt by prompt.

    Args:
        model: a transformers image-text-to-text model in eval mode.
        prompts: what is continued; neighbours are read together, so those of like length should be neighbours.
        knobs: drawing settings.
        seeds: one a prompt.
        read: model inputs of some prompts: `input_ids` and `attention_mask` (P, T), left-padded, and the images.
        room: replies drawn side by side, those of one prompt at least.
        end: ids that finish a reply (kept as its last token).
        banned: ids never drawn: image placeholders, padding, role markers.
        stopped: `stopped(ids) -> bool`, asked after each token of a reply; None when there are no stop strings.

    Returns:
        len(prompts) * n replies.

    Raises:
        FloatingPointError: when the model's logits are not numbers.
    """
    keys = row_keys(list(seeds), knobs.n)
    replies = [Drawn([], []) for _ in range(len(keys))]
    batch = _Batch(model, knobs.n)
    begun = 0  # prompts that were read
    while True:
        if begun < len(prompts) and batch.calls_for_more(room):
            batch.drop()
            while begun < len(prompts) and (count := batch.space(prompts[begun:], room)):
                batch.join(read(list(prompts[begun : begun + count])), begun)
                begun += count
        if not len(batch.rows):
            return replies
        ages = np.array([len(replies[row].ids) for row in batch.rows])
        ids, said = _draw(batch.logits, keys[batch.rows], ages, knobs, banned)
        for at, (row, token, logprob) in enumerate(zip(batch.rows, ids.tolist(), said.tolist(), strict=True)):
            if not batch.live[at]:
                continue
            if math.isnan(logprob):
                raise FloatingPointError("the policy's logits are not numbers: its weights have diverged")
            reply = replies[row]
            reply.ids.append(token)
            reply.logprobs.append(logprob)
            reply.ended = token in end or (stopped is not None and stopped(reply.ids))
            batch.live[at] = not reply.ended and len(reply.ids) < knobs.max_tokens
        batch.step(ids)


class _Batch:
    """Replies that are drawn side by side.

    Attributes:
        rows: which reply each row is.
        live: which rows go on.
        logits: (B, V) float32, of each row's next token.
    """

    def __init__(self, model: Any, n: int):
        self.model = model
        self.n = n
        self.ropes = rope_modules(model)
        self._empty()

    def _empty(self) -> None:
        self.memory: SharedPrompts | Copies | None = None
        self.rows = np.zeros(0, dtype=np.int64)
        self.live = np.zeros(0, dtype=bool)
        self.logits: Any = None

    def calls_for_more(self, room: int) -> bool:
        if self.memory is None:
            return True
        return self.memory.can_join and self.live.sum() <= min(REFILL_BELOW * room, room - self.n)

    def space(self, waiting: Sequence[Row], room: int) -> int:
        """How many of the waiting prompts can be read now, in one pass."""
        if self.memory is None:
            least, wanted = 1, max(1, room // self.n)
        else:
            least, wanted = 0, (room - len(self.rows)) // self.n if self.memory.can_join else 0
        width = count = 0
        for row in waiting[:wanted]:
            width = max(width, len(row.prompt.ids) + len(row.completion))
            if count and (count + 1) * width > READ_TOKENS:
                break
            count += 1
        return max(count, least)

    def join(self, inputs: dict[str, Any], first: int) -> None:
        """Read prompts, the first of which has this number, and begin `n` replies to each."""
        mask = inputs["attention_mask"]
        out = self.model(**inputs, **prompt_positions(self.ropes, inputs), use_cache=True, logits_to_keep=1)
        offset = position_offsets(self.ropes, mask)
        if self.memory is None:
            self.memory = (SharedPrompts if can_share(self.model, out.past_key_values) else Copies)(self.model)
        self.memory.join(out.past_key_values, mask, offset, self.n)
        logits = out.logits[:, -1].float().repeat_interleave(self.n, 0)
        self.logits = logits if self.logits is None else torch.cat([self.logits, logits])
        new = np.arange(first * self.n, (first + len(mask)) * self.n)
        self.rows = np.concatenate([self.rows, new])
        self.live = np.concatenate([self.live, np.ones(len(new), dtype=bool)])

    def drop(self) -> None:
        """Finished rows leave."""
        if len(self.rows) and not self.live.all():
            keep = torch.from_numpy(np.flatnonzero(self.live)).to(self.logits.device)
            self.memory.keep(keep)
            self.logits, self.rows, self.live = self.logits[keep], self.rows[self.live], self.live[self.live]

    def step(self, ids: torch.Tensor) -> None:
        """One more token (B,) of each row."""
        if not self.live.any():
            self._empty()
            return
        if self.live.mean() < COMPACT_BELOW:
            ids = ids[torch.from_numpy(self.live).to(ids.device)]
            self.drop()
        self.logits = self.memory.step(ids).float()


def _draw(
    logits: torch.Tensor, keys: np.ndarray, ages: np.ndarray, knobs: Knobs, banned: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (B,) and their log-probabilities before anything was banned, tempered or cut off."""
    allowed = logits.clone()
    allowed[:, list(banned)] = -torch.inf
    ids = draw(allowed, keys, ages, temperature=knobs.temperature, top_k=knobs.top_k, top_p=knobs.top_p)
    return ids, logits.gather(-1, ids[:, None])[:, 0] - logits.logsumexp(-1)
