"""The loop knows no model: the quickstart's recipe with its policy pointed at another stock VLM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from families import load

from mmevolve.data.shapes.dataset import shapes
from mmevolve.launch import run
from mmevolve.models.encode import Row, collate
from mmevolve.models.score import score
from mmevolve.prompts import template
from mmevolve.store import RunStore
from mmevolve.text import ask

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
SMALL = [
    "warmup_data.n=12", "reward_data.n=12", "train_data.n=24", "held_out.n=8", "evaluations.1.data.n=8",
    "families=[count]", "warmup_data.families=[count]", "loop.2.rounds=2", "loop.2.fraction=0.5",
    "loop.0.train.steps=2", "loop.2.train.steps=2", "loop.1.train.epochs=1", "loop.2.sampler.n=4",
    "loop.2.selector.above=0.0",
]  # fmt: skip


@pytest.fixture(scope="module")
def says_two(model_root, tmp_path_factory):
    """A random Qwen2.5-VL taught to say that there are two of anything: right often enough to be kept."""
    vlm = load("qwen2_5_vl", model_root / "qwen2_5_vl", freeze="eye")
    samples = shapes(n=8, split="base", families=("count",))
    prompts = [vlm.encoder.prompt(ask(s, template(t), answer="2")) for t in ("question", "hint") for s in samples]
    rows = [Row(p, vlm.encoder.completion("a1 b2 = 2\nanswer : 2")) for p in prompts]
    optimizer = torch.optim.AdamW([p for _, p in vlm.named_weights()], lr=1e-2)
    vlm.train_mode()
    for _ in range(40):
        out = score(vlm.model, collate(rows, pad=vlm.pad, device=vlm.device, side="right"), rows)
        loss = -(out.logps * out.mask).sum() / out.mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    vlm.eval_mode()
    assert loss.item() < 0.1
    folder = tmp_path_factory.mktemp("qwen") / "says_two"
    vlm.save(folder)
    return folder


def test_the_quickstart_runs_another_stock_vlm_through_every_stage(says_two, tmp_path, capfd):
    place = tmp_path / "run"
    code = run(str(QUICKSTART), [*SMALL, f"policy.name={says_two}", f"prm.name={says_two}", f"store.path={place}"])
    assert code == 0, capfd.readouterr()
    evolved = RunStore(str(place)).stage("evolve")
    summary = json.loads((place / "summary.json").read_text())
    assert summary["n_questions"] == 8
    for r in range(2):
        attempts, said = evolved.table(r, "trajectories"), evolved.table(r, "critiques")
        assert len(attempts) == 12 * 4
        assert {c.critic for c in said} == {"answer", "prm", "oracle"}
        assert evolved.table(r, "examples")
        assert (evolved.checkpoint(r) / "model.safetensors").is_file()
    assert all(a.author.startswith(str(says_two)) for a in attempts)
