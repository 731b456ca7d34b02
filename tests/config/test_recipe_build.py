from __future__ import annotations

import functools
from pathlib import Path

import pytest

from mmevolve.config import ConfigError, build, load

PARTS = """
    from dataclasses import dataclass
    from collections.abc import Sequence
    calls = []
    @dataclass(frozen=True)
    class Part:
        name: str = ""
        inner: object = None
        items: Sequence[int] = ()
        rows: list[int] | None = None
        def __post_init__(self):
            if self.name == "bad":
                raise ValueError("the name is bad")
    def run(**words):
        calls.append(words)
        return words
    def fail(**words):
        raise ValueError("while running")
"""


@pytest.fixture
def parts(importable):
    importable("parts_for_build", PARTS)
    return {"allow": ["parts_for_build"]}


def test_a_shared_object_is_the_same_everywhere_and_the_loop_comes_last(write, parts):
    text = """
        loop: {_target_: parts_for_build.run, one: $a, two: [$a, {_target_: parts_for_build.Part, inner: $b}]}
        a: {_target_: parts_for_build.Part, name: x, inner: $b}
        b: {_target_: parts_for_build.Part, name: y}
        seed: 3
    """
    made = build(load(write(text)), **parts)
    assert list(made) == ["b", "a", "seed", "loop"]
    assert made["loop"]["one"] is made["loop"]["two"][0] is made["a"]
    assert made["a"].inner is made["loop"]["two"][1].inner is made["b"]
    assert made["seed"] == 3


def test_a_list_of_calls_is_run_in_order(write, parts):
    text = "loop: [{_target_: parts_for_build.run, x: 1}, {_target_: parts_for_build.run, x: 2}]"
    assert build(load(write(text)), **parts)["loop"] == [{"x": 1}, {"x": 2}]


def test_partial_holds_a_call_back(write, parts):
    text = "a: {_target_: torch.optim.AdamW, _partial_: true, lr: 1e-6}\nloop: {_target_: parts_for_build.run, a: $a}\n"
    held = build(load(write(text)), **parts)["a"]
    assert isinstance(held, functools.partial)
    assert held.func.__name__ == "AdamW" and held.keywords == {"lr": 1e-6}


def test_a_list_becomes_a_tuple_where_a_part_takes_any_sequence(write, parts):
    text = (
        "a: {_target_: parts_for_build.Part, items: [1, 2], rows: [3]}\nloop: {_target_: parts_for_build.run, a: $a}\n"
    )
    part = build(load(write(text)), **parts)["a"]
    assert part.items == (1, 2) and part.rows == [3]


def test_what_a_part_refuses_is_an_error_with_its_place(write, parts):
    text = "loop:\n  _target_: parts_for_build.run\n  a: {_target_: parts_for_build.Part, name: bad}\n"
    with pytest.raises(ConfigError, match=r"recipe.yaml:3:6: parts_for_build.Part refused its settings: .*name is bad"):
        build(load(write(text)), **parts)


def test_what_the_loop_raises_passes_through(write, parts):
    with pytest.raises(ValueError, match="while running") as caught:
        build(load(write("loop: {_target_: parts_for_build.fail}")), **parts)
    assert not isinstance(caught.value, ConfigError)


def test_objects_can_be_given_and_left_out(write, parts):
    text = """
        a: {_target_: parts_for_build.Part, name: bad}
        b: {_target_: parts_for_build.Part, inner: $a}
        loop: {_target_: parts_for_build.fail}
    """
    made = build(load(write(text)), given={"a": "stand-in"}, skip=["loop"], **parts)
    assert made["b"].inner == "stand-in" and "loop" not in made


@pytest.mark.parametrize(
    "target", ["os.system", "torch.os.system", "torch.hub.load", "subprocess.run", "store.os.system"]
)
def test_nothing_outside_the_allowed_packages_is_called(target, write, tmp_path):
    text = f"loop: {{_target_: {target}, command: touch {tmp_path / 'ran'}}}\n"
    with pytest.raises(ConfigError):
        build(load(write(text)))
    assert not (tmp_path / "ran").exists()


def test_a_circle_cannot_be_built(write, parts):
    with pytest.raises(ConfigError, match="circle"):
        build(load(write("a: [$b]\nb: [$a]\nloop: {_target_: parts_for_build.run}\n")), **parts)


DESIGN_RECIPE = """\
# M-STaR: continuous self-evolving training.
seed: 0
store:  {_target_: store.RunStore, path: runs/mstar}
policy: {_target_: models.TransformersVLM, name: Q/Q-3B, lora: {_target_: peft.LoraConfig, target_modules: all-linear}}
prm:    {_target_: models.StepRewardModel, name: runs/mstar_prm/checkpoint}
train_data: {_target_: data.table, path: data/train.parquet}
val_data:   {_target_: data.table, path: data/val.parquet, limit: 250}

loop:
  _target_: loops.evolve
  store: $store
  policy: $policy
  data: $train_data
  rounds: 8
  fraction: 0.25                     # of the queries, each round
  sampler: {_target_: samplers.Independent, n: 16, temperature: 1.0}
  critics:
    - {_target_: critics.AnswerMatch, name: answer}            # filters
    - {_target_: critics.StepReward, name: prm, model: $prm, fold: min}   # ranks
  selector: {_target_: selectors.TopK, k: 2, require: answer, rank_by: prm}
  train:
    _target_: training.Fit
    loss: {_target_: losses.SFT}
    optimizer: {_target_: torch.optim.AdamW, _partial_: true, lr: 1.0e-6}
    trainer: {_target_: lightning.Trainer, _partial_: true, max_epochs: 1, precision: bf16-true}
    carry: optimizer
  schedule: {_target_: schedules.ProbeBest, field: temperature, candidates: [0.3, 0.6], metric: reward_pass@2, every: 2}
  probe_data: $val_data
  metrics:
    - {_target_: metrics.PassAtK, k: 16, critic: answer}
    - {_target_: metrics.RewardPassAtK, k: 2, rank_by: prm, critic: answer}
  evaluations:
    - {_target_: evaluation.benchmark, path: eval/benchmarks/mathvista.yaml}
"""
ROOMS = "store models data loops samplers critics selectors training losses schedules metrics evaluation"
NAMES = (
    "RunStore TransformersVLM StepRewardModel table evolve Independent AnswerMatch StepReward TopK Fit SFT ProbeBest "
    "PassAtK RewardPassAtK benchmark LoraConfig Trainer"
)


def test_the_recipe_of_the_design_loads_and_builds_with_stand_ins(write, importable):
    parts = "\n".join(f"def {name}(**words): return ('{name}', words)" for name in NAMES.split())
    importable("stand_ins", parts)
    text = DESIGN_RECIPE
    for room in ROOMS.split():
        text = text.replace(f"_target_: {room}.", "_target_: stand_ins.")
    for heavy in ("peft.", "lightning."):
        text = text.replace(f"_target_: {heavy}", "_target_: stand_ins.")
    made = build(load(write(text)), allow=["stand_ins"])
    name, words = made["loop"]
    assert name == "evolve" and words["rounds"] == 8 and words["store"] is made["store"]
    assert words["critics"][1][1]["model"] is made["prm"]
    assert words["train"][1]["optimizer"].keywords == {"lr": 1e-6}
    assert words["train"][1]["trainer"].keywords == {"max_epochs": 1, "precision": "bf16-true"}
    assert not Path("runs").exists()
