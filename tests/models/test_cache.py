"""The roomy cache layer holds what the stock layer holds."""

from __future__ import annotations

import pytest
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from mmevolve.models.cache import ROOM, RoomyLayer, make_roomy, position_offsets, prompt_positions, rope_modules


def states(rows, tokens, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, 2, tokens, 4, generator=generator) for _ in range(2))


def pair(rows=3, tokens=5):
    """A stock layer and a roomy one after the same prompt."""
    stock, prompt = DynamicLayer(), DynamicLayer()
    for layer in (stock, prompt):
        layer.update(*states(rows, tokens, 0))
    return stock, RoomyLayer(prompt)


def assert_same(stock, roomy):
    assert torch.equal(stock.keys, roomy.keys)
    assert torch.equal(stock.values, roomy.values)
    assert stock.get_seq_length() == roomy.get_seq_length()
    assert stock.get_mask_sizes(1) == roomy.get_mask_sizes(1)


@pytest.mark.parametrize("tokens", [1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM])
def test_tokens_are_kept_as_the_stock_layer_keeps_them(tokens):
    stock, roomy = pair()
    for t in range(tokens):
        new = states(3, 1, t + 1)
        stock.update(*new)
        keys, values = roomy.update(*new)
        assert keys is roomy.keys and values is roomy.values
    assert_same(stock, roomy)


def test_more_tokens_than_there_is_room_for_may_come_at_once():
    stock, roomy = pair()
    new = states(3, ROOM + 7, 1)
    stock.update(*new)
    roomy.update(*new)
    assert_same(stock, roomy)


def test_rows_are_repeated_and_dropped_as_in_the_stock_layer():
    stock, roomy = pair()
    for layer in (stock, roomy):
        layer.batch_repeat_interleave(2)
        layer.update(*states(6, 1, 1))
        layer.batch_select_indices(torch.tensor([0, 3, 5]))
        layer.update(*states(3, 1, 2))
    assert_same(stock, roomy)


def test_rows_keep_apart_after_they_were_copied():
    _, roomy = pair(rows=1)
    roomy.batch_repeat_interleave(2)
    roomy.update(*states(2, 1, 1))
    assert not torch.equal(roomy.keys[0, :, -1], roomy.keys[1, :, -1])
    assert torch.equal(roomy.keys[0, :, :-1], roomy.keys[1, :, :-1])


def test_only_plain_layers_are_swapped():
    cache = DynamicCache()
    plain, sliding = DynamicLayer(), DynamicSlidingWindowLayer(sliding_window=4)
    for layer in (plain, sliding):
        layer.update(*states(1, 3, 0))
    cache.layers = [plain, sliding]
    make_roomy(cache)
    assert [type(layer) for layer in cache.layers] == [RoomyLayer, DynamicSlidingWindowLayer]


def test_positions_do_not_count_padding():
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    assert prompt_positions([], {"attention_mask": mask})["position_ids"].tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]
    assert position_offsets([], mask).tolist() == [[0], [0]]


def test_offsets_are_taken_from_the_model_once(qwen, tiny):
    assert rope_modules(tiny.model) == []
    (module,) = rope_modules(qwen.model)
    module.rope_deltas = torch.tensor([[-3], [0]])
    mask = torch.ones(2, 4, dtype=torch.long)
    assert position_offsets([module], mask).tolist() == [[-3], [0]]
    assert module.rope_deltas is None
    assert position_offsets([module], mask).tolist() == [[0], [0]]
