"""The reference inside a training stage: scored once and kept, at the round's start or under an adapter."""

from __future__ import annotations

import functools
import math

import lightning
import peft
import pytest
import torch

from mmevolve.losses.chosen_sft import ChosenSFT
from mmevolve.losses.dpo import DPO
from mmevolve.losses.mix import Mix
from mmevolve.losses.sft import SFT
from mmevolve.losses.simpo import SimPO
from mmevolve.store import RunStore
from mmevolve.text import user
from mmevolve.training import reference as scoring
from mmevolve.training.fit import Fit
from mmevolve.training.pairs import pair_input
from mmevolve.training.reference import with_reference
from mmevolve.types import Preference

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]
LORA = peft.LoraConfig(r=8, lora_alpha=64, target_modules="all-linear")


def fit(loss, **settings):
    return Fit(
        loss,
        functools.partial(torch.optim.AdamW, lr=1e-2),
        functools.partial(lightning.Trainer, accelerator="cpu", devices=1),
        **{"batch_size": 4, "steps": 8, **settings},
    )


def store_in(folder):
    return RunStore(str(folder)).stage("evolve")


@pytest.fixture(scope="session")
def pairs(samples):
    sides = [("red : a1\n1", "no"), ("yes", "blue circle\n2"), ("3 + 4 = 7\n7", "3 + 4 = 8\n8"), ("no", "yes")]
    return [Preference((user(s.question, s.images),), *sides[i], source=s.id) for i, s in enumerate(samples[:4])]


def scores(rows):
    return [(*row.ref_chosen, *row.ref_rejected) for row in rows]


def kept(store, round):
    return [(*row["ref_chosen"], *row["ref_rejected"]) for row in store.table(round, "reference")]


def test_pairs_train_by_themselves_and_the_reference_is_the_policy_at_the_start(fresh, pairs, tmp_path):
    policy, store = fresh(), store_in(tmp_path)
    expected = scores(with_reference(policy, pairs))
    trained = fit(DPO(beta=0.5))(policy, pairs, store, round=0)
    assert kept(store, 0) == expected
    with torch.no_grad():
        loss = DPO(beta=0.5)(
            pair_input(trained, scoring.carrying(pairs, store.table(0, "reference"), mismatched=False))
        )
    assert loss.loss < 0.7 * math.log(2.0)  # ln 2 is where it began


def test_each_round_has_its_own_start(fresh, pairs, tmp_path):
    policy, store, train = fresh(), store_in(tmp_path), fit(DPO())
    policy = train(policy, pairs, store, round=0)
    now = scores(with_reference(policy, pairs))
    train(policy, pairs, store, round=1)
    assert kept(store, 1) == now
    assert kept(store, 0) != now


def test_a_policy_that_goes_home_is_compared_with_home(fresh, pairs, tmp_path):
    policy, store, train = fresh(), store_in(tmp_path), fit(DPO(), carry="nothing")
    policy.mark_home()
    for round in range(2):
        policy = train(policy, pairs, store, round=round)
    assert kept(store, 1) == kept(store, 0)


def test_the_base_under_an_adapter_is_the_same_in_every_round(fresh, pairs, tmp_path):
    policy, store, train = fresh(lora=LORA), store_in(tmp_path), fit(DPO(), reference="base")
    for round in range(2):
        policy = train(policy, pairs, store, round=round)
    flat = [[x for row in kept(store, r) for x in row] for r in range(2)]
    assert flat[1] == pytest.approx(flat[0], abs=1e-5)


def test_another_model_of_the_same_base_is_the_same_in_every_round(fresh, pairs, tmp_path):
    policy, store = fresh(), store_in(tmp_path)
    train = fit(DPO(), reference=fresh())
    before = scores(with_reference(policy, pairs))
    for round in range(2):
        policy = train(policy, pairs, store, round=round)
        assert kept(store, round) == before
    assert scores(with_reference(policy, pairs)) != before, "the policy itself has moved"


def test_a_model_of_another_base_is_no_reference(fresh, pairs, tmp_path):
    other = fresh()
    other.source = "another"
    with pytest.raises(ValueError, match="the reference 'another@base' is not the base of the policy"):
        fit(DPO(), reference=other)(fresh(), pairs, store_in(tmp_path), round=0)


def test_without_an_adapter_there_is_no_base(fresh, pairs, tmp_path):
    with pytest.raises(ValueError, match=r"has no adapter to turn off: .*\(reference: start\)"):
        fit(DPO(), reference="base")(fresh(), pairs, store_in(tmp_path), round=0)


def test_a_base_that_nothing_is_compared_with_is_refused():
    with pytest.raises(ValueError, match="SFT compares with no reference, got reference: base"):
        fit(SFT(), reference="base")


def test_a_run_that_was_stopped_while_training_does_not_score_again(fresh, pairs, tmp_path, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    once = store_in(tmp_path / "once")
    fit(DPO())(fresh(), pairs, once, round=0)
    store = store_in(tmp_path / "twice")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Fit, "_fit", stopped)
        fit(DPO())(fresh(), pairs, store, round=0)
    monkeypatch.setattr(scoring, "_logps", stopped)
    fit(DPO())(fresh(), pairs, store, round=0)
    weights = "checkpoint/trained.safetensors"
    assert (store.round_folder(0) / weights).read_bytes() == (once.round_folder(0) / weights).read_bytes()


def test_pairs_without_a_preference_stop_before_they_are_scored(fresh, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "_logps", None)
    with pytest.raises(ValueError, match="its rejected side is empty"):
        fit(SimPO())(fresh(), [Preference(pairs[0].prompt, "yes", "", source="s")], store_in(tmp_path), round=0)


def test_a_loss_without_a_reference_scores_none(fresh, pairs, tmp_path):
    store = store_in(tmp_path)
    fit(SimPO(), steps=1)(fresh(), pairs, store, round=0)
    assert not (store.round_folder(0) / "reference.parquet").exists()


def test_likelihood_weights_and_a_mix_with_sft_reach_training(fresh, pairs, tmp_path):
    policy = fresh()
    x = pair_input(policy, with_reference(policy, pairs))
    assert (x.log_sum_sq[x.mask > 0] < 0).all()
    weight = torch.where(x.mask > 0, (x.logps - x.log_sum_sq).detach(), 0).sum(1) / x.mask.sum(1)
    each = weight.exp()[:4] * weight.exp()[4:]
    out = DPO(use_weighting=True)(x).loss
    assert out.item() == pytest.approx(math.log(2.0) * each.mean().item(), rel=1e-4)
    mix = Mix([DPO(), ChosenSFT()], [1.0, 0.1])
    trained = fit(mix)(policy, pairs, store_in(tmp_path), round=0)
    assert trained.version == "evolve/round=000"
