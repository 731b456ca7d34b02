"""How rows go through the model in training: numbers and gradients of one plain padded pass, less work and memory."""

from __future__ import annotations

import functools
import io
import json
import math
from dataclasses import replace

import lightning
import peft
import pytest
import torch

from mmevolve import console
from mmevolve.losses.dpo import DPO
from mmevolve.losses.kto import KTO
from mmevolve.losses.policy_gradient import GRPO
from mmevolve.losses.sft import SFT
from mmevolve.losses.step import Step
from mmevolve.losses.step_dpo import StepDPO
from mmevolve.models.reward import StepRewardModel
from mmevolve.store import RunStore, StoreError
from mmevolve.text import user
from mmevolve.training import passes as ways
from mmevolve.training.fit import Fit
from mmevolve.training.memory import Held, fitting, largest, no_room, tried
from mmevolve.training.modules import ReasonerModule, StepRewardModule
from mmevolve.training.passes import Passes, Reader, plainly
from mmevolve.training.reference import with_reference
from mmevolve.training.rows_read import rows_read
from mmevolve.types import Demonstration, Labelled, Preference, Rollout

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),  # a frozen eye, on purpose
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]
TOGETHER = Passes()
APART = Passes(share=False)
SMALL = Passes(text_tokens=60)  # no more than the rows of one or two prompts
CPU = functools.partial(lightning.Trainer, accelerator="cpu", devices=1)
SAID = ["red : a1\n1", "no", "3 + 4 = 7\n7", "blue circle\n2", "yes", "3 + 4 = 8\n8"]


@pytest.fixture(scope="module")
def asked(samples):
    """Three questions, each asked twice, in no order."""
    return [(user(samples[i].question, samples[i].images),) for i in (0, 1, 0, 2, 1, 2)]


@pytest.fixture(scope="module")
def kinds(asked):
    """Rows of every kind, a loss for each."""
    said = list(zip(asked, SAID, strict=True))
    pairs = [
        Preference(p, a, b, weight=1.0 + i, source=f"pair {i}")
        for i, ((p, a), b) in enumerate(zip(said, SAID[1:] + SAID[:1], strict=True))
    ]
    steps = [replace(r, prefix="look again\n", scope="step") for r in pairs]
    ids = ((9, 11, 12), (14,), (9, 30), (31, 32, 33, 34), (40,), (41, 42))
    return {
        "demonstrations": (SFT(), [Demonstration(p, a, 1.0 + i, source=f"{i}") for i, (p, a) in enumerate(said)]),
        "pairs": (DPO(), pairs),
        "pairs whose loss sorts the batch": (DPO(loss_type="aot"), [replace(r, weight=1.0) for r in pairs]),
        "steps of pairs": (StepDPO(), steps),
        "labels": (KTO(), [Labelled(p, a, (float(i % 2),), source=f"{i}") for i, (p, a) in enumerate(said)]),
        "rollouts": (
            GRPO(),
            [
                Rollout(p, t, (-1.0,) * len(t), (i - 2.5,), source=f"{i}")
                for i, (p, t) in enumerate(zip(asked, ids, strict=True))
            ],
        ),
    }


def learned(policy, loss, rows, passes, module=ReasonerModule):
    """Loss, what went into it, and the gradients."""
    made = module(policy, loss=loss, passes=passes)
    x = made.loss_input(rows)
    value = loss(x).loss
    names, weights = zip(*policy.named_weights(), strict=True)
    gradients = torch.autograd.grad(value, weights, allow_unused=True)
    return value.detach(), x, dict(zip(names, gradients, strict=True)), made


def same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-5, rtol=1e-5)
    mask = theirs[1].mask
    assert torch.equal(ours[1].mask, mask)
    torch.testing.assert_close(ours[1].logps * mask, theirs[1].logps * mask, atol=1e-5, rtol=0)
    assert any(g is not None and g.abs().max() > 1e-4 for g in ours[2].values())
    for name, gradient in ours[2].items():
        assert (gradient is None) == (theirs[2][name] is None), name
        if gradient is not None:
            torch.testing.assert_close(gradient, theirs[2][name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("passes", [TOGETHER, SMALL, replace(SMALL, share=False)], ids=["one", "several", "apart"])
@pytest.mark.parametrize(
    "kind", ["demonstrations", "pairs", "pairs whose loss sorts the batch", "steps of pairs", "labels", "rollouts"]
)
def test_loss_and_gradients_are_those_of_one_plain_pass(fresh, kinds, kind, passes):
    policy = fresh()
    loss, rows = kinds[kind]
    if loss.needs_reference:
        rows = with_reference(policy, rows)
    ours, theirs = (learned(policy, loss, rows, way) for way in (passes, None))
    same(ours, theirs)
    if passes is not TOGETHER:
        tokens = [row for example in rows for row in rows_read(policy, example)]
        assert len(ours[3].read.plan(policy, tokens)) > 1


@pytest.mark.parametrize("passes", [TOGETHER, SMALL], ids=["one", "several"])
def test_step_rewards_read_a_question_once_and_learn_the_same(model_folder, asked, passes):
    model = StepRewardModel(model_folder)
    with torch.no_grad():
        model.head.weight.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(0))  # zeros learn nothing below
    rows = [Labelled(p, f"yes\n{a}", (1.0,), source=f"{i}") for i, (p, a) in enumerate(zip(asked, SAID, strict=True))]
    ours, theirs = (learned(model, Step(), rows, way, StepRewardModule) for way in (passes, None))
    same(ours, theirs)
    assert ours[3].read.tokens_read < sum(len(r.prompt.ids) + len(r.completion) for r in model.rows(asked, SAID)[0]) * 2


def test_a_pair_reads_image_and_prompt_once(fresh, kinds):
    policy = fresh()
    _, rows = kinds["pairs"]
    tokens = [row for example in rows[:1] for row in rows_read(policy, example)]
    together, alone = Reader(TOGETHER), Reader(APART)
    with torch.no_grad():
        for read in (together, alone):
            read(policy, tokens)
    prompt = len(tokens[0].prompt.ids)
    assert together.tokens_read == prompt + sum(len(row.completion) for row in tokens)
    assert alone.tokens_read == 2 * (prompt + max(len(row.completion) for row in tokens))


def test_passes_hold_every_row_once_within_the_budget(fresh, kinds):
    policy = fresh()
    _, rows = kinds["pairs"]
    tokens = [row for example in rows for row in rows_read(policy, example)]
    image = policy.encoder.prompt(rows[0].prompt).ids.count(ways.image_token(policy))
    assert image > 0
    longest = max(len(row.prompt.ids) + len(row.completion) for row in tokens)
    for share in (True, False):
        for passes in (
            Passes(share=share, text_tokens=longest),
            Passes(share=share, text_tokens=90),
            Passes(share=share, image_tokens=image),
            Passes(share=share, image_tokens=2 * image, text_tokens=200),
        ):
            read = Reader(passes)
            plan = read.plan(policy, tokens)
            assert sorted(i for mine in plan for i in mine) == list(range(len(tokens)))
            assert plan == Reader(passes).plan(policy, tokens)
            for mine in plan:
                load = read.load(policy, [tokens[i] for i in mine])
                assert load.within(passes), (load, passes)
    assert len(Reader(Passes(image_tokens=image)).plan(policy, tokens)) == 3  # a question a pass
    assert len(Reader(Passes(share=False, image_tokens=image)).plan(policy, tokens)) == 12


def test_where_a_model_cannot_share_it_says_so_once_and_reads_rows_one_by_one(fresh, kinds):
    policy = fresh()
    policy.model.model.get_decoder().config._attn_implementation = "eager"
    said = io.StringIO()
    loss, rows = kinds["demonstrations"]
    with console.shown_on(console.Console(said)):
        ours = learned(policy, loss, rows, TOGETHER)
        ours[3].loss_input(rows)
    same(ours, learned(policy, loss, rows, None))
    assert said.getvalue().count("passes: rows of one prompt are read one by one, Llava") == 1


def test_a_shared_pass_that_reads_otherwise_is_not_used(fresh, kinds, monkeypatch):
    policy = fresh()
    policy.train_mode()
    monkeypatch.setattr(ways, "disagreement", lambda *_, **__: "it differs")
    loss, rows = kinds["demonstrations"]
    ours = learned(policy, loss, rows, TOGETHER)
    assert policy.model.training  # the comparison is made in eval mode
    same(ours, learned(policy, loss, rows, None))
    assert ours[3].read.tokens_read >= sum(len(r.prompt.ids) for row in rows for r in rows_read(policy, row))


def fit(**settings):
    given = {"loss": SFT(), "optimizer": functools.partial(torch.optim.SGD, lr=0.05), "trainer": CPU, "batch_size": 4}
    return Fit(**{**given, "shuffle": False, **settings})


def trained(train, policy, rows, folder):
    train(policy, rows, RunStore(str(folder)).stage("evolve"), round=0)
    return {n: p.detach().clone() for n, p in policy.named_weights()}


@pytest.mark.parametrize(
    "passes", [TOGETHER, Passes(text_tokens=90, checkpoint=True, memory=10**9)], ids=["together", "all of it"]
)
def test_a_trained_adapter_is_that_of_plain_passes(fresh, kinds, tmp_path, passes):
    def adapted():
        torch.manual_seed(0)
        return fresh(lora=peft.LoraConfig(r=2, target_modules=".*language_model.*(q|v|down)_proj", lora_dropout=0.0))

    _, rows = kinds["pairs"]
    settings = {"loss": DPO(beta=1.0), "reference": "base", "epochs": 2}
    expected = trained(fit(**settings), adapted(), rows, tmp_path / "plain")
    policy = adapted()
    start = {n: p.detach().clone() for n, p in policy.named_weights()}
    found = trained(fit(**settings, passes=passes), policy, rows, tmp_path / "passes")
    assert max((found[n] - start[n]).abs().max() for n in found) > 1e-3
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name], atol=1e-5, rtol=1e-4)
    decoder = policy.model.get_base_model().model.get_decoder()
    assert decoder.config._attn_implementation == "sdpa"
    assert not decoder.is_gradient_checkpointing


def test_trying_the_largest_batch_changes_no_byte_of_what_is_learned(fresh, kinds, tmp_path):
    _, rows = kinds["demonstrations"]
    without, with_it = (
        trained(fit(passes=replace(TOGETHER, memory=limit)), fresh(), rows, tmp_path / f"{limit}")
        for limit in (None, 10**9)
    )
    assert all(torch.equal(without[n], with_it[n]) for n in without)


def test_a_memory_limit_names_the_longest_row_before_the_first_step(fresh, kinds, tmp_path):
    _, rows = kinds["demonstrations"]
    long = replace(rows[3], completion="red " * 40, source="the long one")
    policy = fresh()
    before = policy.weights_digest()
    sentence = (
        r"training takes [\d,]+ bytes \(.* for the largest batch\), more than passes.memory 1,000,000; "
        "the longest row of the largest batch is 'the long one': fewer rows a step"
    )
    with pytest.raises(ValueError, match=sentence):
        fit(passes=Passes(memory=10**6))(
            policy, [*rows[:3], long, rows[4]], RunStore(str(tmp_path)).stage("e"), round=0
        )
    assert policy.weights_digest() == before


def test_the_largest_batch_is_that_of_the_largest_pass(fresh, kinds):
    _, rows = kinds["demonstrations"]
    module = ReasonerModule(fresh(), loss=SFT(), passes=TOGETHER)
    long = replace(rows[0], completion="red " * 40, source="long")
    batch, load, source = largest(module, [rows[1:2], [rows[2], long], rows[3:4]])
    assert source == "long" and batch[1] is long
    ids = [
        module.policy.encoder.prompt(long.prompt).ids,
        *(module.policy.encoder.completion(r.completion) for r in batch),
    ]
    assert load.text + load.image == sum(map(len, ids))


def test_checkpointing_and_several_passes_hold_less(fresh, kinds):
    _, rows = kinds["demonstrations"]
    many = [replace(row, completion="red " * 30) for row in rows * 2]

    def activations(passes):
        policy = fresh()
        policy.train_mode()
        if passes.checkpoint:
            policy.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return tried(ReasonerModule(policy, loss=SFT(), passes=passes), many).activations

    plain = activations(APART)
    assert activations(TOGETHER) < 0.9 * plain
    assert activations(replace(APART, text_tokens=150)) < 0.75 * plain
    assert activations(replace(APART, checkpoint=True)) < 0.8 * plain


def test_no_tensor_of_batch_by_length_by_vocabulary_is_held(fresh, kinds, monkeypatch):
    from mmevolve.models import score as scoring

    monkeypatch.setattr(scoring, "CHUNK_TOKENS", 8)
    policy = fresh()
    _, rows = kinds["demonstrations"]
    many = [replace(row, completion="red " * 60) for row in rows]
    words = policy.model.get_output_embeddings().weight.shape[0]
    tokens = sum(len(policy.encoder.completion(row.completion)) for row in many)
    for passes in (None, TOGETHER):
        with Held() as held:
            learned(policy, SFT(), many, passes)
        assert held.largest < 4 * tokens * words / 2
        assert held.peak > held.largest > 0


def test_what_is_held_is_counted_tensor_by_tensor():
    with Held() as held:
        a = torch.zeros(1000)
        b = a.view(10, 100)
        c = b + 1
        del c
        torch.zeros(250)
    assert held.peak == 8000 and held.now == 4000 and held.largest == 4000
    assert b.sum() == 0


def test_memory_that_a_device_does_not_have_is_said_of_rows(kinds):
    _, rows = kinds["demonstrations"]
    with (
        pytest.raises(ValueError, match=r"no memory for a step of 6 rows, from '0', '1', '2', '3', ... \(CUDA out"),
        no_room(rows),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has ...")


def test_a_row_that_is_more_than_a_pass_stops_the_run_or_is_left_out_and_told_of(fresh, kinds, tmp_path):
    _, rows = kinds["demonstrations"]
    long = replace(rows[1], completion="red " * 60, source="too long")
    passes = Passes(text_tokens=70)
    sentence = r"row from 'too long' is more than one pass by itself: \d+ text and \d+ image tokens, one pass takes 70"
    with pytest.raises(ValueError, match=sentence):
        fitting(fresh(), [*rows, long], passes)
    said = io.StringIO()
    store = RunStore(str(tmp_path)).stage("evolve")
    with console.shown_on(console.Console(said)):
        fit(passes=replace(passes, too_long="drop"))(fresh(), [*rows, long], store, round=0)
    assert "passes: 1 of 7 rows left out, too long for one pass: 'too long'" in said.getvalue()
    (left,) = json.loads((store.checkpoint(0) / "left_out.json").read_text())
    assert left["source"] == "too long" and left["reason"].startswith("more than one pass by itself: ")
    with pytest.raises(ValueError, match="every row is more than one pass by itself"):
        fit(passes=replace(passes, too_long="drop"))(fresh(), [long], RunStore(str(tmp_path / "b")).stage("e"), round=0)


def test_an_image_is_more_than_a_pass_by_its_own_budget(fresh, kinds):
    _, rows = kinds["demonstrations"]
    with pytest.raises(ValueError, match="one pass takes any number of text and 1 image tokens"):
        fitting(fresh(), rows, Passes(image_tokens=1))
    assert fitting(fresh(), rows, Passes(image_tokens=1000)) == (rows, [])
    assert fitting(fresh(), rows, TOGETHER) == (rows, [])


def test_a_reference_read_together_is_that_of_plain_passes_and_is_kept(fresh, kinds, tmp_path):
    policy = fresh()
    _, rows = kinds["pairs"]
    for ours, theirs in zip(with_reference(policy, rows, passes=SMALL), with_reference(policy, rows), strict=True):
        assert ours.ref_chosen == pytest.approx(theirs.ref_chosen, abs=1e-5)
        assert ours.ref_rejected == pytest.approx(theirs.ref_rejected, abs=1e-5)
    store = RunStore(str(tmp_path)).stage("evolve")
    fit(loss=DPO(), passes=SMALL)(fresh(), rows, store, round=0)
    kept = store.table(0, "reference")
    assert [tuple(r["ref_chosen"]) for r in kept] == [r.ref_chosen for r in with_reference(policy, rows, passes=SMALL)]
    with pytest.raises(StoreError, match=r"'train\.passes"):
        fit(loss=DPO())(fresh(), rows, store, round=0)


def test_a_step_from_the_reference_has_loss_ln_2_in_bfloat16_too(fresh, kinds, tmp_path):
    """Mixed precision is the trainer's setting; statistics of the vocabulary stay in float32."""
    _, rows = kinds["pairs"]
    seen = []

    class Watch(ReasonerModule):
        def training_step(self, batch, batch_idx):
            x = self.loss_input(batch)
            seen.append((x.logps.dtype, self.loss(x).loss.item()))
            return super().training_step(batch, batch_idx)

    train = fit(
        loss=DPO(), passes=TOGETHER, batch_size=6, module=Watch,
        trainer=functools.partial(lightning.Trainer, accelerator="cpu", devices=1, precision="bf16-mixed"),
    )  # fmt: skip
    weights = trained(train, fresh(), rows, tmp_path)
    assert all(w.dtype == torch.float32 for w in weights.values())
    ((dtype, loss),) = seen
    assert dtype == torch.float32
    assert loss == pytest.approx(math.log(2.0), abs=0.05)


def test_without_the_setting_rows_are_read_as_ever(fresh, kinds):
    loss = kinds["demonstrations"][0]
    assert ReasonerModule(fresh(), loss=loss).read is plainly
    assert Fit(loss, torch.optim.SGD).passes is None
