"""What a model remembers while it writes many replies to each prompt: the prompt once, each reply's own tokens apart.

A query attends to its prompt together with all other replies to that prompt, in one matrix product, and to its own
tokens apart; the two are joined by their normalisers, which is exact. So the prompt's keys and values are neither
copied N times nor read N times a token, and prompts may join or leave between two tokens. The slow oracle is the copied
cache of `models.copies` (tests/models/test_split_attention.py).

Paper: Hydragen, Juravsky et al. 2024, arXiv:2402.05099, equations 3 to 5.
Differs: rows that start at different times stand side by side, so both parts have a mask; no training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from mmevolve.models.cache import RoomyLayer
from mmevolve.models.parts import plain, trunk

NAME = "mmevolve_split"
BENT_BY = ("attn_logit_softcapping", "sinks")  # Gemma 2 and gpt-oss keep under these names what changes their scores
_reading: ContextVar[SharedPrompts] = ContextVar("split_attention")


def can_share(model: Any, cache: Cache) -> bool:
    """Whether all of a model's layers keep every token and attend by the stock dense attention and nothing more."""
    implementations = {config._attn_implementation for config in _configs(model)}
    bends = any(getattr(layer, name, None) is not None for layer in _layers(model) for name in BENT_BY)
    return implementations == {"sdpa"} and not bends and all(type(layer) is DynamicLayer for layer in cache.layers)


class SharedPrompts:
    """Prompts G, rows B; row b continues prompt `owner[b]`.

    Attributes:
        owner: (B,) index of each row's prompt.
        length: (G,) tokens of each prompt.
        said: (B,) own tokens of each row.
        offset: (B, 1) how far a row's next position is from its number of tokens.
    """

    can_join = True

    def __init__(self, model: Any):
        self.model = model
        self.cache = DynamicCache()
        self.owner = self.length = self.said = torch.zeros(0, dtype=torch.long, device=model.device)
        self.offset = torch.zeros(0, 1, dtype=torch.long, device=model.device)
        self._prompts: list[tuple[torch.Tensor, torch.Tensor]] = []  # a layer: keys, values (G, heads, P, size)
        self._configs = _configs(model)

    def join(self, cache: Cache, mask: torch.Tensor, offset: torch.Tensor, n: int) -> None:
        """Add the prompts that a model has just read, each with `n` rows that have said nothing yet.

        Args:
            cache: of the pass over the prompts.
            mask: (G', P') of the prompts, left-padded.
            offset: (G', 1), see the attributes.
            n: rows a prompt.
        """
        begun, rows = len(self.length), n * len(mask)
        owner = begun + torch.arange(len(mask), device=mask.device).repeat_interleave(n)
        self.owner = torch.cat([self.owner, owner])
        self.length = torch.cat([self.length, mask.sum(-1)])
        self.said = torch.cat([self.said, self.said.new_zeros(rows)])
        self.offset = torch.cat([self.offset, offset.repeat_interleave(n, 0)])
        for i, layer in enumerate(cache.layers):
            new = (layer.keys, layer.values)
            if begun == 0:
                self._prompts.append(new)
                first = DynamicLayer()
                first.update(*(x.new_zeros(rows, x.shape[1], 0, x.shape[3]) for x in new))
                self.cache.layers.append(RoomyLayer(first))
            else:
                old = self._prompts[i]
                self._prompts[i] = tuple(_stack(a, b) for a, b in zip(old, new, strict=True))
                self.cache.layers[i].add_rows(rows)
        self._layout()

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all rows but these, prompts that no row continues, and columns that nobody uses."""
        prompts, self.owner = self.owner[rows].unique(return_inverse=True)
        self.length, self.said, self.offset = self.length[prompts], self.said[rows], self.offset[rows]
        width, own = int(self.length.max()), int(self.said.max())
        for i, layer in enumerate(self.cache.layers):
            layer.batch_select_indices(rows, last=own)
            if len(prompts) < len(self._prompts[i][0]):
                self._prompts[i] = tuple(x[prompts, :, -width:] for x in self._prompts[i])
        self._layout()

    def step(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) after one more token (B,) of each row."""
        at = (self.length[self.owner] + self.said)[:, None] + self.offset
        self.said = self.said + 1
        self._own_bias = _left_bias(self.said, self.cache.layers[0].keys.shape[2] + 1)
        with self._attending():
            out = self.model(input_ids=ids[:, None], position_ids=at, past_key_values=self.cache, use_cache=True)
        return out.logits[:, -1]

    def attend(self, layer: int, query: torch.Tensor, scaling: float) -> torch.Tensor:
        """(B, H, 1, D) queries to (B, 1, H, D) outputs."""
        rows, heads, _, size = query.shape
        keys, values = self.cache.layers[layer].keys, self.cache.layers[layer].values
        stem_keys, stem_values = self._prompts[layer]
        shared = keys.shape[1]
        query = (query * scaling).reshape(rows, shared, heads // shared, size)
        own, own_total = _attention(query, keys, values, self._own_bias)
        stem, stem_total = _attention(self._gather(query), stem_keys, stem_values, self._stem_bias)
        stem, stem_total = self._scatter(stem, query), self._scatter(stem_total, query)
        share = torch.sigmoid(stem_total - own_total)  # of the whole softmax that falls on the prompt
        return torch.lerp(own.float(), stem.float(), share).to(query.dtype).reshape(rows, 1, heads, size)

    def _layout(self) -> None:
        """Where each row's queries stand among those of its prompt."""
        counts = torch.bincount(self.owner, minlength=len(self.length))
        self._wide = int(counts.max())
        order = self.owner.argsort(stable=True)
        place = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[self.owner[order]]
        self._slot = torch.empty_like(order)
        self._slot[order] = self.owner[order] * self._wide + place
        self._even = torch.equal(self._slot, torch.arange(len(counts) * self._wide, device=order.device))
        self._stem_bias = _left_bias(self.length, self._prompts[0][0].shape[2])

    def _gather(self, query: torch.Tensor) -> torch.Tensor:
        """(B, h, g, D) of the rows to (G, h, rows a prompt * g, D)."""
        _, h, g, size = query.shape
        prompts = len(self.length)
        if not self._even:
            query = query.new_zeros(prompts * self._wide, h, g, size).index_copy_(0, self._slot, query)
        return query.view(prompts, self._wide, h, g, size).transpose(1, 2).reshape(prompts, h, self._wide * g, size)

    def _scatter(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The way back."""
        _, h, g, _ = like.shape
        rows = x.view(len(self.length), h, self._wide, g, -1).transpose(1, 2).reshape(-1, h, g, x.shape[-1])
        return rows if self._even else rows[self._slot]

    @contextmanager
    def _attending(self) -> Iterator[None]:
        before = [config._attn_implementation for config in self._configs]
        token = _reading.set(self)
        try:
            for config in self._configs:
                config._attn_implementation = NAME
            yield
        finally:
            _reading.reset(token)
            for config, implementation in zip(self._configs, before, strict=True):
                config._attn_implementation = implementation


def _attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention of (B, h, q, D) scaled queries over (B, h, t, D), and the log of its normaliser (B, h, q, 1)."""
    scores = (query @ keys.transpose(-1, -2)).float()
    if bias is not None:
        scores += bias
    shares = scores.softmax(-1)
    total = scores.amax(-1, keepdim=True) - shares.amax(-1, keepdim=True).log()
    return shares.to(values.dtype) @ values, total


def _left_bias(length: torch.Tensor, width: int) -> torch.Tensor | None:
    """(B, 1, 1, width) to add to scores of rows whose last `length` columns are theirs; None when all are."""
    if bool((length == width).all()):
        return None
    foreign = torch.arange(width, device=length.device) < (width - length)[:, None]
    return torch.zeros(foreign.shape, device=length.device).masked_fill_(foreign, -torch.inf)[:, None, None]


def _stack(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """(G, h, P, D) of two sets of prompts, filled up on the left."""
    width = max(old.shape[2], new.shape[2])
    out = old.new_zeros(len(old) + len(new), old.shape[1], width, old.shape[3])
    out[: len(old), :, width - old.shape[2] :] = old
    out[len(old) :, :, width - new.shape[2] :] = new
    return out


def _configs(model: Any) -> list[Any]:
    """The configs that a decoder's attention layers and its masks read the kind of attention from."""
    text = plain(model).config.get_text_config()
    return list({id(config): config for config in (text, *(m.config for m in _layers(model)))}.values())


def _layers(model: Any) -> list[Any]:
    """Its attention modules."""
    return [m for m in trunk(model).modules() if hasattr(m, "layer_idx") and hasattr(m, "config")]


def _forward(
    module: Any, query: torch.Tensor, key: Any, value: Any, attention_mask: Any, *, scaling: float, **rest: Any
) -> tuple[torch.Tensor, None]:
    """The attention that transformers calls while `SharedPrompts` steps; keys and values it finds there."""
    for name in ("sliding_window", "softcap", "s_aux", "position_bias"):
        if rest.get(name) is not None:
            raise NotImplementedError(f"{type(module).__name__} attends with `{name}`, unknown to shared prompts")
    return _reading.get().attend(module.layer_idx, query, scaling), None


AttentionInterface.register(NAME, _forward)
