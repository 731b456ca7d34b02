from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmevolve.models.checkpoint_preflight import architectures
from mmevolve.models.preflight import model_folder_problems, preflight


def weights(*names: str) -> str:
    """A safetensors file of float32 weights of one number each."""
    places = {name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * k, 4 * k + 4]} for k, name in enumerate(names)}
    header = json.dumps(places)
    return len(header).to_bytes(8, "little").decode() + header + "\0" * 4 * len(names)


WHOLE = {
    "config.json": '{"model_type": "llava"}',
    "tokenizer.json": "{}",
    "processor_config.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "model.safetensors": weights("a"),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, text in WHOLE.items():
        (folder / name).write_text(text)
    return folder


def test_a_whole_folder_and_a_hub_id_and_a_bare_name_are_right(model):
    for name in (str(model), "org/model", "mmevolve:tiny_vlm", "ViT-B-32"):
        assert list(model_folder_problems(name)) == []


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ("config.json", "has no readable config.json"),
        ("tokenizer.json", "has no tokenizer"),
        ("processor_config.json", "has no processor"),
        ("chat_template.jinja", "has no chat template"),
        ("model.safetensors", "has no safetensors weights"),
    ],
)
def test_each_missing_file_is_one_sentence(gone, says, model):
    (model / gone).unlink()
    (found,) = model_folder_problems(str(model))
    assert says in found and str(model) in found


@pytest.mark.parametrize("home", ["processor_config.json", "tokenizer_config.json"])
def test_a_chat_template_may_stand_in_a_config(home, model):
    (model / "chat_template.jinja").unlink()
    (model / home).write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert list(model_folder_problems(str(model))) == []


def test_pickled_weights_are_not_weights(model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    (found,) = model_folder_problems(str(model))
    assert "pickled" in found


def test_a_missing_shard_is_named(model):
    (model / "model.safetensors").unlink()
    places = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (model / "model-1.safetensors").write_text(weights("a"))
    (found,) = model_folder_problems(str(model))
    assert "lacks 1 of 2 weight files, the first is model-2.safetensors" in found
    (model / "model-2.safetensors").write_text(weights("c"))
    (found,) = model_folder_problems(str(model))
    assert found.endswith("model-2.safetensors' lacks 1 of the weights that the index promises, the first is 'b'")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (weights("a", "b")[:-1], "is cut off: 137 bytes, expected 138 by its own header"),
        (weights("a") + "?", "is too long: 74 bytes, expected 73 by its own header"),
        (weights("a")[:30], "its header cannot be read (30 bytes)"),
        ("", "its header cannot be read (0 bytes)"),
        (weights("a").replace("{", "[", 1), "its header cannot be read"),
        ("version https://git-lfs.github.com/spec/v1\nsize 9\n", "is a Git LFS pointer, not weights"),
    ],
    ids=["data", "tail", "header", "empty", "garbage", "pointer"],
)
def test_weights_that_are_not_whole_are_found_without_being_loaded(text, says, model):
    (model / "model.safetensors").write_text(text)
    (found,) = model_folder_problems(str(model))
    assert says in found and f"'{model}/model.safetensors'" in found


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "qwen2"}, "holds a 'qwen2', which is none of the"),
        ({"model_type": "qwen2"}, ": the nearest is 'qwen2_vl'"),
        ({"model_type": "qwen2_5vl"}, ": the nearest is 'qwen2_5_vl'"),
        (
            {"model_type": "internvl_chat", "auto_map": {}},
            ", and code of its own is not run: the nearest is 'internvl'",
        ),
        ({}, "names no model_type"),
    ],
)
def test_what_is_no_vision_language_model_is_found(config, says, model):
    (model / "config.json").write_text(json.dumps(config))
    (found,) = model_folder_problems(str(model))
    assert says in found and str(model) in found


def test_the_architectures_are_those_that_transformers_opens():
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    assert architectures() == list(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)


def test_an_adapter_needs_its_weights_and_a_right_model_below_it(model, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model)}))
    (found,) = model_folder_problems(str(adapter))
    assert "has no adapter_model.safetensors" in found
    (adapter / "adapter_model.safetensors").write_text(weights("a")[:-2])
    (found,) = model_folder_problems(str(adapter))
    assert "adapter_model.safetensors' is cut off" in found
    (adapter / "adapter_model.safetensors").write_text(weights("a"))
    assert list(model_folder_problems(str(adapter))) == []
    (model / "config.json").unlink()
    (found,) = model_folder_problems(str(adapter))
    assert "the model below the adapter" in found


def test_a_path_that_is_not_there_names_the_nearest_or_what_makes_it(model):
    (found,) = preflight("TransformersVLM", name=str(model.parent / "modle"))
    assert found.endswith(f"the nearest is '{model}'")
    (found,) = model_folder_problems("runs/prm/round=003/checkpoint")
    assert found.endswith("run the recipe that makes it first")
    (found,) = model_folder_problems(str(model / "config.json"))
    assert "is a file" in found
