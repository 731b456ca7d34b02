"""Several completions of one prompt in one pass with gradients: the prompt is read once, each completion branches off.

A packed row is `[prompt | padding | completion 1 | completion 2 | ...]`. Every completion goes on from the prompt's own
positions and sees the prompt and itself, not its neighbours, so that states and gradients are those of separate rows.
The prompt's part of the attention stays plainly causal, without a mask; only the completions' part, a few rows of it,
is masked. Nothing is cached, so gradient checkpointing works as in any pass; as it reads layers again in the backward
pass, that must then run inside `packing`, too. The slow oracle is the plain pass of `models.score`
(tests/models/test_packed.py).

Papers: Wang and Hegde 2024, "Accelerating Direct Preference Optimization with Prefix Sharing", arXiv:2410.20305; Liu
et al. 2025, "Prefix Grouper", arXiv:2506.05433. Differs: images stand in the prompt; any number of branches a prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from mmevolve.models.cache import forget_positions, rope_modules
from mmevolve.models.encode import Row, collate
from mmevolve.models.parts import plain, trunk
from mmevolve.models.score import before, hidden_states, score_hidden

ATTENTION = "mmevolve_packed"
APART = {torch.float32: 1e-3, torch.float64: 1e-6}  # of log-probabilities, by which two passes may differ
APART_HALF = 0.2


def packed_states(model: Any, rows: Sequence[Row], *, pad: int) -> torch.Tensor:
    """Hidden states (B, 1 + T, D), with gradients; state t predicts completion token t, as in `shared_states`.

    Args:
        model: one for which `obstacle` is empty.
        rows: those of one prompt (the same `Encoded` object) share its pass.
        pad: id that fills rows up.
    """
    device = next(model.parameters()).device
    owned = by_prompt(rows)
    inputs = collate([Row(rows[mine[0]].prompt) for mine in owned], pad=pad, device=device, side="right")
    read = inputs.pop("attention_mask")
    positions = prompt_positions(model, inputs, read)
    width, room = read.shape[1], max(sum(len(rows[i].completion) for i in mine) for mine in owned)
    ids = torch.full((len(owned), room), pad)
    after = torch.zeros_like(ids)  # how far past its prompt each completion token stands
    branch = torch.full_like(ids, -1)
    where: list[tuple[int, int]] = [(0, 0)] * len(rows)
    for k, mine in enumerate(owned):
        start = 0
        for i in mine:
            end = start + len(rows[i].completion)
            ids[k, start:end] = torch.tensor(rows[i].completion)
            after[k, start:end] = torch.arange(end - start)
            branch[k, start:end] = i
            where[i] = (k, start)
            start = end
    following = positions.masked_fill(read == 0, -1).amax((0, -1) if positions.dim() == 3 else -1) + 1
    said = (following[:, None] + after.to(device)).expand(*positions.shape[:-1], room)
    for name in [name for name in inputs if _like_ids(inputs[name], read)]:
        more = ids.to(device) if name == "input_ids" else read.new_zeros(ids.shape)
        inputs[name] = torch.cat([inputs[name], more.to(inputs[name])], -1)
    mask, place = _mask(read, branch.to(device)), torch.cat([positions, said], -1)
    with packing(model):
        out = trunk(model)(**inputs, attention_mask=mask, position_ids=place, use_cache=False)
    forget_positions(rope_modules(model))
    return out.last_hidden_state[_picked(rows, where, read.sum(-1).tolist(), width, device)]


@contextmanager
def packing(model: Any) -> Iterator[None]:
    """Attention that understands packed rows; everything else is attended to as before."""
    config = trunk(model).get_decoder().config
    before = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def by_prompt(rows: Sequence[Row]) -> list[list[int]]:
    """Indices of the rows of each prompt, prompts in the order in which they first come."""
    owned: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        owned.setdefault(id(row.prompt), []).append(i)
    return list(owned.values())


def packed_attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **settings: Any
) -> tuple[torch.Tensor, None]:
    """Attention of a packed row; anything but a packed row is left to transformers' own.

    A mask of fewer rows than there are queries belongs to the last ones, the branches; what stands before is causal.
    """
    ahead = 0 if attention_mask is None else query.shape[2] - attention_mask.shape[2]
    if ahead <= 0:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    prompt = (query[:, :, :ahead], key[:, :, :ahead], value[:, :, :ahead])
    read = sdpa_attention_forward(module, *prompt, None, **settings)[0]
    said = sdpa_attention_forward(module, query[:, :, ahead:], key, value, attention_mask, **settings)[0]
    return torch.cat([read, said], dim=1), None


AttentionInterface.register(ATTENTION, packed_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def obstacle(model: Any) -> str:
    """Why completions of a prompt cannot share a pass with gradients; empty when nothing is seen from outside."""
    name = type(plain(model)).__name__
    if not hasattr(trunk(model), "get_decoder"):
        return f"{name} has no decoder of its own"
    config = trunk(model).get_decoder().config
    if config._attn_implementation != "sdpa":
        return f"{name} attends by '{config._attn_implementation}', and only 'sdpa' takes the mask of a packed row"
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention"}:
        return f"{name} has layers of {', '.join(sorted(kinds - {'full_attention'}))}"
    if not kinds and getattr(config, "sliding_window", None):
        return f"{name} has a sliding window"
    return ""


@torch.no_grad()
def disagreement(model: Any, rows: Sequence[Row], *, pad: int) -> str:
    """What a packed and a plain pass of the same rows make different; empty where they agree.

    Tells of models that read a prompt otherwise than `obstacle` can see, such as images that attend both ways. For a
    model in eval mode: dropout would differ.
    """
    rows = list(rows)
    states = packed_states(model, rows, pad=pad)
    ours = score_hidden(model, states, rows, [0] * len(rows)).logps
    inputs = collate(rows, pad=pad, device=states.device, side="right")
    theirs = score_hidden(model, hidden_states(model, inputs), rows, before(rows)).logps
    most = (ours - theirs).abs().max().item()
    if most <= APART.get(states.dtype, APART_HALF):
        return ""
    return f"{type(plain(model)).__name__}: log-probabilities of a shared and a plain pass differ by {most:.2g}"


def prompt_positions(model: Any, inputs: dict[str, Any], read: torch.Tensor) -> torch.Tensor:
    """(G, P), or (3, G, P) where the model lays images out in space."""
    ropes = rope_modules(model)
    forget_positions(ropes)
    if not ropes or "image_grid_thw" not in inputs:
        return (read.cumsum(-1) - 1).clamp(min=0)
    grids = {name: inputs[name] for name in ("mm_token_type_ids", "image_grid_thw") if name in inputs}
    return ropes[0].get_rope_index(input_ids=inputs["input_ids"], attention_mask=read, **grids)[0]


def _like_ids(value: Any, ids: torch.Tensor) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == ids.shape and not value.is_floating_point()


def _mask(read: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
    """(G, 1, T, P + T): what each completion token sees. Padding sees itself, so that nothing is divided by zero."""
    room = branch.shape[1]
    earlier = torch.ones(room, room, dtype=torch.bool, device=branch.device).tril()
    own = (branch[:, :, None] == branch[:, None, :]) & earlier
    prompt = (read[:, None, :] > 0) & (branch[:, :, None] >= 0)
    return torch.cat([prompt, own], -1)[:, None]


def _picked(
    rows: Sequence[Row], where: Sequence[tuple[int, int]], lengths: Sequence[int], width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which states are a row's: the prompt's last, then those of its completion; past its end they mean nothing."""
    most = max(len(row.completion) for row in rows)
    at = torch.zeros(len(rows), 1 + most, dtype=torch.long)
    for i, (row, (k, start)) in enumerate(zip(rows, where, strict=True)):
        at[i, 0] = lengths[k] - 1
        at[i, 1 : 1 + len(row.completion)] = width + start + torch.arange(len(row.completion))
    return torch.tensor([k for k, _ in where], device=device)[:, None], at.to(device)
