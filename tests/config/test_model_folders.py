from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmevolve.models.preflight import model_folder_problems, preflight

WHOLE = {
    "config.json": "{}",
    "tokenizer.json": "{}",
    "processor_config.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "model.safetensors": "",
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
    (model / "model-1.safetensors").write_text("")
    (found,) = model_folder_problems(str(model))
    assert "lacks 1 of 2 weight files, the first is model-2.safetensors" in found


def test_an_adapter_needs_its_weights_and_a_right_model_below_it(model, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model)}))
    (found,) = model_folder_problems(str(adapter))
    assert "has no adapter_model.safetensors" in found
    (adapter / "adapter_model.safetensors").write_text("")
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
