"""A run that is killed at any point goes on where it stopped and ends with the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = """\
# A very small run.
seed: 0
store:  {_target_: store.RunStore, path: run}
policy: {_target_: models.TransformersVLM, name: MODEL}
data:   {_target_: data.shapes, n: 70, split: train, seed: 0}
held:   {_target_: data.shapes, n: 8, split: test, seed: 0}
loop:
  _target_: loops.evolve
  store: $store
  policy: $policy
  data: $data
  rounds: 2
  fraction: 0.5
  sampler: {_target_: own_parts.Sampler, max_tokens: 8}
  critics: [{_target_: own_parts.Critic}]
  selector: {_target_: own_parts.Selector, require: long}
  train:
    _target_: training.Fit
    loss: {_target_: own_parts.Loss}
    optimizer: {_target_: torch.optim.AdamW, _partial_: true, lr: 1.0e-3}
    trainer: {_target_: lightning.Trainer, _partial_: true, accelerator: cpu}
    batch_size: 8
    carry: optimizer
  metrics: [{_target_: own_parts.Metric}]
  evaluations:
    - _target_: evaluation.HeldOut
      name: held_out
      data: $held
      sampler: {_target_: samplers.Independent, n: 1, temperature: 0.0, max_tokens: 8}
      critics: [{_target_: critics.AnswerMatch}]
      metrics: [{_target_: metrics.Accuracy}]
"""

PARTS = '''\
"""Parts of the usual kinds that can be told to stand still in the middle of their work."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mmevolve.losses.sft import SFT
from mmevolve.prompts import template
from mmevolve.samplers.independent import Independent
from mmevolve.text import ask
from mmevolve.types import Critique, Demonstration

CALLS = Counter()


def stand_still(stage):
    """In the stage and at the call that the environment names, say so and wait to be killed."""
    CALLS[stage] += 1
    if os.environ.get("STAND_STILL") == f"{stage}:{CALLS[stage]}":
        Path("standing").touch()
        time.sleep(300)


@dataclass(frozen=True)
class Sampler:
    """Two attempts a sample."""

    max_tokens: int = 8

    def __call__(self, policy, samples, *, round):
        for i, t in enumerate(Independent(n=2, max_tokens=self.max_tokens)(policy, samples, round=round)):
            if i == 1:
                stand_still("sampling")
            yield t


@dataclass(frozen=True)
class Critic:
    """1 for attempts of more than one token."""

    name: str = "long"

    def __call__(self, items):
        stand_still("critiques")
        for _, t in items:
            yield Critique(t.id, self.name, float(len(t.token_ids) > 1 and bool(t.text)))


@dataclass(frozen=True)
class Selector:
    """What the critic passes, finished or not: a model that knows nothing rarely comes to an end."""

    require: str = "long"
    example: ClassVar[type[Demonstration]] = Demonstration

    def __call__(self, groups):
        for i, group in enumerate(groups):
            if i == 3:
                stand_still("examples")
            for t, score in zip(group.trajectories, group.scores(self.require), strict=True):
                if score:
                    yield Demonstration(ask(group.sample, template("question")), t.text, source=t.id)


@dataclass(frozen=True)
class Loss:
    """Plain likelihood."""

    example: ClassVar[type[Demonstration]] = Demonstration
    needs_reference: ClassVar[bool] = False

    def __call__(self, x):
        stand_still("training")
        return SFT()(x)


@dataclass(frozen=True)
class Metric:
    """How many attempts there were."""

    def __call__(self, groups):
        stand_still("metrics")
        return {"attempts": float(sum(len(g.trajectories) for g in groups))}
'''

# Work at these calls: the second unit of the first round's attempts, the second of its critiques, its rows, its second
# step, its numbers; then the second round's training and numbers.
POINTS = ["sampling:2", "critiques:2", "examples:1", "training:2", "metrics:1"]
LATER = ["sampling:3", "training:12", "metrics:2"]

# A run that hangs says where; Ctrl-C is heard even where the tests run in the background of a shell.
WATCH = (
    "import faulthandler, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "faulthandler.dump_traceback_later(200, exit=True)"
)


def start(folder: Path, *more: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-c", f"{WATCH}; from mmevolve.cli import main; raise SystemExit(main())"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **environment}
    return subprocess.Popen(
        [*command, "run", "recipe.yaml", "--allow", "own_parts", *more],
        cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(folder: Path, *more: str, code: int = 0) -> str:
    process = start(folder, *more)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == code, said
    return said


def standing(folder: Path, point: str) -> subprocess.Popen:
    """A run that stands still at a point."""
    process = start(folder, STAND_STILL=point)
    deadline = time.monotonic() + 300
    while not (folder / "standing").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"never came to {point}: {process.communicate()[0]}")
        time.sleep(0.05)
    (folder / "standing").unlink()
    return process


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def new_folder(folder: Path, model: str) -> Path:
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE.replace("MODEL", json.dumps(model)))
    (folder / "own_parts.py").write_text(PARTS)
    return folder


def artefacts(folder: Path) -> dict[str, bytes]:
    """Everything that a run leaves but times, versions, logs and the page drawn from them."""
    run = folder / "run"
    found = {str(p.relative_to(run)): p for p in run.rglob("*") if p.is_file()}
    varies = {"timings.json", "environment.json", "report.html", "logs", "tensorboard"}
    kept = {name: path.read_bytes() for name, path in found.items() if not varies & set(Path(name).parts)}
    summary = json.loads(kept.pop("summary.json"))
    del summary["seconds"], summary["peak_rss_bytes"]
    return {**kept, "summary.json": json.dumps(summary, sort_keys=True).encode()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from mmevolve.models.tiny import make_tiny

    return str(make_tiny(tmp_path_factory.mktemp("model") / "tiny", width=32, layers=1))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, model):
    folder = new_folder(tmp_path_factory.mktemp("whole") / "run", model)
    finish(folder)
    return artefacts(folder)


def differing(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def test_a_run_killed_in_every_stage_ends_with_the_same_bytes(tmp_path, model, uninterrupted):
    folder = new_folder(tmp_path / "a", model)
    finished = []
    for point in POINTS:
        kill(standing(folder, point))
        assert not (folder / "run" / "summary.json").exists()
        finished.append(len(list((folder / "run/evolve").glob("round=000/*.parquet"))))
    assert finished == [1, 2, 3, 4, 4]  # samples; attempts; critiques; rows; then a checkpoint
    finish(folder)
    assert differing(artefacts(folder), uninterrupted) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", [*POINTS, *LATER])
def test_a_run_killed_once_ends_with_the_same_bytes(tmp_path, model, uninterrupted, point):
    folder = new_folder(tmp_path / "a", model)
    kill(standing(folder, point))
    finish(folder)
    assert differing(artefacts(folder), uninterrupted) == []


@pytest.mark.slow
def test_a_run_killed_at_any_instant_ends_with_the_same_bytes(tmp_path, model, uninterrupted):
    folder = new_folder(tmp_path / "a", model)
    instants = random.Random(0)
    for _ in range(12):
        process = start(folder)
        try:
            process.communicate(timeout=instants.uniform(2.0, 12.0))
            break
        except subprocess.TimeoutExpired:
            kill(process)
    finish(folder)
    assert differing(artefacts(folder), uninterrupted) == []


def test_ctrl_c_stops_says_how_to_go_on_and_loses_nothing(tmp_path, model, uninterrupted):
    """In training, where Lightning catches it first; meanwhile no second process gets into the folder."""
    folder = new_folder(tmp_path / "a", model)
    process = standing(folder, "training:2")
    refused = finish(folder, code=2)
    assert "run is in use by another process: wait for it, or give this run another store.path" in refused
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "everything finished is kept in run" in said
    assert "mmevolve run recipe.yaml" in said
    assert "Traceback" not in said
    finish(folder)
    assert differing(artefacts(folder), uninterrupted) == []


def test_a_round_that_keeps_no_row_stops_and_says_why(tmp_path, model):
    folder = new_folder(tmp_path / "a", model)
    recipe = folder / "recipe.yaml"
    text = recipe.read_text().replace("require: long", "require: answer")
    recipe.write_text(text.replace("{_target_: own_parts.Critic}", "{_target_: critics.AnswerMatch}"))
    said = finish(folder, code=3)
    assert "evolve, round 0: Selector kept none of 70 trajectories for 35 samples" in said
    assert "critic 'answer' scored 0 above 0" in said
    assert "Nothing was trained and every table is kept" in said
    assert (folder / "run/evolve/round=000/trajectories.parquet").exists()
    assert not (folder / "run/evolve/round=000/checkpoint").exists()
