"""What is wrong with a checkpoint, or too much for it, is one sentence before any work is done."""

from __future__ import annotations

import json
import shutil

import peft
import pytest
import torch
from families import FAMILIES, load, picture, questions, text_settings, tokenizer
from safetensors.torch import load_file, save_file

from mmevolve.models.limits import Limits, placed_images
from mmevolve.models.opening import first_sentence
from mmevolve.models.vlm import TransformersVLM
from mmevolve.text import user

LORA = {"r": 2, "target_modules": ["q_proj", "down_proj"]}


@pytest.fixture
def copy(tiny, tmp_path):
    """A tiny VLM's folder to damage."""
    return shutil.copytree(tiny.source, tmp_path / "model")


def refused(folder):
    with pytest.raises(ValueError) as said:
        TransformersVLM(str(folder))
    sentence = str(said.value)
    assert "\n" not in sentence and str(folder) in sentence
    return sentence.replace(str(folder), "FOLDER")


def changed(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_language_model_is_not_a_vlm(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    words = tokenizer(())
    Qwen2ForCausalLM(Qwen2Config(**text_settings(words))).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    assert refused(tmp_path).endswith(
        "without tokenizer and image_processor: expected the processor of a vision-language model"
    )


def test_an_architecture_without_eyes_under_a_processor_of_a_vlm(copy):
    (copy / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert refused(copy).startswith("model 'FOLDER' has a BertConfig: expected a vision-language architecture")


def test_an_architecture_that_transformers_does_not_know(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "qwen9_vl"}))
    assert "cannot be opened: The checkpoint you are trying to load has model type `qwen9_vl`" in refused(copy)


def test_a_processor_without_a_chat_template(copy):
    (copy / "chat_template.jinja").unlink()
    assert "LlavaProcessor has no chat template (chat_template.jinja)" in refused(copy)


def test_a_chat_template_of_a_language_model_leaves_images_out(copy):
    (copy / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'][-1]['text'] }}{% endfor %}")
    assert "its chat template leaves images out" in refused(copy)
    (copy / "chat_template.jinja").write_text("{{ raise_exception('system prompt first') }}")
    assert "its chat template cannot render a question: system prompt first" in refused(copy)


def test_weights_that_are_cut_off(copy):
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert refused(copy).startswith("model 'FOLDER' cannot be opened: Error while deserializing header")


def test_a_weight_that_is_not_there_is_not_made_up(copy):
    changed(copy, lambda weights: weights.pop("language_model.model.norm.weight"))
    assert refused(copy) == "model 'FOLDER' lacks 1 of its weights, the first is 'model.language_model.norm.weight'"


def test_a_weight_of_another_shape_is_named(copy):
    name = "language_model.model.norm.weight"  # as published; the model calls it otherwise
    changed(copy, lambda weights: weights.update({name: weights[name][:-1].clone()}))
    expected = "model 'FOLDER', weight 'model.language_model.norm.weight': shape (31,), expected (32,)"
    assert refused(copy) == expected


@pytest.fixture
def adapter(tiny, tmp_path):
    """A trained adapter of the tiny VLM, saved as peft does."""
    vlm = TransformersVLM(tiny.source, lora=peft.LoraConfig(**LORA, init_lora_weights=False))
    vlm.save(tmp_path / "adapter")
    return vlm, tmp_path / "adapter"


def test_a_folder_of_an_adapter_opens_with_the_model_below_it(adapter):
    trained, folder = adapter
    opened = TransformersVLM(str(folder))
    said = ["a b c"] * 4
    ours, theirs = opened.logprobs(questions(), said), trained.logprobs(questions(), said)
    for a, b in zip(ours, theirs, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)


def test_an_adapter_of_another_base_is_refused_with_name_and_shapes(adapter, model_root):
    _, folder = adapter
    spec = json.loads((folder / "adapter_config.json").read_text())

    def below(base):
        (folder / "adapter_config.json").write_text(json.dumps({**spec, "base_model_name_or_path": base}))
        return refused(folder).replace(base, "BASE")

    layer = "model.language_model.layers.0.mlp.down_proj"
    assert below(load("llava", model_root / "llava").source) == (
        f"adapter 'FOLDER' is for another model than 'BASE': weight 'base_model.model.{layer}.lora_A.weight' has "
        "shape (2, 96), expected (2, 64)"
    )
    assert below(load("idefics3", model_root / "idefics3").source) == (
        f"adapter 'FOLDER' is for another model: 'BASE' has no weight '{layer}.weight'"
    )


def test_a_checkpoint_that_is_none_or_broken_is_named(model_root, tmp_path):
    vlm = load("tiny", model_root / "tiny")
    with pytest.raises(ValueError, match=r"nowhere' is no checkpoint of a run: it holds no trained\.safetensors"):
        vlm.load(tmp_path / "nowhere", "x")
    vlm.save(tmp_path)
    file = tmp_path / "trained.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match=rf"the checkpoint '{file}' is broken"):
        vlm.load(tmp_path, "x")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_context_and_takes_several_images(family, model_root):
    limits = load(family, model_root / family).limits
    assert limits.context == (512 if family == "tiny" else 2048)
    assert limits.images > 1000 and limits.ids


def test_a_prompt_beyond_the_context_is_refused_before_anything_is_drawn(tiny, monkeypatch):
    monkeypatch.setattr("mmevolve.models.vlm.decode", None)
    long, crowded = (user("big " * 600),), (user("same ?", tuple(picture(k % 5) for k in range(40))),)
    with pytest.raises(ValueError) as said:
        tiny.generate([questions()[0], long])
    assert str(said.value) == (
        "the prompt 'big big big big big big big big big big …' has 603 tokens: "
        f"'{tiny.source}' has a context of 512, reply included; shorten it"
    )
    with pytest.raises(
        ValueError, match=r"has 645 tokens, 640 of them for 40 images: .*; give fewer or smaller images"
    ):
        tiny.logprobs([crowded], ["yes"])


def test_a_reply_ends_where_the_context_does_whatever_stands_beside_it(tiny):
    nearly, short = (user("big " * 500),), questions()[0]
    room = 512 - len(tiny.encoder.prompt(nearly).ids)
    knobs = {"temperature": 1.0, "n": 2, "max_tokens": 30}
    alone = tiny.generate([nearly], seeds=[1], **knobs)[0]
    beside, _ = tiny.generate([nearly, short], seeds=[1, 2], **knobs)
    assert [r.token_ids for r in alone] == [r.token_ids for r in beside]
    for reply in alone:
        assert len(reply.token_ids) == len(reply.logprobs) <= room < 30
        assert reply.stop_reason == ("stop" if reply.token_ids[-1] in tiny._end else "length")
    assert any(r.stop_reason == "length" for r in alone)


def test_more_images_than_the_template_places_are_refused(copy):
    template = (copy / "chat_template.jinja").read_text()
    one = template.replace("{% for part in message['content'] if part['type'] == 'image' %}<image> {% endfor %}",
                           "{% if message['content'][0]['type'] == 'image' %}<image> {% endif %}")  # fmt: skip
    (copy / "chat_template.jinja").write_text(one)
    vlm = TransformersVLM(str(copy))
    assert vlm.limits.images == 1 and vlm.generate(questions()[:2], max_tokens=1)
    with pytest.raises(
        ValueError, match=r"^2 images in the prompt 'same colour \?': '.*model' takes at most 1, as its"
    ):
        vlm.generate(questions(), max_tokens=1)


def test_an_image_beyond_the_limit_of_pixels_is_named(tiny, monkeypatch):
    monkeypatch.setattr("mmevolve.data.images.open_image.__kwdefaults__", {"max_pixels": 100})
    with pytest.raises(ValueError, match=r"48 x 48 is 2,304 pixels, expected at most 100"):
        tiny.generate([(user("a", (picture(77),)),)])


def test_a_model_that_says_no_context_has_no_limit_and_what_a_library_says_is_cut_to_a_sentence():
    assert Limits().context > 10**9
    assert first_sentence(ValueError("One\n thing. And more.")) == "One thing"
    assert first_sentence(KeyError()) == "KeyError"
    assert len(first_sentence(ValueError("x" * 1000))) == 241


def test_images_are_counted_by_rendering(tiny):
    assert placed_images(tiny.processor, "m") > 1000
    assert torch.is_tensor(tiny.encoder.prompt(questions()[2]).per_image["pixel_values"])
