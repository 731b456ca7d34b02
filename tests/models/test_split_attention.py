"""One copy of a prompt for all its replies: what copied caches give, whoever joins or leaves."""

from __future__ import annotations

import pytest
import torch
from families import load, questions

from mmevolve.models import decode as decoding
from mmevolve.models.cache import position_offsets, prompt_positions, rope_modules
from mmevolve.models.copies import Copies
from mmevolve.models.encode import Row, collate
from mmevolve.models.split_attention import BENT_BY, NAME, SharedPrompts, can_share

ROWS = 3


def read(vlm, chats):
    """A pass over prompts: what `join` is given."""
    rows = [Row(vlm.encoder.prompt(chat)) for chat in chats]
    inputs = collate(rows, pad=vlm.pad, device=vlm.device, side="left")
    ropes = rope_modules(vlm.model)
    out = vlm.model(**inputs, **prompt_positions(ropes, inputs), use_cache=True, logits_to_keep=1)
    mask = inputs["attention_mask"]
    return out.past_key_values, mask, position_offsets(ropes, mask)


def said(tokens, rows, seed):
    return torch.randint(300, size=(tokens, rows), generator=torch.Generator().manual_seed(seed)) % 200


def shares(vlm):
    with torch.inference_mode():
        return can_share(vlm.model, read(vlm, questions()[3:])[0])


def same(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_logits_are_those_of_copied_caches(vlm):
    if not shares(vlm):
        assert any("sliding" in kind for kind in vlm.model.config.get_text_config().layer_types)
        return
    chats = questions()
    shared, copies = SharedPrompts(vlm.model), Copies(vlm.model)
    for memory in (shared, copies):
        memory.join(*read(vlm, chats), ROWS)
    for ids in said(3, ROWS * len(chats), 0):
        same(shared.step(ids), copies.step(ids))
    keep = torch.tensor([1, 2, 3, 9, 10, 11])  # of the third prompt nothing is left, of the others unlike many
    for memory in (shared, copies):
        memory.keep(keep)
    for ids in said(3, len(keep), 1):
        same(shared.step(ids), copies.step(ids))


@pytest.mark.parametrize("name", BENT_BY)
def test_a_model_that_bends_its_attention_scores_copies(tiny, name):
    assert shares(tiny)
    layer = next(m for m in tiny.model.modules() if hasattr(m, "layer_idx") and hasattr(m, "config"))
    setattr(layer, name, 30.0)
    try:
        assert not shares(tiny)
    finally:
        delattr(layer, name)
    assert shares(tiny)


@torch.inference_mode()
def test_prompts_that_join_later_change_nothing(vlm):
    if not shares(vlm):
        return
    early, late = questions()[2:], questions()[:2]
    shared, alone, other = SharedPrompts(vlm.model), Copies(vlm.model), Copies(vlm.model)
    for memory in (shared, alone):
        memory.join(*read(vlm, early), ROWS)
    for ids in said(40, 2 * ROWS, 0):  # more than the cache's spare room
        shared.step(ids), alone.step(ids)
    shared.join(*read(vlm, late), ROWS)
    other.join(*read(vlm, late), ROWS)
    for ids in said(3, 4 * ROWS, 1):
        out = shared.step(ids)
        same(out[: 2 * ROWS], alone.step(ids[: 2 * ROWS]))
        same(out[2 * ROWS :], other.step(ids[2 * ROWS :]))
    rows = torch.arange(2 * ROWS, 4 * ROWS)
    shared.keep(rows)  # those that joined later are left, and no column that only the others used
    (ids,) = said(1, 2 * ROWS, 2)
    same(shared.step(ids), other.step(ids))
    assert shared.cache.layers[0].keys.shape[2] == 4


@torch.inference_mode()
def test_a_prompt_is_kept_once_whatever_the_number_of_replies(tiny):
    sizes = []
    for n in (1, 64):
        memory = SharedPrompts(tiny.model)
        memory.join(*read(tiny, questions()[:1]), n)
        sizes.append(memory._prompts[0][0].shape)
    assert sizes[0] == sizes[1]


@torch.inference_mode()
def test_the_models_own_attention_is_put_back_even_after_an_error(tiny):
    config = tiny.model.config.get_text_config()
    memory = SharedPrompts(tiny.model)
    memory.join(*read(tiny, questions()[:1]), 2)
    with pytest.raises(IndexError):
        memory.step(torch.tensor([10**6, 0]))
    assert config._attn_implementation == "sdpa"
    assert NAME not in str(tiny.model.config.to_dict())


def test_a_model_with_sliding_windows_or_another_attention_copies(model_root):
    assert not shares(load("gemma3", model_root / "gemma3"))
    eager = load("tiny", model_root / "tiny")
    assert shares(eager)
    expected = eager.generate(questions(), max_tokens=6)
    eager.model.set_attn_implementation("eager")
    assert not shares(eager)
    assert [r[0].token_ids for r in eager.generate(questions(), max_tokens=6)] == [r[0].token_ids for r in expected]


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl", "gemma3"])
def test_a_batch_that_is_filled_up_again_draws_what_one_large_batch_draws(family, model_root, monkeypatch):
    vlm = load(family, model_root / family)
    chats, seeds = questions() * 3, list(range(12))
    knobs = {"n": 2, "temperature": 3.0, "max_tokens": 24, "seeds": seeds, "stop": ["a", "e", "3", "1", "red"]}
    large = vlm.generate(chats, **knobs)
    widths = []
    step = decoding._Batch.step
    monkeypatch.setattr(
        decoding._Batch, "step", lambda batch, ids: widths.append(int(batch.live.sum())) or step(batch, ids)
    )
    vlm.decode_rows = 6
    small = vlm.generate(chats, **knobs)
    assert [[r.token_ids for r in g] for g in small] == [[r.token_ids for r in g] for g in large]
    assert len({len(r.token_ids) for g in large for r in g}) > 3
    if family == "tiny":
        drawn = sum(len(r.token_ids) for g in small for r in g)
        assert drawn / len(widths) > 0.6 * vlm.decode_rows  # full but for what has just ended
