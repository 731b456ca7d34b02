"""What each layer would answer, against the model's own log-probabilities and a forward pass that stops early."""

import pytest
import torch
from families import questions

from mmevolve.models.lens import last_norm, layer_logprobs
from mmevolve.models.parts import plain

SAID = ("A", "some words", "no")


def test_the_last_layer_says_what_the_model_says(vlm):
    chat = questions()[0]
    found = layer_logprobs(vlm, chat, SAID)
    of_model = [sum(s.logprobs) for s in vlm.logprobs([chat] * len(SAID), SAID)]
    assert found[-1] == pytest.approx(of_model, abs=2e-4)
    assert len(found) == len(plain(vlm.model).get_decoder().layers)
    assert found[0] != pytest.approx(of_model, abs=1e-2)


def test_without_the_end_token_its_share_is_gone(tiny):
    chat = questions()[0]
    scores = tiny.logprobs([chat] * len(SAID), SAID)
    found = layer_logprobs(tiny, chat, SAID, end=False)
    assert found[-1] == pytest.approx([sum(s.logprobs[:-1]) for s in scores], abs=2e-4)


def test_a_layer_says_what_a_model_of_so_many_layers_would(tiny):
    chat, decoder = questions()[0], plain(tiny.model).get_decoder()
    found = layer_logprobs(tiny, chat, SAID)
    layers, count = decoder.layers, decoder.config.num_hidden_layers
    try:
        for depth in range(1, len(layers)):
            decoder.layers, decoder.config.num_hidden_layers = torch.nn.ModuleList(layers[:depth]), depth
            cut = [sum(s.logprobs) for s in tiny.logprobs([chat] * len(SAID), SAID)]
            assert found[depth - 1] == pytest.approx(cut, abs=2e-4)
    finally:
        decoder.layers, decoder.config.num_hidden_layers = layers, count


def test_nothing_to_say_is_refused(tiny):
    with pytest.raises(ValueError, match="each layer needs at least one token"):
        layer_logprobs(tiny, questions()[0], ("A", ""), end=False)


def test_a_model_whose_norm_has_another_name_is_refused(tiny, monkeypatch):
    decoder = plain(tiny.model).get_decoder()
    norm = decoder.norm
    del decoder.norm
    try:
        with pytest.raises(ValueError, match="has no last norm under the names norm, "):
            last_norm(tiny.model)
    finally:
        decoder.norm = norm
