from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import yaml

from mmevolve.config import check
from mmevolve.config.nearest import nearest


def lines(text: str, write, **options) -> list[str]:
    return [str(problem) for problem in check(write(text), **options)]


def edited(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_a_right_recipe_has_no_problem(write, house, recipe_text):
    assert lines(recipe_text, write) == []


MISTAKES = yaml.safe_load(Path(__file__).with_name("mistakes.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["new"] or "left out")
def test_one_mistake_gives_one_line_with_place_and_nearest(mistake, write, house, recipe_text):
    old, new, at, says = (mistake[key] for key in ("old", "new", "at", "says"))
    text = edited(recipe_text, old, new)
    found = [line for line in lines(text, write) if "warning" in says or "warning" not in line]
    before = text[: text.index(at)].split("\n")
    assert found == ([f"recipe.yaml:{len(before)}:{len(before[-1]) + 1}: {says}"] if says else [])


def test_all_mistakes_are_found_at_once(write, house, recipe_text):
    text = edited(
        edited(edited(recipe_text, "k: 2", "kk: 2"), "rounds: 8", "rounds: x"), "policy: $policy", "policy: $polcy"
    )
    assert [line.split(":")[1] for line in lines(text, write)] == ["9", "11", "16"]


def test_objects_in_a_circle_are_named(write, house):
    found = lines("a: {x: $b}\nb: {x: $a}\nloop: {_target_: loops.evolve, store: $a}\n", write)
    assert "recipe.yaml:1:1: these objects need each other in a circle: $a -> $b -> $a" in found


def test_an_override_is_checked_and_named_as_the_place(write, house, recipe_text):
    found = check(write(recipe_text), ["loop.train.optimizer.lrr=1", "loop.rounds=many"])
    assert [str(problem) for problem in found] == [
        "override 'loop.rounds=many': 'rounds' of loops.evolve: expected a whole number, got the text 'many'",
        "override 'loop.train.optimizer.lrr=1': torch.optim.AdamW has no setting 'lrr': the nearest is 'lr'",
    ]


def test_an_allowed_module_of_the_users_own_is_read_and_not_imported(write, house, recipe_text, importable):
    importable("mine_unimported", """
        raise RuntimeError('imported')
        class Own:
            def __init__(self, size: int): ...
    """)  # fmt: skip
    text = edited(recipe_text, "critics.AnswerMatch, name: answer", "mine_unimported.Own, sise: 3")
    assert "add --allow mine_unimported" in lines(text, write)[0]
    assert lines(text, write, allow=["mine_unimported"]) == [
        "recipe.yaml:15:39: mine_unimported.Own has no setting 'sise': the nearest is 'size'"
    ]
    assert "mine_unimported" not in sys.modules


def test_a_package_that_is_not_allowed_is_never_imported(write, house, importable, tmp_path):
    importable("evil_module", f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "outside the packages" in lines("loop: {_target_: evil_module.go}\n", write)[0]
    assert not (tmp_path / "ran").exists()


def test_a_name_reached_through_an_allowed_package_must_belong_to_it(write, house):
    assert "from a package not allowed" in lines("loop: {_target_: torch.os.system}\n", write)[0]


def test_data_is_looked_at_by_the_module_that_knows_it(write, house, recipe_text, monkeypatch):
    module = types.ModuleType("mmevolve.data.table")
    seen = []

    def preflight(path, limit=None):
        seen.append((path, limit))
        yield f"there is no file '{path}'"

    module.preflight = preflight
    monkeypatch.setitem(sys.modules, "mmevolve.data.table", module)
    assert lines(recipe_text, write)[0] == "recipe.yaml:5:42: data.table: there is no file 'train.jsonl'"
    assert seen == [("train.jsonl", 8)]


def test_a_model_folder_without_a_processor_is_found(write, house, recipe_text, tmp_path):
    folder = tmp_path / "vlm"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "chat_template.jinja").write_text("")
    assert (
        "recipe.yaml:4:50: models.TransformersVLM: the model folder './vlm' has no processor"
        " (processor_config.json or preprocessor_config.json)"
    ) in lines(edited(recipe_text, "org/model", "./vlm"), write)  # beside what its empty config and weights lack
    (found,) = lines(edited(recipe_text, "org/model", "./vml"), write)
    assert found == "recipe.yaml:4:50: models.TransformersVLM: there is no folder './vml': the nearest is 'vlm'"


def test_a_folder_the_recipe_itself_will_make_is_not_missed(write, house, recipe_text):
    Path("runs").mkdir(exist_ok=True)
    assert lines(edited(recipe_text, "org/model", "runs/small/prm/checkpoint"), write) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tempertaure", "temperature"), ("maxtokens", "max_tokens"), ("Temperature", "temperature"), ("m", "n"),
        ("max-tokens", "max_tokens"), ("num_generations", "n"), ("max_new_tokens", "max_tokens"), ("xyzzy", None),
    ],
)  # fmt: skip
def test_the_nearest_name_is_the_one_that_was_meant(typed, meant):
    assert nearest(typed, ["n", "temperature", "max_tokens", "stop"]) == meant
