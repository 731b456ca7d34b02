"""Rollout rows and labelled answers to a loss's input."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import lightning
import pytest
import torch

from mmevolve.losses.kto import KTO
from mmevolve.losses.policy_gradient import GRPO, RLOO
from mmevolve.samplers.independent import Independent
from mmevolve.selectors.advantages import Advantages
from mmevolve.store import RunStore
from mmevolve.text import user
from mmevolve.training.fit import Fit
from mmevolve.training.labelled import labelled_input, mismatched_completions
from mmevolve.training.reference import with_reference
from mmevolve.training.rollouts import ScoredRollout, rollout_input
from mmevolve.types import Critique, Group, Labelled

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]


def train(loss, **settings):
    return Fit(
        loss,
        functools.partial(torch.optim.AdamW, lr=3e-3),
        functools.partial(lightning.Trainer, accelerator="cpu", devices=1),
        **{"batch_size": 8, "steps": 12, **settings},
    )


@pytest.fixture
def rollouts(fresh, samples):
    """Attempts of a fresh policy, rewarded when they hold an even number of tokens."""
    policy, groups = fresh(), []
    made = list(Independent(n=4, temperature=0.7, max_tokens=6)(policy, samples[:3], round=0))
    for s in samples[:3]:
        mine = tuple(t for t in made if t.sample_id == s.id)
        said = tuple(Critique(t.id, "even", float(t.token_ids[0] % 2 == 0)) for t in mine)
        groups.append(Group(s, mine, said))
    return policy, list(Advantages(reward="even")(groups))


@pytest.fixture
def answers(samples):
    words = ["red : a1\n1", "no", "3 + 4 = 7\n7", "yes"]
    prompts = [(user(s.question, s.images),) for s in samples[:4]]
    return [
        Labelled(p, w, (float(i % 2),), (1.0 + i,), source=f"{i}")
        for i, (p, w) in enumerate(zip(prompts, words, strict=True))
    ]


def test_a_rollout_of_the_policy_itself_has_ratio_one_token_by_token(rollouts):
    policy, rows = rollouts
    assert len(rows) >= 4
    x = rollout_input(policy, rows)
    lengths = [len(r.token_ids) for r in rows]
    assert x.mask.sum(1).tolist() == lengths
    torch.testing.assert_close(x.logps.detach() * x.mask, x.old_logps, atol=2e-5, rtol=0)  # replies keep 5 decimals
    assert x.advantages.shape == (len(rows), 1)
    assert x.advantages[:, 0].tolist() == pytest.approx([r.advantages[0] for r in rows])
    assert x.names == tuple(r.source for r in rows)
    assert x.ref_logps is None
    loss = GRPO()(x).loss
    assert loss.item() == pytest.approx(-sum(r.advantages[0] for r in rows) / len(rows), abs=1e-4)


def test_advantages_of_tokens_stand_where_their_tokens_do(rollouts):
    policy, rows = rollouts
    n = len(rows[0].token_ids)
    each = tuple(float(t) for t in range(n))
    x = rollout_input(policy, [replace(rows[0], advantages=each), rows[1]])
    assert x.advantages[0, :n].tolist() == list(each)
    m = len(rows[1].token_ids)
    assert x.advantages[1].tolist() == pytest.approx([*rows[1].advantages * m, *[0.0] * (x.logps.shape[1] - m)])


def test_a_reference_of_rollouts_is_the_policy_as_it_is(rollouts):
    policy, rows = rollouts
    scored = with_reference(policy, rows)
    assert all(isinstance(r, ScoredRollout) for r in scored)
    x = rollout_input(policy, scored)
    torch.testing.assert_close(x.ref_logps, x.logps.detach() * x.mask, atol=1e-5, rtol=0)
    assert GRPO(beta=0.1)(x).metrics["kl"].item() == pytest.approx(0.0, abs=1e-6)


def test_the_kl_weight_of_a_row_reaches_the_loss_with_and_without_a_reference(rollouts):
    policy, rows = rollouts
    held = [replace(row, kl=float(i)) for i, row in enumerate(rows)]
    assert rollout_input(policy, held).kl.tolist() == [float(i) for i in range(len(rows))]
    assert rollout_input(policy, with_reference(policy, held)).kl.tolist() == [float(i) for i in range(len(rows))]
    with pytest.raises(ValueError, match=r"KL weight is -1.0, expected a finite number of 0 or more"):
        rollout_input(policy, [replace(rows[0], kl=-1.0)])


@pytest.mark.parametrize(("loss", "kind"), [(GRPO(beta=0.01), "grpo"), (RLOO(), "rloo")])
def test_training_on_rollouts_makes_what_was_rewarded_likelier(rollouts, tmp_path, loss, kind):
    policy, rows = rollouts
    trained = train(loss)(policy, rows, RunStore(str(tmp_path)).stage("evolve"), round=0)
    with torch.no_grad():
        x = rollout_input(trained, rows)
    moved = ((x.logps - x.old_logps) * x.mask).sum(1)
    better = x.advantages[:, 0] > 0
    assert moved[better].mean() > moved[~better].mean() + 0.3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"token_ids": (), "logprobs": ()}, "has no token"),
        ({"logprobs": (0.0,)}, "1 log-probabilities and 1 advantages for"),
        ({"advantages": (1.0, 1.0)}, "and 2 advantages for"),
    ],
)
def test_a_rollout_that_does_not_fit_its_tokens_is_refused(rollouts, change, sentence):
    policy, rows = rollouts
    row = next(r for r in rows if len(r.token_ids) > 2)
    with pytest.raises(ValueError, match=sentence):
        rollout_input(policy, [replace(row, **change)])


def test_a_labelled_answer_weighs_as_its_label_does(fresh, answers):
    policy = fresh()
    steps = replace(answers[0], labels=(math.nan, 1.0), weights=(0.5, 0.25))
    x = labelled_input(policy, [steps, *answers[1:]])
    assert x.weight.tolist() == [0.25, 2.0, 3.0, 4.0]
    assert x.labels[:, 0].tolist()[1:] == [1.0, 0.0, 1.0]
    assert x.labels[0, 1] == 1.0
    assert x.labels[1:, 1].isnan().all()
    told = policy.logprobs([r.prompt for r in answers], [r.completion for r in answers])
    for i, scores in enumerate(told):
        n = len(scores.token_ids)
        torch.testing.assert_close(x.logps[i, :n], torch.tensor(scores.logprobs), rtol=1e-5, atol=1e-5)
    assert x.ref_logps is None
    assert x.kl_logps is None


def test_mismatched_completions_answer_other_questions(answers):
    assert mismatched_completions(answers) == [answers[k].completion for k in (1, 2, 3, 0)]
    same = [replace(answers[1], prompt=answers[0].prompt), answers[0], *answers[2:]]
    assert mismatched_completions(same)[0] == answers[2].completion
    with pytest.raises(ValueError, match="no other row has another prompt and another completion"):
        mismatched_completions(same[:2])


def test_at_the_reference_every_answer_has_ratio_one(fresh, answers):
    policy = fresh()
    plain = KTO()(labelled_input(policy, with_reference(policy, answers)))
    mismatched = labelled_input(policy, with_reference(policy, answers, mismatched=True))
    assert not mismatched.kl_logps.requires_grad
    assert mismatched.kl_mask.sum(1).tolist() == [x for x in mismatched.mask.sum(1)[[1, 2, 3, 0]].tolist()]
    for out in (plain, KTO(reference_point="mismatched")(mismatched)):
        assert out.loss.item() == pytest.approx(0.5, abs=1e-5)
        assert out.metrics["kl"].item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("point", ["batch", "mismatched"])
def test_training_on_labels_prefers_what_is_good(fresh, answers, tmp_path, point):
    policy = fresh()
    before = labelled_input(policy, answers).logps.sum(1).detach()
    store = RunStore(str(tmp_path)).stage("evolve")
    trained = train(KTO(beta=0.5, reference_point=point))(policy, answers, store, round=0)
    moved = labelled_input(trained, answers).logps.sum(1).detach() - before
    assert moved[1::2].min() > moved[::2].max()
    kept = store.table(0, "reference")
    assert [sum(row["ref_logps"]) for row in kept] == pytest.approx(before.tolist(), abs=1e-4)
    assert all(("ref_mismatched" in row) == (point == "mismatched") for row in kept)
