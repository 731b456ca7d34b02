"""SCIR's rows through a model: the judge's letter without an end, three rows a pair, gradient into both rewards."""

import functools
from dataclasses import replace

import lightning
import pytest
import torch

from mmevolve.losses.scir import SCIR, joined
from mmevolve.selectors.internal_pairs import InternalPairs
from mmevolve.store import RunStore
from mmevolve.training.fit import Fit
from mmevolve.training.pairs import pair_input
from mmevolve.training.reference import with_reference
from mmevolve.types import Group, Step, Trajectory

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]
TRAINER = functools.partial(lightning.Trainer, accelerator="cpu")


@pytest.fixture(scope="session")
def internal(samples):
    groups = []
    for s in samples[:2]:
        tried = [
            Trajectory(f"{s.id}/0/{i}", s.id, "m", (Step(text),)) for i, text in enumerate(("red : a1", "no", "yes"))
        ]
        groups.append(Group(s, tuple(tried)))
    return [worded(row) for row in InternalPairs()(groups)]


def worded(row):
    """The row in words that the fresh tiny model has."""
    words = {" A": "yes", " B": "no"}
    return (
        replace(row, prefix="answer :", chosen=words[row.chosen], rejected=words[row.rejected]) if row.prefix else row
    )


def test_a_verdict_is_a_prefix_and_one_letter_and_moves_the_judge(fresh, internal):
    policy = fresh()
    x = pair_input(policy, with_reference(policy, internal[:6]))
    answers, there, back = joined(x)
    assert (answers.tolist(), there.tolist(), back.tolist()) == ([0, 3], [1, 4], [2, 5])
    letters = len(policy.encoder.completion("yes", end=False))
    judging = torch.tensor([1, 2, 4, 5])
    assert (x.mask[judging].sum(1) == letters).all(), "the letter alone counts"
    assert (
        x.mask[answers].sum(1) == torch.tensor([len(policy.encoder.completion(r.chosen)) for r in internal[:6:3]])
    ).all()
    x.logps.retain_grad()
    out = SCIR()(x)
    assert out.metrics["p_implicit"].item() == pytest.approx(0.5), "the reference is the policy itself"
    assert out.metrics["agreement"].item() == 0.0, "which has no opinion yet"
    out.loss.backward()
    reached = (x.logps.grad.abs().sum(1) > 0).tolist()
    assert all(reached[i] for i in (*answers, *there, *back)), "both rewards learn from the first step on"


def test_a_round_of_training_keeps_the_rows_together(fresh, internal, tmp_path):
    policy = fresh()
    before = {name: p.detach().clone() for name, p in policy.named_weights()}
    adam = functools.partial(torch.optim.AdamW, lr=1e-3)
    fit = Fit(SCIR(), adam, TRAINER, batch_size=3, shuffle=False, epochs=2)
    policy.mark_home()
    fit(policy, internal, RunStore(tmp_path / "run"), round=0)
    assert any(not torch.equal(before[name], p) for name, p in policy.named_weights())
    shuffled = Fit(SCIR(), adam, TRAINER, batch_size=3, epochs=1, seed=1)
    with pytest.raises(ValueError, match=r"keep the rows of selectors.InternalPairs together with shuffle: false"):
        shuffled(fresh(), internal, RunStore(tmp_path / "other"), round=0)
