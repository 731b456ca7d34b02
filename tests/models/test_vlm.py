"""One door to every family: adapters, freezing, checkpoints."""

from __future__ import annotations

import copy
from dataclasses import replace

import peft
import pytest
import torch
from families import FAMILIES, load, questions
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmevolve.data.shapes.dataset import shapes
from mmevolve.models.encode import Row, collate
from mmevolve.models.score import score
from mmevolve.models.vlm import PROJECTORS, TOWERS, TransformersVLM
from mmevolve.samplers.review import Review

SAID = ["a b c", "none", "1 + 2", "x"]
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "init_lora_weights": True}


def one_step(vlm, rate=0.05):
    encode = vlm.encoder
    rows = [Row(encode.prompt(c), encode.completion(t)) for c, t in zip(questions(), SAID, strict=True)]
    out = score(vlm.model, collate(rows, pad=vlm.pad, device=vlm.device, side="right"), rows)
    optimizer = torch.optim.SGD([p for _, p in vlm.named_weights()], lr=rate)
    (-(out.logps * out.mask).mean()).backward()
    optimizer.step()
    vlm.eval_mode()


def all_weights(vlm):
    return {n: p.detach().clone() for n, p in vlm.model.named_parameters()}


def is_eye(name):
    return any(part in (*TOWERS, *PROJECTORS) for part in name.split("."))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_step_changes_only_the_adapter(family, model_root):
    vlm = load(family, model_root / family, lora=peft.LoraConfig(**LORA))
    before = all_weights(vlm)
    one_step(vlm)
    changed = {n for n, p in vlm.model.named_parameters() if not torch.equal(before[n], p)}
    assert changed
    assert all("lora_" in name for name in changed)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_eye_stays_frozen_and_the_rest_learns(family, model_root):
    vlm = load(family, model_root / family)
    before = all_weights(vlm)
    one_step(vlm)
    changed = {n for n, p in vlm.model.named_parameters() if not torch.equal(before[n], p)}
    assert changed and not any(is_eye(name) for name in changed)
    assert any(is_eye(name) for name in before)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_tower_lets_the_projector_learn(family, model_root):
    vlm = load(family, model_root / family, freeze="tower")
    learned = {name for name, _ in vlm.named_weights()}
    assert any(part in PROJECTORS for name in learned for part in name.split("."))
    assert not any("patch_embed" in name for name in learned)
    everything = {name for name, _ in load(family, model_root / family, freeze="nothing").named_weights()}
    assert learned < everything


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_save_and_reload_are_identical(family, lora, model_root, tmp_path):
    def fresh():
        return load(family, model_root / family, lora=peft.LoraConfig(**LORA) if lora else None)

    vlm = fresh()
    one_step(vlm)
    vlm.save(tmp_path)
    again = fresh()
    assert again.weights_digest() != vlm.weights_digest()
    again.load(tmp_path, "round=000")
    assert again.weights_digest() == vlm.weights_digest()
    assert again.name.endswith("@round=000")
    assert again.logprobs(questions(), SAID) == vlm.logprobs(questions(), SAID)


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl", "gemma3"])
def test_a_checkpoint_loads_by_the_stock_classes(family, model_root, tmp_path):
    vlm = load(family, model_root / family)
    one_step(vlm)
    vlm.save(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    row = Row(replace(vlm.encoder.prompt(questions()[0]), eye=None))  # pixels, not features
    inputs = collate([row], pad=vlm.pad, device=vlm.device, side="right")
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, vlm.model(**inputs).logits)
    assert processor.chat_template == vlm.processor.chat_template


def test_an_adapter_checkpoint_loads_by_the_stock_classes(model_root, tmp_path):
    vlm = load("tiny", model_root / "tiny", lora=peft.LoraConfig(**LORA))
    one_step(vlm)
    vlm.save(tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    inputs = collate([Row(vlm.encoder.prompt(questions()[0]))], pad=vlm.pad, device=vlm.device, side="right")
    with torch.inference_mode():
        torch.testing.assert_close(model(**inputs).logits, vlm.model(**inputs).logits)


def test_a_wrong_checkpoint_is_refused_and_changes_nothing(model_root, tmp_path):
    vlm, other = load("tiny", model_root / "tiny"), load("llava", model_root / "llava")
    digest = vlm.weights_digest()
    other.save(tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint and '.*tiny@base' differ: weight '\S+' is in only one"):
        vlm.load(tmp_path, "x")
    vlm.save(tmp_path)
    weights = load_file(tmp_path / "trained.safetensors")
    name = sorted(weights)[-1]
    save_file({**weights, name: weights[name][:1].clone()}, tmp_path / "trained.safetensors")
    with pytest.raises(ValueError, match=rf"weight '{name}': shape .*, expected"):
        vlm.load(tmp_path, "x")
    assert vlm.weights_digest() == digest
    assert vlm.version == "base"


def test_home_is_where_it_was_marked(model_root):
    vlm = load("tiny", model_root / "tiny")
    with pytest.raises(RuntimeError, match="no marked weights"):
        vlm.go_home()
    vlm.mark_home()
    digest = vlm.weights_digest()
    one_step(vlm)
    assert vlm.weights_digest() != digest
    vlm.go_home()
    assert vlm.weights_digest() == digest


def test_a_policy_starts_from_another_of_the_same_checkpoint_alone(model_root):
    policy, student = load("tiny", model_root / "tiny"), load("tiny", model_root / "tiny")
    one_step(policy)
    policy.version = "evolve/2"
    assert student.weights_digest() != policy.weights_digest()
    student.start_from(policy)
    assert (student.weights_digest(), student.name) == (policy.weights_digest(), policy.name)
    one_step(policy)
    assert student.weights_digest() != policy.weights_digest(), "a copy, not the same tensors"
    digest = student.weights_digest()
    with pytest.raises(ValueError, match=r"'.*tiny@evolve/2' cannot start from '.*llava@base': expected a policy of"):
        student.start_from(load("llava", model_root / "llava"))
    with pytest.raises(ValueError, match=r"differ: weight '\S+' is in only one"):
        student.start_from(load("tiny", model_root / "tiny", freeze="nothing"))
    assert student.weights_digest() == digest


def test_learning_turns_dropout_on_but_not_in_a_frozen_eye(model_root):
    vlm = load("llava", model_root / "llava")
    vlm.train_mode()
    assert vlm.model.model.language_model.training
    assert not any(m.training for m in vlm.model.model.vision_tower.modules())
    assert not any(m.training for m in vlm.model.model.multi_modal_projector.modules())
    vlm.eval_mode()
    assert not any(m.training for m in vlm.model.modules())
    free = load("llava", model_root / "llava", freeze="nothing")
    free.train_mode()
    assert all(m.training for m in free.model.modules())


def test_text_alone_and_pictures_go_through_the_same_door(vlm):
    texts = [g[0].text for g in vlm.generate(questions(), max_tokens=4)]
    assert len(texts) == 4 and all(isinstance(text, str) for text in texts)
    assert [len(s.logprobs) for s in vlm.logprobs(questions(), SAID)] == [
        len(vlm.encoder.completion(text)) for text in SAID
    ]


def test_what_decides_its_behaviour_is_in_its_description(model_root):
    vlm = load("tiny", model_root / "tiny")
    said = copy.deepcopy(vlm.describe())
    one_step(vlm)
    assert vlm.describe()["weights"] != said["weights"]
    lora = load("tiny", model_root / "tiny", lora=peft.LoraConfig(**LORA))
    assert lora.describe()["lora"]["r"] == 4


def test_the_shipped_model_that_reads_conversations_answers_a_second_turn():
    vlm = TransformersVLM("mmevolve:tiny_vlm_dialogue")
    (sample,) = shapes(n=1, split="validation", families=("count",))
    tried = list(Review(revisions=1, temperature=0.0, max_tokens=72, review="check")(vlm, [sample], round=0))
    assert [t.parent for t in tried] == [None, tried[0].id]
    assert all(t.stop_reason == "stop" and t.answer is not None for t in tried)


def test_an_adapter_starts_the_same_in_every_process_and_draws_nothing(model_root):
    config = {"r": 4, "target_modules": "all-linear"}
    torch.manual_seed(1)
    first = load("tiny", model_root / "tiny", lora=peft.LoraConfig(**config)).weights_digest()
    state = torch.manual_seed(2).get_state()
    assert load("tiny", model_root / "tiny", lora=peft.LoraConfig(**config)).weights_digest() == first
    assert torch.equal(torch.get_rng_state(), state)
