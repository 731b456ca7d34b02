"""A model that writes a critique and scores after it."""

import pytest
import torch
from families import load, questions

from mmevolve.models.critique_reward import CritiqueRewardModel
from mmevolve.models.vlm import TransformersVLM

SAID = ["a red circle", "none", None, "yes no 7"]


@pytest.fixture
def folder(model_root):
    load("tiny", model_root / "tiny")
    return str(model_root / "tiny")


def stirred(folder, **settings):
    """A model whose head is not zero."""
    model = CritiqueRewardModel(folder, **settings)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    torch.nn.init.normal_(model.head.bias)
    return model


def by_hand(model, chat, critique):
    """The head at the last token of question, answer and critique, read alone."""
    prompt = model.encoder.prompt(chat)
    after = model.encoder.completion(critique) if critique is not None and model.reads == "critique" else ()
    extra = {k: torch.tensor([[*v, *[0] * len(after)]]) for k, v in prompt.per_token.items()}
    with torch.inference_mode():
        out = model.trunk.model.model(input_ids=torch.tensor([[*prompt.ids, *after]]), **extra, **prompt.per_image)
        return model.head(out.last_hidden_state[0, -1]).item()


@pytest.mark.parametrize("reads", ["critique", "answer"])
def test_the_score_is_read_at_the_end_of_the_critique_or_where_it_would_begin(folder, reads):
    model = stirred(folder, reads=reads)
    chats = questions()[: len(SAID)]
    scores = model.score(chats, SAID)
    assert scores == pytest.approx([by_hand(model, c, s) for c, s in zip(chats, SAID, strict=True)], abs=2e-5)
    assert len(set(scores)) == len(scores)
    alone = [model.score([c], [s])[0] for c, s in zip(chats, SAID, strict=True)]
    assert scores == pytest.approx(alone, abs=2e-5)


def test_only_a_model_that_reads_critiques_heeds_them(folder):
    chat = questions()[0]
    one, other = (stirred(folder, reads=r).score([chat, chat], ["yes", "no"]) for r in ("answer", "critique"))
    assert one[0] == pytest.approx(one[1], abs=2e-5)
    assert abs(other[0] - other[1]) > 1e-3


def test_its_language_head_is_that_of_the_model_it_starts_from(folder):
    chats, texts = questions()[:2], ["a red circle", "none"]
    model, plain = CritiqueRewardModel(folder), TransformersVLM(folder)
    assert model.logprobs(chats, texts) == plain.logprobs(chats, texts)
    drawn = model.generate(chats, max_tokens=5, seeds=[1, 2])
    assert [r.token_ids for (r,) in drawn] == [
        r.token_ids for (r,) in plain.generate(chats, max_tokens=5, seeds=[1, 2])
    ]


def test_head_and_trunk_are_saved_and_another_reading_is_another_model(folder, tmp_path):
    model = stirred(folder)
    model.save(tmp_path)
    again = CritiqueRewardModel(folder)
    again.load(tmp_path, "round=0")
    chat = questions()[0]
    assert again.score([chat], ["yes"]) == model.score([chat], ["yes"])
    assert CritiqueRewardModel(str(tmp_path)).score([chat], ["yes"]) == model.score([chat], ["yes"])
    assert again.version == "round=0" and again.name.startswith("critique-reward:")
    assert model.describe() != stirred(folder, reads="answer").describe()
    model.mark_home()
    torch.nn.init.zeros_(model.head.weight)
    model.go_home()
    assert again.score([chat], ["yes"]) == model.score([chat], ["yes"])
