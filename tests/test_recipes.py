"""Every recipe in the repository is checked, and rehearsed on the CPU."""

from pathlib import Path

import pytest

import mmevolve
from mmevolve.config import check, load
from mmevolve.config.tree import Keyed, Leaf, target_text, walk
from mmevolve.rehearse import rehearsal

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
WEIGHTS = Path(mmevolve.__file__).parent / "models" / "tiny_vlm" / "config.json"
names = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: str(path.relative_to(ROOT / "recipes")))


@names
def test_a_recipe_is_right(recipe):
    assert [str(problem) for problem in check(recipe) if not problem.warning] == []


@names
def test_a_recipe_opens_with_what_paper_run_expect_and_deviates(recipe):
    header = [line for line in recipe.read_text().splitlines() if line.startswith("#")]
    words = [line.lstrip("# ").split()[0] for line in header[1:]]
    assert [word for word in words if word in ("Paper", "Run", "Expect", "Deviates")] == [
        "Paper", "Run", "Expect", "Deviates",
    ]  # fmt: skip
    assert f"mmevolve run {recipe.relative_to(ROOT)}" in "\n".join(header)


@names
@pytest.mark.skipif(not WEIGHTS.exists(), reason="the weights of mmevolve:tiny_vlm are not in this checkout")
def test_a_recipe_is_rehearsed_to_its_end(recipe, tmp_path, monkeypatch, capfd):
    from mmevolve.launch import run

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = run(str(recipe), dry_run=True)
    assert code == 0, capfd.readouterr()


SHRUNK = """
store: {_target_: store.RunStore, path: runs/x}
many: 64
policy: {_target_: models.TransformersVLM, name: hub/model, dtype: bfloat16, lora: {_target_: peft.LoraConfig, r: 4}}
train_data: {_target_: data.table, path: there.jsonl, limit: 100}
held_out: {_target_: data.table, path: elsewhere.jsonl}
again: {_target_: data.table, path: there.jsonl, limit: 100}
loop:
  _target_: loops.evolve
  store: $store
  policy: $policy
  data: $train_data
  rounds: 8
  fraction: 0.1
  sampler: {_target_: samplers.Independent, n: $many}
  critics: [{_target_: critics.AnswerMatch}]
  selector: {_target_: selectors.Correct}
  train:
    _target_: training.Fit
    loss: {_target_: losses.SFT}
    optimizer: {_target_: torch.optim.AdamW, _partial_: true}
    trainer: {_target_: lightning.Trainer, _partial_: true, accelerator: gpu, devices: 8, strategy: fsdp}
    epochs: 3
  metrics:
    - {_target_: metrics.PassAtK, k: 1}
    - {_target_: metrics.PassAtK, k: 4}
    - {_target_: metrics.PassAtK, k: 8}
"""


@pytest.fixture
def shrunk(tmp_path, monkeypatch):
    """A recipe for a machine full of GPUs, and its rehearsal as plain values."""
    monkeypatch.setattr("mmevolve.rehearse._is_shipped", lambda: True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = tmp_path / "big.yaml"
    file.write_text(SHRUNK)
    return rehearsal(load(file))


def test_a_rehearsal_runs_the_shipped_model_on_the_cpu(shrunk):
    plain = shrunk.plain()
    assert plain["policy"]["name"] == "mmevolve:tiny_vlm"
    assert (plain["policy"]["dtype"], plain["policy"]["device"]) == ("float32", "cpu")
    assert plain["policy"]["lora"] == {"_target_": "peft.LoraConfig", "r": 4}
    trainer = plain["loop"]["train"]["trainer"]
    assert (trainer["accelerator"], trainer["devices"], trainer["precision"]) == ("cpu", 1, "32-true")
    assert "strategy" not in trainer


def test_a_rehearsal_is_short(shrunk):
    loop = shrunk.plain()["loop"]
    assert (loop["rounds"], loop["fraction"], loop["train"]["epochs"]) == (2, 0.5, 1)
    assert (loop["sampler"]["n"], loop["sampler"]["max_tokens"]) == (2, 16)
    assert [metric["k"] for metric in loop["metrics"]] == [1, 2]


def test_a_rehearsal_writes_to_a_folder_of_its_own(shrunk, tmp_path):
    assert shrunk.plain()["store"]["path"].startswith(str(tmp_path))


def test_data_become_other_easy_questions_and_the_same_data_stay_the_same(shrunk):
    plain = shrunk.plain()
    assert plain["train_data"] == plain["again"]
    assert plain["train_data"]["_target_"] == plain["held_out"]["_target_"] == "data.shapes"
    assert plain["train_data"]["n"] == 8
    assert plain["train_data"]["seed"] != plain["held_out"]["seed"]


def test_a_benchmark_is_rehearsed_on_a_few_questions_the_worlds_where_its_data_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setattr("mmevolve.rehearse._is_shipped", lambda: True)
    monkeypatch.chdir(tmp_path)
    held = (
        "held:\n"
        "  - {_target_: evaluation.benchmark, path: shapes}\n"
        "  - {_target_: evaluation.benchmark, path: shapes, limit: 3, n: 8, temperature: 1.0}\n"
        "  - {_target_: evaluation.benchmark, path: mmstar, data: elsewhere}\n"
        "  - {_target_: evaluation.benchmark, path: mmmu, data: hub, limit: 500}\n"
        "  - {_target_: evaluation.benchmark, path: shaps}\n"
    )
    file = tmp_path / "measured.yaml"
    file.write_text(SHRUNK + held)
    here, few, gone, hub, misspelt = rehearsal(load(file)).plain()["held"]
    assert here == {"_target_": "evaluation.benchmark", "path": "shapes", "limit": 8, "max_tokens": 16}
    assert (few["limit"], few["n"]) == (3, 2)
    for call in (gone, hub):
        assert Path(call["path"]) == ROOT / "eval" / "benchmarks" / "shapes.yaml"
        assert call["limit"] == 8 and "data" not in call
    assert misspelt["path"] == "shaps"  # left for the check to say


def test_published_training_rows_become_those_of_the_embedded_world(tmp_path, monkeypatch):
    monkeypatch.setattr("mmevolve.rehearse._is_shipped", lambda: True)
    file = tmp_path / "rows.yaml"
    file.write_text(
        SHRUNK
        + "pairs: {_target_: data.rlaif_v, path: nowhere}\nrows: {_target_: data.llava_conversations, path: nowhere}\n"
    )
    plain = rehearsal(load(file)).plain()
    assert (plain["pairs"]["_target_"], plain["pairs"]["n"]) == ("data.shape_pairs", 8)
    assert (plain["rows"]["_target_"], plain["rows"]["questions"]) == ("data.lessons", {"place": 4, "count": 4})


def test_a_rehearsal_reads_prompts_that_the_shipped_model_knows(tmp_path, monkeypatch):
    monkeypatch.setattr("mmevolve.rehearse._is_shipped", lambda: True)
    file = tmp_path / "english.yaml"
    file.write_text(SHRUNK.replace("Independent, n: $many}", "Review, n: $many, prompt: reason}"))
    sampler = rehearsal(load(file)).plain()["loop"]["sampler"]
    assert (sampler["prompt"], sampler["review"]) == ("question", "check")


def test_a_rehearsal_asks_no_server(tmp_path, monkeypatch):
    monkeypatch.setattr("mmevolve.rehearse._is_shipped", lambda: True)
    file = tmp_path / "served.yaml"
    served = 'models.ServedVLM, model: big, urls: ["http://localhost:8000/v1"]'
    file.write_text(SHRUNK.replace("models.TransformersVLM, name: hub/model, dtype: bfloat16", served))
    policy = rehearsal(load(file)).plain()["policy"]
    assert (policy["_target_"], policy["name"]) == ("models.TransformersVLM", "mmevolve:tiny_vlm")
    assert "urls" not in policy


def test_every_node_of_a_rehearsal_keeps_a_place(shrunk):
    assert all(node.place.line > 0 for node in walk(shrunk.nodes))


def test_a_rehearsal_is_a_right_recipe(shrunk):
    from mmevolve.config import check_recipe

    assert [str(problem) for problem in check_recipe(shrunk) if not problem.warning] == []


def test_without_the_shipped_model_a_fresh_one_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("mmevolve.rehearse._is_shipped", lambda: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recipe = rehearsal(load(ROOT / "recipes" / "quickstart.yaml"))
    policy = next(n for n in walk(recipe.nodes) if isinstance(n, Keyed) and target_text(n) == "models.TransformersVLM")
    name = policy.get("name")
    assert isinstance(name, Leaf) and (Path(str(name.value)) / "config.json").is_file()
    assert "a fresh one keeps no row" in recipe.text.splitlines()[0]
