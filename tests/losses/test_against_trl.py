"""Values and gradients of TRL 1.16's own trainers, frozen by eval/parity/losses_against_trl.py."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from mmevolve.losses.cpo import CPO
from mmevolve.losses.dpo import DPO
from mmevolve.losses.dpo_terms import LOSSES
from mmevolve.losses.image_dpo import ImageDPO
from mmevolve.losses.inputs import LossInput
from mmevolve.losses.kto import KTO
from mmevolve.losses.mix import Mix
from mmevolve.losses.orpo import ORPO
from mmevolve.losses.policy_gradient import GRPO, RLOO
from mmevolve.losses.simpo import SimPO
from mmevolve.losses.sppo import SPPO
from mmevolve.losses.step_dpo import StepDPO

FROZEN = Path(__file__).parent / "fixtures" / "trl_1_16.safetensors"
PARTS = {p.__name__: p for p in (CPO, DPO, GRPO, KTO, ORPO, RLOO, SimPO)}
LIMIT = 1e-6  # relative where a number is above 1


@cache
def frozen():
    """TRL's version; for each batch its tensors, the descriptions of its cases, TRL's values and gradients."""
    with safe_open(FROZEN, "pt") as file:
        said = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a dictionary
    scenes = []
    for i, cases in enumerate(json.loads(said["cases"])):
        batch = {k.removeprefix(f"{i}.batch."): v for k, v in tensors.items() if k.startswith(f"{i}.batch.")}
        scenes.append((batch, cases, tensors[f"{i}.loss"], tensors[f"{i}.gradient"]))
    return said["trl"], scenes


def build(spec):
    settings = {k: v for k, v in spec.items() if k != "part"}
    if spec["part"] == "Mix":
        return Mix(tuple(build(s) for s in spec["losses"]), tuple(spec["weights"]))
    return PARTS[spec["part"]](**settings)


def ours(part, batch, **more):
    logps = batch["logps"].clone().requires_grad_()
    out = part(LossInput(**{**batch, **more, "logps": logps, "weight": torch.ones(len(logps))}))
    return out.loss.detach(), torch.autograd.grad(out.loss, logps)[0]


def assert_agrees(got, loss, gradient, spec):
    assert (got[0] - loss).abs() <= LIMIT * loss.abs().clamp(min=1), spec
    assert (got[1] - gradient).abs().max() <= LIMIT * gradient.abs().max().clamp(min=1), spec


def cases(part, kind=None):
    for batch, specs, losses, gradients in frozen()[1]:
        for spec, loss, gradient in zip(specs, losses, gradients, strict=True):
            if spec["part"] == part and (kind is None or spec["loss_type"] == kind):
                yield batch, spec, loss, gradient


@pytest.mark.parametrize("kind", LOSSES)
def test_each_of_the_fifteen_is_trls(kind):
    found = list(cases("DPO", kind))
    assert len(found) >= 15
    for batch, spec, loss, gradient in found:
        assert_agrees(ours(build(spec), batch), loss, gradient, spec)


@pytest.mark.parametrize("part", ["Mix", "CPO", "SimPO", "ORPO", "KTO", "GRPO", "RLOO"])
def test_the_other_losses_are_trls(part):
    found = list(cases(part))
    assert len(found) >= 6
    for batch, spec, loss, gradient in found:
        assert_agrees(ours(build(spec), batch), loss, gradient, spec)


def test_the_grid_covers_every_option():
    specs = [spec for _, spec, _, _ in cases("DPO")]
    assert frozen()[0].startswith("1.16")
    assert {s["f_divergence_type"] for s in specs} == {"reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"}
    assert {s["ld_alpha"] for s in specs} == {None, 0.0, 0.4, 1.0}
    assert {s["loss_type"] for s in specs if s["use_weighting"]} >= {"sigmoid", "ipo", "discopop", "sigmoid_norm"}
    assert {s["loss_type"] for s in specs if s["label_smoothing"]} == {"exo_pair", "robust", "aot", "aot_unpaired"}
    assert {s["importance_sampling_level"] for _, s, _, _ in cases("GRPO")} == {"token", "sequence"}


def test_soft_sppo_at_a_sure_win_is_the_hard_one():
    for batch, spec, loss, gradient in cases("DPO", "sppo_hard"):
        if not spec["use_weighting"] and spec["ld_alpha"] is None:
            sure = torch.ones(len(batch["logps"]) // 2)
            assert_agrees(ours(SPPO(spec["beta"]), batch, p_win=sure), loss, gradient, spec)


def test_step_and_image_pairs_without_prefix_and_anchor_are_dpo():
    for batch, spec, loss, gradient in cases("DPO", "sigmoid"):
        plain = not spec["use_weighting"] and spec["ld_alpha"] is None and spec["f_divergence_type"] == "reverse_kl"
        if plain:
            assert_agrees(ours(StepDPO(spec["beta"]), batch), loss, gradient, spec)
            assert_agrees(ours(ImageDPO(spec["beta"], anchor=0.0), batch), loss, gradient, spec)
