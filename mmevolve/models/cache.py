"""What a model remembers of a prompt: a key/value cache with room to grow, and where positions are kept.

The stock dynamic layer concatenates at every token, which copies the whole cache each time; this one writes into spare
room and copies only when that is used up. Values and shapes are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 32  # tokens added at a time


class RoomyLayer(DynamicLayer):
    """Drop-in for `DynamicLayer` after the prompt has been read.

    Attributes:
        keys: (B, heads, T, head size), a view of the buffer.
        values: same shape.
    """

    def __init__(self, layer: DynamicLayer):
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self._fill(layer.keys, layer.values)

    def _fill(self, keys: torch.Tensor, values: torch.Tensor, room: int = ROOM) -> None:
        b, h, t, _ = keys.shape
        self._keys = keys.new_empty(b, h, t + room, keys.shape[-1])
        self._values = values.new_empty(b, h, t + room, values.shape[-1])
        self._keys[:, :, :t] = keys
        self._values[:, :, :t] = values
        self._show(t)

    def _show(self, length: int) -> None:
        self.keys, self.values = self._keys[:, :, :length], self._values[:, :, :length]

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object):
        old, new = self.keys.shape[2], key_states.shape[2]
        if old + new > self._keys.shape[2]:
            self._fill(self.keys, self.values, max(ROOM, new))
        self._keys[:, :, old : old + new] = key_states
        self._values[:, :, old : old + new] = value_states
        self._show(old + new)
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        self._fill(self.keys.repeat_interleave(repeats, 0), self.values.repeat_interleave(repeats, 0))

    def batch_select_indices(self, indices: torch.Tensor, last: int | None = None) -> None:
        """Keep these rows, and of their tokens the last so many where that is said."""
        begin = 0 if last is None else self.keys.shape[2] - last
        self._fill(self.keys[indices, :, begin:], self.values[indices, :, begin:])

    def add_rows(self, rows: int) -> None:
        """So many more rows at the end; what stands in their columns so far is zeros, to be masked."""
        self._fill(*(torch.cat([x, x.new_zeros(rows, *x.shape[1:])]) for x in (self.keys, self.values)))


def make_roomy(cache: Cache) -> Cache:
    """Swap every plain dynamic layer for a roomy one, in place; other kinds (sliding, linear) stay as they are."""
    cache.layers = [RoomyLayer(layer) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def rope_modules(model: Any) -> list[Any]:
    """Modules of multimodal rotary models that keep a position offset a row (`rope_deltas`); empty for other models."""
    return [module for module in model.modules() if "rope_deltas" in vars(module)]


def prompt_positions(ropes: list[Any], inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`position_ids` that do not count padding; nothing where the model lays images out by itself."""
    forget_positions(ropes)
    if ropes and "image_grid_thw" in inputs:
        return {}
    return {"position_ids": (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)}


def position_offsets(ropes: list[Any], mask: torch.Tensor) -> torch.Tensor:
    """(B, 1) how far each row's next position is from its number of tokens: images take fewer positions than tokens."""
    known = [module.rope_deltas for module in ropes if module.rope_deltas is not None]
    forget_positions(ropes)  # they belong to this batch's rows and must not reach the next one
    return known[0].to(mask) if known else mask.new_zeros(len(mask), 1)


def forget_positions(ropes: list[Any]) -> None:
    """Drop the offsets that the last batch left on the model."""
    for module in ropes:
        module.rope_deltas = None
