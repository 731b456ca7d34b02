"""Preference rows to a loss's input: sides, shared prefixes, other images, the reference, and rows that are refused."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import lightning
import peft
import pytest
import torch

from mmevolve.losses.dpo import DPO
from mmevolve.losses.image_dpo import ImageDPO
from mmevolve.losses.step_dpo import StepDPO
from mmevolve.store import RunStore
from mmevolve.text import user
from mmevolve.training.fit import Fit
from mmevolve.training.modules import ReasonerModule
from mmevolve.training.pairs import ScoredPair, check_pairs, pair_input
from mmevolve.training.reference import with_reference
from mmevolve.types import Preference

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]


class Pairs(ReasonerModule):
    """Learns from pairs."""

    def loss_input(self, rows):
        return pair_input(self.policy, rows)


@pytest.fixture(scope="session")
def pairs(samples):
    sides = [("red : a1\n1", "no"), ("yes", "blue circle\n2"), ("3 + 4 = 7\n7", "3 + 4 = 8\n8"), ("no", "yes")]
    return [
        Preference((user(s.question, s.images),), *sides[i % 4], weight=1.0 + i % 2, margin=0.5 * i, source=s.id)
        for i, s in enumerate(samples[:4])
    ]


def test_a_batch_is_all_chosen_sides_then_all_rejected_ones(fresh, pairs):
    policy = fresh()
    x = pair_input(policy, pairs)
    texts = [r.chosen for r in pairs] + [r.rejected for r in pairs]
    told = policy.logprobs([r.prompt for r in pairs] * 2, texts)
    assert x.logps.shape[0] == 8
    for i, scores in enumerate(told):
        n = len(scores.token_ids)
        torch.testing.assert_close(x.logps[i, :n], torch.tensor(scores.logprobs), rtol=1e-5, atol=1e-5)
        assert x.mask[i].tolist() == [1.0] * n + [0.0] * (x.mask.shape[1] - n)
    assert x.weight.tolist() == [1.0, 2.0, 1.0, 2.0] * 2
    assert x.margin.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert x.p_win.tolist() == [1.0] * 4
    assert x.names == tuple(r.source for r in pairs) * 2
    assert x.ref_logps is None
    assert not x.prefix.any()


def test_a_reference_is_the_policy_as_it_is_now(fresh, pairs):
    policy = fresh()
    before = policy.weights_digest()
    scored = with_reference(policy, pairs)
    x = pair_input(policy, scored)
    assert all(isinstance(r, ScoredPair) and isinstance(r, Preference) for r in scored)
    torch.testing.assert_close(x.ref_logps * x.mask, x.logps.detach(), rtol=1e-5, atol=1e-5)
    assert DPO()(x).loss.item() == pytest.approx(math.log(2.0), abs=1e-5)
    assert policy.weights_digest() == before
    assert [replace(r, ref_chosen=(), ref_rejected=()) for r in scored] == [
        ScoredPair(**{k: getattr(r, k) for k in Preference.__dataclass_fields__}) for r in pairs
    ]


def test_a_step_pair_shares_its_prefix_and_ends_without_an_end_token(fresh, pairs):
    policy = fresh()
    steps = [replace(pairs[2], chosen="3 + 4 = 7", rejected="3 + 4 = 8", prefix="red : a1\n", scope="step")]
    scored = with_reference(policy, steps)
    x = pair_input(policy, scored)
    shared = len(policy.encoder.completion("red : a1\n", end=False))
    step = policy.encoder.completion("3 + 4 = 7", end=False)
    assert x.logps.shape[1] == shared + len(step)
    assert x.prefix[0].tolist() == [1.0] * shared + [0.0] * len(step)
    assert x.mask[0].tolist() == [0.0] * shared + [1.0] * len(step)
    torch.testing.assert_close(x.logps[0, :shared], x.logps[1, :shared])
    assert StepDPO()(x).loss.item() == pytest.approx(math.log(2.0), abs=1e-5)
    whole = pair_input(policy, [replace(steps[0], scope="trajectory")])
    assert whole.mask[0].sum() == len(step) + 1


def test_the_answer_of_an_image_pair_is_read_under_two_images(fresh, pairs, samples):
    policy = fresh()
    own, other = samples[0], next(s for s in samples if s.images != samples[0].images)
    pair = replace(
        pairs[0], chosen="yes", rejected="yes", prompt=(user(own.question, own.images),),
        rejected_prompt=(user(own.question, other.images),),
    )  # fmt: skip
    x = pair_input(policy, with_reference(policy, [pair]))
    assert x.mask[0].tolist() == x.mask[1].tolist()
    assert not torch.equal(x.logps[0], x.logps[1])
    assert ImageDPO(anchor=0.0)(x).loss.item() == pytest.approx(math.log(2.0), abs=1e-5)


@pytest.mark.parametrize("adapter", [False, True])
def test_training_on_pairs_prefers_what_was_chosen(fresh, pairs, tmp_path, adapter):
    lora = peft.LoraConfig(r=8, lora_alpha=64, target_modules="all-linear") if adapter else None
    policy = fresh(lora=lora)
    scored = with_reference(policy, pairs, base=adapter)
    train = Fit(
        DPO(beta=0.5),
        functools.partial(torch.optim.AdamW, lr=1e-2),
        functools.partial(lightning.Trainer, accelerator="cpu", devices=1),
        batch_size=4,
        steps=24,
        module=Pairs,
    )
    trained = train(policy, scored, RunStore(str(tmp_path)).stage("evolve"), round=0)
    with torch.no_grad():
        out = DPO(beta=0.5)(pair_input(trained, scored))
    assert out.loss < 0.7 * math.log(2.0)  # ln 2 is where it began
    assert out.metrics["reward_margin"] > 0.5
    if adapter:  # the base stays what it was, whatever the adapter has learned
        again = with_reference(trained, pairs, base=True)
        assert again[0].ref_chosen == pytest.approx(scored[0].ref_chosen, abs=1e-5)


def test_scoring_a_reference_leaves_a_learning_policy_learning(fresh, pairs):
    policy = fresh()
    policy.train_mode()
    with_reference(policy, pairs)
    assert policy.model.training


REFUSED = {
    "identical sides": (
        {"chosen": "yes", "rejected": "yes"},
        "pair from '.*' has identical sides under the same prompt and images",
    ),
    "an empty side": ({"rejected": " \n"}, "its rejected side is empty, expected a completion"),
    "no probability": ({"p_win": 1.2}, "p_win is 1.2, expected a probability from 0 to 1"),
    "a weight that is no number": ({"weight": math.nan}, "weight is nan, expected a number of at least 0"),
    "a margin that is no number": ({"margin": math.inf}, "margin is inf, expected a finite number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_pair_without_a_preference_is_refused(pairs, case):
    change, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=sentence):
        check_pairs([*pairs, replace(pairs[1], **change)])


def test_the_same_image_under_another_name_is_no_other_image(fresh, pairs, samples):
    again = tuple(bytes(bytearray(image)) for image in samples[0].images)  # equal, not the same object
    prompt = (user(samples[0].question, again),)
    pair = replace(pairs[0], chosen="yes", rejected="yes", rejected_prompt=(*prompt,))
    pair = replace(pair, prompt=(user(samples[0].question, samples[0].images),))
    with pytest.raises(ValueError, match=r"identical sides under the same prompt and images"):
        pair_input(fresh(), [pair])


def test_rows_that_are_all_ties_are_refused(pairs):
    with pytest.raises(ValueError, match=r"all 4 pairs are ties \(p_win 0.5\): there is no preference to learn"):
        check_pairs([replace(p, p_win=0.5) for p in pairs])
    check_pairs([*pairs[:1], *(replace(p, p_win=0.5) for p in pairs[1:])])


def test_a_reference_of_another_base_is_refused(fresh, pairs):
    policy, other = fresh(), fresh()
    assert with_reference(policy, pairs[:1], reference=other)[0].ref_chosen
    other.source = "another/model"
    with pytest.raises(ValueError, match=r"the reference 'another/model@base' is not the base of the policy"):
        with_reference(policy, pairs, reference=other)
    with pytest.raises(ValueError, match=r"has no adapter to turn off: pass the base model itself as reference"):
        with_reference(policy, pairs, base=True)


def test_a_reference_that_read_other_tokens_is_refused(fresh, pairs):
    short = replace(with_reference(fresh(), pairs[:1])[0], ref_chosen=(-1.0,))
    with pytest.raises(ValueError, match=r"its reference scored 1 tokens, the policy reads \d+: they do not share"):
        pair_input(fresh(), [short])
