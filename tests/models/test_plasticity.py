"""What a network can still learn: units, rank, the probe; and that looking leaves no trace."""

from __future__ import annotations

import math

import pytest
import torch
from families import load, questions

from mmevolve.loops import _measure
from mmevolve.models.plasticity import Plasticity, effective_rank, is_activation, listening, plasticity
from mmevolve.store import RunStore
from mmevolve.types import Sample

DATA = [
    Sample(f"s{i}", chat[0]["content"][-1]["text"], tuple(p["image"] for p in chat[0]["content"] if "image" in p))
    for i, chat in enumerate(questions())
]


def test_effective_rank_by_hand():
    """Two equal singular values: e^(log 2); 3 to 1: e^(-(.75 log .75 + .25 log .25)); all alike: 1."""
    cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert effective_rank(cross) == pytest.approx(2.0)
    stretched = cross * torch.tensor([3.0, 1.0])
    assert effective_rank(stretched) == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
    assert effective_rank(torch.ones(3, 4)) == 1.0


def test_activations_are_known_by_their_class():
    from transformers.activations import ACT2FN

    assert all(is_activation(ACT2FN[name]) for name in ("silu", "gelu", "gelu_pytorch_tanh", "relu", "gelu_new"))
    assert not is_activation(torch.nn.Linear(1, 1)) and not is_activation(torch.nn.LayerNorm(1))


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl"])
def test_looking_leaves_weights_and_chance_alone_and_gives_the_same_again(model_root, family):
    policy = load(family, model_root / family)
    before, state = policy.weights_digest(), torch.random.get_rng_state()
    probe = Plasticity(DATA, steps=3, batch=2)
    (first,) = plasticity(policy, probe)
    assert policy.weights_digest() == before and torch.equal(torch.random.get_rng_state(), state)
    assert plasticity(policy, probe) == [first]
    assert set(first) == {"active_units", "dormant_units", "effective_rank", "refit_loss"}
    assert 0 < first["active_units"] <= 1 and 0 <= first["dormant_units"] < 1 and first["refit_loss"] < 1
    (without,) = plasticity(policy, Plasticity(DATA, steps=0, batch=2))
    assert "refit_loss" not in without and without["effective_rank"] == first["effective_rank"]


def test_dead_units_are_counted(model_root):
    """Half of the units of every layer are given no input: half are dormant, and none of those is active."""
    policy = load("tiny", model_root / "tiny")
    sums: dict[str, torch.Tensor] = {}
    with listening(policy, sums):
        policy.logprobs([questions()[0]], ["a"])
    names = [n.rpartition(".")[0] for n in sums]
    layers = {n: m for n, m in policy.model.named_modules() if any(n.endswith(name) for name in names)}
    assert layers
    with torch.no_grad():
        for mlp in layers.values():
            gate = getattr(mlp, "gate_proj", None) or mlp.fc1
            gate.weight[: len(gate.weight) // 2] = 0.0
            if gate.bias is not None:
                gate.bias[: len(gate.bias) // 2] = 0.0
    (found,) = plasticity(policy, Plasticity(DATA, steps=0))
    assert found["dormant_units"] >= 0.5 and found["active_units"] <= 0.5


def test_a_network_that_cannot_move_keeps_the_loss_of_guessing(model_root):
    policy = load("tiny", model_root / "tiny")
    stuck = Plasticity(DATA, steps=3, lr=0.0)
    assert plasticity(policy, stuck)[0]["refit_loss"] == pytest.approx(1.0, abs=1e-5)
    assert plasticity(policy, Plasticity(DATA, steps=8, lr=3e-3))[0]["refit_loss"] < 0.95


def test_it_stands_among_a_loops_evaluations(model_root, tmp_path, monkeypatch):
    policy = load("tiny", model_root / "tiny")
    store = RunStore(str(tmp_path), "evolve")
    numbers = _measure(store, 0, (), (), [Plasticity(DATA, steps=1)], policy)
    assert numbers["plasticity/active_units"] > 0
    monkeypatch.setattr("mmevolve.models.plasticity.refit_loss", None)
    assert _measure(store, 0, (), (), [Plasticity(DATA, steps=1)], policy) == numbers


def test_without_samples_it_is_refused():
    with pytest.raises(ValueError, match="'plasticity' has no samples to read"):
        Plasticity([])
