"""A run on two devices by plain `ddp`, which starts the command again for the second one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

RECIPE = """
# Two devices.
seed: 0
store:  {_target_: store.RunStore, path: PLACE}
policy: {_target_: models.TransformersVLM, name: "mmevolve:tiny_vlm"}
trainer: {_target_: lightning.Trainer, _partial_: true, accelerator: cpu, devices: 1, strategy: auto}
answer: {_target_: critics.AnswerMatch}
loop:
  _target_: loops.evolve
  store: $store
  policy: $policy
  data: {_target_: data.shapes, n: 80, split: train, families: [count]}
  rounds: 2
  fraction: 0.5
  sampler: {_target_: samplers.Independent, n: 1, temperature: 1.0, max_tokens: 24}
  critics: [$answer]
  selector: {_target_: selectors.Correct}
  spread: {_target_: training.Spread, trainer: $trainer}
  train:
    _target_: training.Fit
    loss: {_target_: losses.SFT}
    optimizer: {_target_: torch.optim.SGD, _partial_: true, lr: 0.1}
    trainer: $trainer
    batch_size: 16
    steps: 2
    carry: optimizer
    shuffle: false
  evaluations:
    - _target_: evaluation.HeldOut
      name: held_out
      data: {_target_: data.shapes, n: 8, split: test, families: [count]}
      sampler: {_target_: samplers.Independent, n: 1, max_tokens: 24}
      critics: [$answer]
      metrics: [{_target_: metrics.Accuracy}]
"""


def run(folder: Path, *overrides: str) -> Path:
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE.replace("PLACE", str(folder / "run")))
    clean = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "NODE_RANK", "WORLD_SIZE")}
    command = [sys.executable, "-m", "mmevolve", "run", str(folder / "recipe.yaml"), *overrides]
    done = subprocess.run(command, env={**clean, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder / "run" / "evolve"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("ddp")
    one = run(root / "one", "loop.train.batch_size=32", "loop.train.steps=1")  # the rows of both devices in one batch
    return one, run(root / "two", "trainer.devices=2", "trainer.strategy=ddp")


@pytest.mark.parametrize("table", ["samples", "trajectories", "critiques", "examples"])
def test_two_devices_give_the_rows_of_one(runs, table):
    one, two = (folder / "round=000" / f"{table}.parquet" for folder in runs)
    assert one.read_bytes() == two.read_bytes()


def test_two_devices_take_the_step_that_one_takes_on_the_rows_of_both(runs):
    """DDP averages the devices' gradients, each the mean over its rows' tokens: equal up to the rows' lengths."""
    one, two = (load_file(folder / "round=000" / "checkpoint" / "trained.safetensors") for folder in runs)
    start = torch.cat([w.flatten() for w in load_file(model()).values()])
    assert one.keys() == two.keys()
    moved = [torch.cat([w.flatten() for _, w in sorted(weights.items())]) for weights in (one, two)]
    assert not torch.equal(moved[0], start[: len(moved[0])])
    torch.testing.assert_close(moved[0], moved[1], atol=2e-4, rtol=1e-2)


def test_both_rounds_end_with_a_checkpoint_and_numbers(runs):
    for folder in runs:
        for r in range(2):
            assert (folder / f"round={r:03d}" / "checkpoint" / "optimizer.json").is_file()
            assert (folder / f"round={r:03d}" / "metrics.parquet").is_file()
        assert not list(folder.rglob("*.tmp"))
        assert not list(folder.rglob("*.parts"))


def model() -> Path:
    import mmevolve

    return Path(mmevolve.__file__).parent / "models" / "tiny_vlm" / "model.safetensors"
