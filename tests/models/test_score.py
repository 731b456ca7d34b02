"""Scoring: the numbers and gradients of a naive pass over the whole vocabulary."""

from __future__ import annotations

import math

import pytest
import torch
from families import load, questions
from torch.utils._python_dispatch import TorchDispatchMode

from mmevolve.models import score as scoring
from mmevolve.models.encode import Row, collate

SAID = ["a b c", "none", "3 + 4 = 7\n7", "x"]


def naive(vlm, row, side="right", width=0):
    """Log-probabilities and entropies of one row from full logits, with padding of any width on either side."""
    inputs = collate([row], pad=vlm.pad, device=vlm.device, side=side)
    if width:
        pads = (width, 0) if side == "left" else (0, width)
        per_token = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")
        grown = {k: torch.nn.functional.pad(v, pads) for k, v in inputs.items() if k in per_token}
        inputs = {**inputs, **grown}
    length = len(row.completion)
    logits = vlm.model(**inputs).logits[0].float()
    end = logits.shape[0] - (width if side == "right" else 0)
    logs = logits[end - length - 1 : end - 1].log_softmax(-1)
    entropies = -(logs.exp() * logs).sum(-1)
    return logs.gather(-1, torch.tensor(row.completion)[:, None])[:, 0], entropies


def rows_of(vlm):
    return [
        Row(vlm.encoder.prompt(chat), vlm.encoder.completion(text))
        for chat, text in zip(questions(), SAID, strict=True)
    ]


def test_logprobs_and_entropies_are_those_of_a_naive_pass(vlm):
    together = vlm.logprobs(questions(), SAID)
    for row, scores in zip(rows_of(vlm), together, strict=True):
        with torch.inference_mode():
            logps, entropies = naive(vlm, row)
        assert scores.token_ids == row.completion
        torch.testing.assert_close(torch.tensor(scores.logprobs), logps, atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.tensor(scores.entropies), entropies, atol=1e-5, rtol=1e-5)


def test_batch_size_and_padding_do_not_matter(vlm):
    together = vlm.logprobs(questions(), SAID)
    for chat, text, scores in zip(questions(), SAID, together, strict=True):
        (alone,) = vlm.logprobs([chat], [text])
        assert alone.logprobs == pytest.approx(scores.logprobs, abs=1e-5)
        assert alone.entropies == pytest.approx(scores.entropies, abs=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_does_not_matter(tiny, side):
    """The decoder reads prompts padded on the left, the scorer rows padded on the right."""
    for row, scores in zip(rows_of(tiny), tiny.logprobs(questions(), SAID), strict=True):
        with torch.inference_mode():
            padded = collate([row], pad=tiny.pad, device=tiny.device, side=side)
            assert int(padded["attention_mask"].sum()) == padded["input_ids"].shape[1]
            logps, _ = naive(tiny, row, side="right", width=5 if side == "right" else 0)
        torch.testing.assert_close(torch.tensor(scores.logprobs), logps, atol=1e-5, rtol=0)


@pytest.mark.parametrize("chunk", [1, 3, 4, 1000])
def test_chunk_boundaries_do_not_show(tiny, monkeypatch, chunk):
    expected = tiny.logprobs(questions(), SAID)
    monkeypatch.setattr(scoring, "CHUNK_TOKENS", chunk)
    for a, b in zip(tiny.logprobs(questions(), SAID), expected, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)
        assert a.entropies == pytest.approx(b.entropies, abs=1e-5)


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl", "idefics3"])
def test_gradients_are_those_of_a_naive_pass(family, model_root, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK_TOKENS", 4)
    vlm = load(family, model_root / family, freeze="nothing")
    rows = rows_of(vlm)
    weights = [p for _, p in vlm.named_weights()]
    scored = scoring.score(vlm.model, collate(rows, pad=vlm.pad, device=vlm.device, side="right"), rows)
    ours = torch.autograd.grad((scored.logps * scored.mask).sum(), weights, allow_unused=True)
    theirs = torch.autograd.grad(sum(naive(vlm, row)[0].sum() for row in rows), weights, allow_unused=True)
    assert not scored.entropies.requires_grad
    assert any(g is not None for g in ours)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_the_sum_of_squared_probabilities_is_that_of_a_naive_pass(tiny):
    rows = rows_of(tiny)
    with torch.inference_mode():
        inputs = collate(rows, pad=tiny.pad, device=tiny.device, side="right")
        out = scoring.score(tiny.model, inputs, rows)
        for i, row in enumerate(rows):
            length = len(row.completion)
            alone = tiny.model(**collate([row], pad=tiny.pad, device=tiny.device, side="right")).logits[0].float()
            logs = alone[-length - 1 : -1].log_softmax(-1)
            torch.testing.assert_close(out.log_sum_sq[i, :length], (2 * logs).logsumexp(-1), atol=1e-5, rtol=1e-5)
            assert not out.log_sum_sq[i, length:].any()


def test_only_log_probabilities_carry_a_gradient(tiny):
    rows = rows_of(tiny)[:1]
    out = scoring.score(tiny.model, collate(rows, pad=tiny.pad, device=tiny.device, side="right"), rows)
    assert out.logps.requires_grad
    assert not (out.entropies.requires_grad or out.log_sum_sq.requires_grad)


class Widest(TorchDispatchMode):
    """The most numbers in one tensor whose last dimension is the vocabulary, over all operations."""

    def __init__(self, weight):
        super().__init__()
        self.weight, self.most = weight, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else (out,):
            if isinstance(x, torch.Tensor) and x.dim() > 1 and x.shape[-1] == len(self.weight):
                self.most = max(self.most, 0 if x.shape == self.weight.T.shape else x.numel())
        return out


def test_no_tensor_of_all_tokens_by_the_vocabulary_is_ever_made_or_kept_for_the_gradient(tiny, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK_TOKENS", 4)
    rows = rows_of(tiny) * 3
    assert sum(len(row.completion) for row in rows) > 40
    inputs = collate(rows, pad=tiny.pad, device=tiny.device, side="right")
    kept = []
    weight = tiny.model.get_output_embeddings().weight
    with Widest(weight) as seen:
        with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(tuple(x.shape)) or x, lambda x: x):
            scored = scoring.score(tiny.model, inputs, rows)
        scored.logps.sum().backward()
    tiny.eval_mode()
    assert seen.most == 4 * len(weight)
    assert len(kept) > 10
    assert not [shape for shape in kept if len(shape) > 1 and shape[-1] == len(weight)]


def test_half_precision_logits_are_summed_in_single_precision():
    """65,536 equal logits: their normaliser is 11.09, which bfloat16 sums would miss by far."""
    head = torch.nn.Linear(4, 2**16, bias=False, dtype=torch.bfloat16)
    torch.nn.init.constant_(head.weight, 0.25)
    states = torch.ones(2, 4, dtype=torch.bfloat16)
    with torch.inference_mode():
        logps, entropies, peaks = scoring._project(head, states, torch.tensor([0, 9]))
    expected = torch.full((2,), 16 * math.log(2))
    assert logps.dtype == entropies.dtype == torch.float32
    torch.testing.assert_close(-logps, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(entropies, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(-peaks, expected, atol=1e-4, rtol=0)
