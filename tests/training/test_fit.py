"""Training stages: what is carried from round to round, and what is refused."""

from __future__ import annotations

import errno
import functools
import json
import os
from dataclasses import replace

import lightning
import peft
import pytest
import torch
from safetensors.torch import load_file

from mmevolve.losses.inputs import LossInput
from mmevolve.losses.sft import SFT
from mmevolve.losses.step import Step
from mmevolve.models.reward import StepRewardModel
from mmevolve.store import RunStore, StoreError
from mmevolve.text import user
from mmevolve.training.fit import Fit
from mmevolve.training.modules import ReasonerModule, StepRewardModule
from mmevolve.types import Demonstration, Labelled, Preference

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),  # a frozen eye, on purpose
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]
ADAM = functools.partial(torch.optim.AdamW, lr=1e-2)
CPU = functools.partial(lightning.Trainer, accelerator="cpu", devices=1)


def halving(step):
    return 0.5**step


SCHEDULES = {
    "constant": None,
    "lambda": functools.partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=halving),
    "cosine": functools.partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=6),
    "one_cycle": functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2, total_steps=6),
    "milestones": functools.partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[2, 4]),
}


def fit(**settings):
    return Fit(**{"loss": SFT(), "optimizer": ADAM, "trainer": CPU, "batch_size": 4, "shuffle": False, **settings})


def store_in(folder):
    return RunStore(str(folder)).stage("evolve")


def rounds(train, fresh, parts, folder, **settings):
    """Train on parts in turn; every round starts from the checkpoint with everything else made anew."""
    store = store_in(folder)
    for r, part in enumerate(parts):
        policy = fresh(**settings)
        policy.mark_home()
        if r > 0:
            policy.load(store.checkpoint(r - 1), f"evolve/round={r - 1:03d}")
        policy = train(policy, part, store, round=r)
    return policy


def left(folder, round):
    """Weights, optimizer tensors and the rest of the state that a round left."""
    checkpoint = store_in(folder).checkpoint(round)
    weights, moments = (load_file(checkpoint / f"{name}.safetensors") for name in ("trained", "optimizer"))
    return weights, moments, json.loads((checkpoint / "optimizer.json").read_text())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rounds_that_carry_the_optimizer_equal_one_uninterrupted_run(fresh, rows, tmp_path, schedule):
    train = fit(carry="optimizer", scheduler=SCHEDULES[schedule])
    rows = [*rows, *rows[:8]]
    rounds(train, fresh, [rows[:8], rows[8:16], rows[16:]], tmp_path / "rounds")
    rounds(train, fresh, [rows], tmp_path / "whole")
    weights, moments, rest = left(tmp_path / "rounds", 2)
    expected_weights, expected_moments, expected_rest = left(tmp_path / "whole", 0)
    assert same(weights, expected_weights)
    assert same(moments, expected_moments)
    assert rest == expected_rest
    assert all(moments[k] == 6 for k in moments if k.endswith("|step"))
    assert (tmp_path / "rounds/evolve/round=002/checkpoint/model.safetensors").read_bytes() == (
        tmp_path / "whole/evolve/round=000/checkpoint/model.safetensors"
    ).read_bytes()


def test_the_optimizer_is_carried_over_a_round_that_trained_nothing(fresh, rows, tmp_path):
    train = fit(carry="optimizer")
    for name, second in (("next", 1), ("gap", 3)):
        policy = fresh()
        policy.mark_home()
        for r in (0, second):
            train(policy, rows[:4], store_in(tmp_path / name), round=r)
    next_weights, next_moments, _ = left(tmp_path / "next", 1)
    gap_weights, gap_moments, _ = left(tmp_path / "gap", 3)
    assert same(next_weights, gap_weights)
    assert same(next_moments, gap_moments)
    assert {float(v) for k, v in gap_moments.items() if k.endswith("|step")} == {2.0}


def test_the_optimizer_is_carried_for_an_adapter_too(fresh, rows, tmp_path):
    lora = peft.LoraConfig(r=2, target_modules="all-linear")
    torch.manual_seed(0)
    start = fresh(lora=lora)

    def adapted(**settings):
        policy = fresh(lora=lora)
        with torch.no_grad():
            for (_, p), (_, q) in zip(policy.named_weights(), start.named_weights(), strict=True):
                p.copy_(q)
        return policy

    train = fit(carry="optimizer")
    rounds(train, adapted, [rows[:8], rows[8:]], tmp_path / "rounds")
    rounds(train, adapted, [rows], tmp_path / "whole")
    ours, theirs = left(tmp_path / "rounds", 1), left(tmp_path / "whole", 0)
    assert same(ours[0], theirs[0]) and same(ours[1], theirs[1]) and ours[2] == theirs[2]


def test_carrying_weights_starts_the_optimizer_and_the_schedule_anew(fresh, rows, tmp_path):
    train = fit(carry="weights", scheduler=SCHEDULES["lambda"])
    rounds(train, fresh, [rows[:8], rows[8:]], tmp_path / "rounds")
    _, moments, rest = left(tmp_path / "rounds", 1)
    assert all(moments[k] == 2 for k in moments if k.endswith("|step"))
    assert rest["scheduler"]["last_epoch"] == 2
    policy = fresh()
    policy.load(store_in(tmp_path / "rounds").checkpoint(0), "x")
    train(policy, rows[8:], store_in(tmp_path / "again"), round=0)
    weights, expected, _ = left(tmp_path / "again", 0)
    assert same(weights, left(tmp_path / "rounds", 1)[0])
    assert same(expected, moments)


def test_carrying_nothing_goes_home_first(fresh, rows, tmp_path):
    train = fit(carry="nothing")
    rounds(train, fresh, [rows[:8], rows[8:]], tmp_path / "rounds")
    rounds(train, fresh, [rows[8:]], tmp_path / "alone")
    assert same(left(tmp_path / "rounds", 1)[0], left(tmp_path / "alone", 0)[0])
    assert same(left(tmp_path / "rounds", 1)[1], left(tmp_path / "alone", 0)[1])


def test_a_finished_round_is_only_loaded(fresh, rows, tmp_path, monkeypatch):
    train, store = fit(), store_in(tmp_path)
    trained = train(fresh(), rows[:4], store, round=0)
    monkeypatch.setattr(Fit, "_fit", lambda *args: pytest.fail("trained twice"))
    again = train(fresh(), rows[:4], store, round=0)
    assert again.weights_digest() == trained.weights_digest()
    assert again.name == trained.name and again.name.endswith("@evolve/round=000")


@pytest.mark.parametrize(
    "change, said",
    [
        ({"batch_size": 2}, "'train.batch_size' was 4, now 2"),
        ({"carry": "optimizer"}, '\'train.carry\' was "weights", now "optimizer"'),
        ({"optimizer": functools.partial(torch.optim.AdamW, lr=0.5)}, "'train.optimizer.lr' was 0.01, now 0.5"),
    ],
)
def test_a_checkpoint_made_with_other_settings_is_refused_by_name(fresh, rows, tmp_path, change, said):
    store = store_in(tmp_path)
    fit()(fresh(), rows[:4], store, round=0)
    with pytest.raises(StoreError, match=f"checkpoint was made with other settings: {said}"):
        fit(**change)(fresh(), rows[:4], store, round=0)


def test_a_checkpoint_of_other_rows_or_weights_is_refused(fresh, rows, tmp_path):
    store = store_in(tmp_path)
    fit()(fresh(), rows[:4], store, round=0)
    with pytest.raises(StoreError, match=r"'examples\.digest' was"):
        fit()(fresh(), rows[4:8], store, round=0)
    other = fresh()
    with torch.no_grad():
        next(other.named_weights())[1].add_(1.0)
    with pytest.raises(StoreError, match=r"'policy\.weights' was"):
        fit()(other, rows[:4], store, round=0)


def test_the_optimizer_of_another_model_is_refused(fresh, rows, tmp_path):
    store = store_in(tmp_path)
    fit(carry="optimizer")(fresh(), rows[:4], store, round=0)
    with pytest.raises(ValueError, match=r"optimizer state in .* (belongs to another model|has \d+ parameters)"):
        fit(carry="optimizer")(fresh(freeze="nothing"), rows[:4], store, round=1)


def test_rows_of_another_type_are_refused_in_one_sentence(fresh, tmp_path):
    pair = Preference((user("q"),), "a", "b", source="s/0/0")
    with pytest.raises(ValueError, match="SFT trains on Demonstration rows, got a Preference from 's/0/0'"):
        fit()(fresh(), [pair], store_in(tmp_path), round=0)
    with pytest.raises(ValueError, match="evolve, round 0: no rows to train on"):
        fit()(fresh(), [], store_in(tmp_path), round=0)


@pytest.mark.parametrize("text", ["red <image> : a1", "<user>", "<pad>"])
def test_special_tokens_inside_a_completion_are_refused_naming_the_row(fresh, rows, tmp_path, text):
    bad = replace(rows[0], completion=text, source="s7/0/3")
    with pytest.raises(ValueError, match=r"training row from 's7/0/3' holds special tokens .* inside its completion"):
        fit()(fresh(), [rows[1], bad], store_in(tmp_path), round=0)
    assert not store_in(tmp_path).checkpoint(0).exists()


def test_a_full_disk_while_saving_is_said_and_leaves_no_checkpoint(fresh, rows, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = store_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StoreError, match="No space left on device; finished tables and checkpoints are whole"):
            fit()(fresh(), rows[:4], store, round=0)
    assert not store.checkpoint(0).exists()
    assert fit()(fresh(), rows[:4], store, round=0).version == "evolve/round=000"


def test_ctrl_c_in_training_comes_through_as_itself(fresh, rows, tmp_path):
    class Stop(SFT):
        def __call__(self, x):
            raise KeyboardInterrupt

    store = store_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(loss=Stop())(fresh(), rows[:4], store, round=0)
    assert not store.checkpoint(0).exists()
    fit()(fresh(), rows[:4], store, round=0)
    assert store.checkpoint(0).exists()


def test_callbacks_of_the_recipe_join_ours(fresh, rows, tmp_path):
    seen = []

    class Count(lightning.Callback):
        def on_train_batch_end(self, *args):
            seen.append(1)

        def describe(self):
            return "count"

    trainer = functools.partial(CPU.func, **CPU.keywords, callbacks=[Count()])
    fit(trainer=trainer, carry="optimizer")(fresh(), rows[:8], store_in(tmp_path), round=0)
    assert len(seen) == 2
    assert (store_in(tmp_path).checkpoint(0) / "optimizer.safetensors").exists()


def test_dropout_is_on_and_the_same_each_time(model_folder, rows, tmp_path):
    from mmevolve.models.vlm import TransformersVLM

    lora = peft.LoraConfig(r=2, target_modules="all-linear", lora_dropout=0.5)
    digests = []
    for i, (dropout, seed) in enumerate([(0.5, 0), (0.5, 0), (0.5, 1), (0.0, 0)]):
        torch.manual_seed(3)
        policy = TransformersVLM(model_folder, lora=lora)
        for module in policy.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        torch.rand(i)  # whatever happened before in the process
        fit(seed=seed)(policy, rows[:8], store_in(tmp_path / str(i)), round=0)
        assert not any(m.training for m in policy.model.modules())
        digests.append(policy.weights_digest())
    assert digests[0] == digests[1]
    assert len({*digests[1:]}) == 3


def test_rows_come_in_an_order_of_their_own_each_round(rows):
    train = Fit(SFT(), ADAM, batch_size=4)

    def sources(round, **change):
        return [r.source for batch in replace(train, **change).order(rows, round) for r in batch]

    assert sources(0) == sources(0) != sources(1)
    assert sorted(sources(0)) == sorted(r.source for r in rows)
    assert sources(0, seed=1) != sources(0)
    assert sources(0, shuffle=False) == [r.source for r in rows]
    twice = sources(0, epochs=2)
    assert sorted(twice[:16]) == sorted(twice[16:]) and twice[:16] != twice[16:]


def test_an_exact_number_of_steps_takes_rows_again_when_they_run_out(rows):
    batches = list(Fit(SFT(), ADAM, batch_size=4, steps=6).order(rows[:10], 0))
    assert [len(b) for b in batches] == [4] * 6
    seen = [r.source for b in batches for r in b]
    assert sorted(seen[:10]) == sorted(seen[10:20]) == sorted(r.source for r in rows[:10])


def test_spans_that_are_only_context_are_not_learned(fresh):
    module = ReasonerModule(fresh(), loss=SFT())
    row = Demonstration((user("how many ?"),), "red : a1\n7", mask=((0, 8),))
    free = module.loss_input([replace(row, mask=())])
    masked = module.loss_input([row])
    assert isinstance(masked, LossInput)
    assert free.mask.tolist() == [[1.0] * 6]
    assert masked.mask.tolist() == [[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]  # red : a1 | newline 7 end
    assert torch.equal(free.logps, masked.logps)


def labelled(samples):
    """A step that says 'yes' is good, one that says 'no' is not."""
    return [
        Labelled((user(s.question, s.images),), f"{a}\n{b}", (float(a == "yes"), float(b == "yes")), source=s.id)
        for i, s in enumerate(samples)
        for a, b in [(("yes", "no") if i % 2 else ("no", "yes"))]
    ]


def test_the_step_reward_module_learns_a_toy(model_folder, samples, tmp_path):
    model = StepRewardModel(model_folder)
    train = fit(loss=Step(), module=StepRewardModule, epochs=8)
    chats = [r.prompt for r in labelled(samples)]
    assert model.score_steps(chats[:1], ["yes\nno"]) == [(0.5, 0.5)]
    train(model, labelled(samples), store_in(tmp_path), round=0)
    for good, bad in model.score_steps(chats, ["yes\nno"] * len(chats)):
        assert good > 0.9 and bad < 0.1
    assert model.name.endswith("@evolve/round=000")


def test_labels_that_do_not_fit_the_steps_are_refused(model_folder, samples, tmp_path):
    row = labelled(samples)[0]
    train = fit(loss=Step(), module=StepRewardModule)
    for bad in (replace(row, labels=(1.0, 0.0, 1.0)), replace(row, completion=""), replace(row, weights=(1.0,))):
        with pytest.raises(ValueError, match=rf"row from '{row.source}': \d labels and \d weights for \d steps"):
            train(StepRewardModel(model_folder), [bad], store_in(tmp_path), round=0)


def test_one_label_is_the_last_steps_and_weights_count(model_folder, samples):
    module = StepRewardModule(StepRewardModel(model_folder), loss=Step())
    row = labelled(samples)[0]
    outcome = module.loss_input([replace(row, labels=(1.0,))])
    assert torch.isnan(outcome.labels[0, 0]) and outcome.labels[0, 1] == 1.0
    assert outcome.mask.tolist() == [[0.0, 1.0]]
    weighted = module.loss_input([replace(row, weights=(0.25, 1.0))])
    assert weighted.mask.tolist() == [[0.25, 1.0]]
