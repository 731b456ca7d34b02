"""Reading several completions of one prompt: the prompt is read once and its cache copied, as in sampling.

A plain pass reads image and prompt again for every completion; with N attempts at a question, or several steps asked
about one picture, that is most of the work. The slow oracle is the plain pass of `models.score` (tests/models/
test_prefix.py); without gradients only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from mmevolve.models.cache import make_roomy, position_offsets, prompt_positions, rope_modules
from mmevolve.models.encode import Row, collate
from mmevolve.models.parts import trunk


def shared_states(model: Any, rows: list[Row], *, pad: int) -> torch.Tensor:
    """Hidden states (B, 1 + T, D) of rows whose completions are all filled; state t predicts completion token t.

    Args:
        model: a transformers image-text-to-text model in eval mode.
        rows: those of one prompt (the same `Encoded` object) share its pass.
        pad: id that fills rows up.
    """
    device = next(model.parameters()).device
    prompts = {id(row.prompt): row.prompt for row in rows}
    place = {key: k for k, key in enumerate(prompts)}
    owner = torch.tensor([place[id(row.prompt)] for row in rows], device=device)
    inputs = collate([Row(p) for p in prompts.values()], pad=pad, device=device, side="left")
    ropes = rope_modules(model)
    read = trunk(model)(**inputs, **prompt_positions(ropes, inputs), use_cache=True)
    mask = inputs["attention_mask"]
    at = mask.sum(-1, keepdim=True) + position_offsets(ropes, mask)
    first = read.last_hidden_state[:, -1:]
    cache = make_roomy(read.past_key_values)
    cache.batch_select_indices(owner)
    width = max(len(row.completion) for row in rows)
    ids = torch.full((len(rows), width), pad)
    said = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row.completion)] = torch.tensor(row.completion)
        said[i, : len(row.completion)] = 1
    rest = trunk(model)(
        input_ids=ids.to(device),
        attention_mask=torch.cat([mask[owner], said.to(mask)], -1),
        position_ids=at[owner] + torch.arange(width, device=device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return torch.cat([first[owner], rest], dim=1)


def shared_batches(rows: list[Row], budget: int) -> Iterator[list[int]]:
    """Indices of rows in batches of at most `budget` padded tokens (one prompt at least).

    Rows of one prompt stay together; prompts of like length follow each other, so that little is padding.
    """
    owned: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        owned.setdefault(id(row.prompt), []).append(i)
    longest = {key: max(len(rows[i].completion) for i in mine) for key, mine in owned.items()}
    order = sorted(owned.values(), key=lambda mine: (-_length(rows, mine), -longest[id(rows[mine[0]].prompt)]))
    batch: list[int] = []
    prompt = said = 0
    for mine in order:
        tall = max(said, longest[id(rows[mine[0]].prompt)])
        if batch and (len(batch) + len(mine)) * (prompt + tall) > budget:
            yield batch
            batch, prompt, tall = [], 0, longest[id(rows[mine[0]].prompt)]
        batch = batch + mine
        prompt, said = max(prompt, _length(rows, mine)), tall
    if batch:
        yield batch


def _length(rows: list[Row], mine: list[int]) -> int:
    return len(rows[mine[0]].prompt.ids)
