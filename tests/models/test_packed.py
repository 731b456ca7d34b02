"""Completions that branch off one prompt: values and gradients of plain rows, in every family where it is offered."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES, load, questions

from mmevolve.models import packed
from mmevolve.models.encode import Row, collate
from mmevolve.models.packed import disagreement, obstacle, packed_states
from mmevolve.models.score import score, score_hidden

SAID = ["a b c", "none", "3 + 4 = 7\n7", "x", "3 + 4 = 8"]
ALONE = {"gemma3"}  # families that read every row by itself
TOGETHER = [family for family in FAMILIES if family not in ALONE]


def rows_of(vlm, of=(0, 1, 0, 2, 0)):
    """Three completions of the first question, one each of two others, in no order."""
    prompts = [vlm.encoder.prompt(chat) for chat in questions()]
    return [Row(prompts[k], vlm.encoder.completion(text)) for k, text in zip(of, SAID, strict=True)]


def learned(vlm, rows, *, together):
    """Log-probabilities and the gradients of a weighted sum of them."""
    if together:
        out = score_hidden(vlm.model, packed_states(vlm.model, rows, pad=vlm.pad), rows, [0] * len(rows))
    else:
        out = score(vlm.model, collate(rows, pad=vlm.pad, device=vlm.device, side="right"), rows)
    factors = torch.linspace(-1, 1, len(rows))[:, None]
    names, weights = zip(*vlm.named_weights(), strict=True)
    gradients = torch.autograd.grad((factors * out.logps).sum() / 10, weights, allow_unused=True)
    return out, dict(zip(names, gradients, strict=True))


def same(gradients, expected):
    assert any(g is not None and g.abs().max() > 1e-3 for g in gradients.values())
    for name, gradient in gradients.items():
        assert (gradient is None) == (expected[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", TOGETHER)
def test_values_and_gradients_are_those_of_plain_rows(family, model_root):
    vlm = load(family, model_root / family, freeze="nothing")
    assert obstacle(vlm.model) == ""
    rows = rows_of(vlm)
    theirs, expected = learned(vlm, rows, together=False)
    ours, gradients = learned(vlm, rows, together=True)
    torch.testing.assert_close(ours.logps, theirs.logps, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.entropies, theirs.entropies, atol=1e-5, rtol=1e-5)
    assert torch.equal(ours.mask, theirs.mask)
    same(gradients, expected)


def test_with_features_in_the_place_of_pixels_the_gradients_are_those_of_plain_rows(tiny):
    rows = rows_of(tiny)
    looked = tiny.features.tower_forwards
    _, gradients = learned(tiny, rows, together=True)
    same(gradients, learned(tiny, rows, together=False)[1])
    assert tiny.features.tower_forwards - looked <= 4  # each picture once, if it was not looked at before


def test_a_prompt_is_read_once_and_no_completion_sees_another(tiny, monkeypatch):
    read = []
    collated = packed.collate
    monkeypatch.setattr(packed, "collate", lambda rows, **k: read.append(len(rows)) or collated(rows, **k))
    rows = rows_of(tiny)
    with torch.no_grad():
        states = packed_states(tiny.model, rows, pad=tiny.pad)
        other = [*rows[:2], Row(rows[2].prompt, tiny.encoder.completion("red red red red")), *rows[3:]]
        again = packed_states(tiny.model, other, pad=tiny.pad)
    assert read == [3, 3]
    for i, row in enumerate(rows):
        if i != 2:
            width = 1 + len(row.completion)
            torch.testing.assert_close(states[i, :width], again[i, :width], atol=1e-5, rtol=1e-5)


def test_attention_of_all_but_packed_rows_is_that_of_transformers(tiny):
    rows = rows_of(tiny)
    inputs = collate(rows, pad=tiny.pad, device=tiny.device, side="right")
    with torch.no_grad():
        before = score(tiny.model, inputs, rows).logps
        with packed.packing(tiny.model):
            assert torch.equal(score(tiny.model, inputs, rows).logps, before)
    packed_states(tiny.model, rows, pad=tiny.pad)
    assert tiny.model.model.get_decoder().config._attn_implementation == "sdpa"


def test_gradient_checkpointing_changes_no_gradient(model_root):
    vlm = load("idefics3", model_root / "idefics3")
    rows = rows_of(vlm)
    _, expected = learned(vlm, rows, together=True)
    vlm.train_mode()
    vlm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    with packed.packing(vlm.model):
        same(learned(vlm, rows, together=True)[1], expected)


def test_a_model_that_cannot_says_why(model_root):
    gemma = load("gemma3", model_root / "gemma3")
    assert obstacle(gemma.model) == "Gemma3ForConditionalGeneration has layers of sliding_attention"
    tiny = load("tiny", model_root / "tiny")
    tiny.model.model.get_decoder().config._attn_implementation = "eager"
    assert "attends by 'eager', and only 'sdpa' takes the mask of a packed row" in obstacle(tiny.model)


def test_a_pass_that_reads_otherwise_is_noticed(tiny, monkeypatch):
    rows = rows_of(tiny)
    assert disagreement(tiny.model, rows, pad=tiny.pad) == ""
    monkeypatch.setattr(packed, "_mask", lambda read, branch: torch.ones(3, 1, branch.shape[1], 1) > 0)
    said = disagreement(tiny.model, rows, pad=tiny.pad)
    assert said.startswith("LlavaForConditionalGeneration: log-probabilities of a shared and a plain pass differ by")
