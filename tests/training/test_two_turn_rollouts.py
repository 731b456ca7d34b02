"""SCoRe's first stage through the trainer: the second turn learns, the first is held."""

from __future__ import annotations

import functools

import lightning
import pytest
import torch

from mmevolve.losses.policy_gradient import RLOO
from mmevolve.samplers.review import Review
from mmevolve.selectors.turn_advantages import TurnAdvantages
from mmevolve.store import RunStore
from mmevolve.training.fit import Fit
from mmevolve.training.rollouts import rollout_input
from mmevolve.types import Critique, Group

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used"),
]


def rows_of(policy, samples):
    """Turns that are rewarded for beginning with an even token."""
    made = list(Review(n=4, temperature=0.7, max_tokens=6, review="check")(policy, samples, round=0))
    groups = []
    for s in samples:
        mine = tuple(t for t in made if t.sample_id == s.id)
        groups.append(Group(s, mine, tuple(Critique(t.id, "even", float(t.token_ids[0] % 2 == 0)) for t in mine)))
    return list(TurnAdvantages(reward="even", stage="first", review="check")(groups))


def trained(policy, rows, beta, folder):
    fit = Fit(
        RLOO(beta=beta),
        functools.partial(torch.optim.AdamW, lr=3e-3),
        functools.partial(lightning.Trainer, accelerator="cpu", devices=1),
        batch_size=8,
        steps=12,
    )
    policy = fit(policy, rows, RunStore(str(folder)).stage("evolve"), round=0)
    with torch.no_grad():
        x = rollout_input(policy, rows)
    return x, ((x.logps - x.old_logps) * x.mask).sum(1)


def test_the_second_turn_learns_what_was_rewarded_and_the_first_stays_where_the_reference_holds_it(
    fresh, samples, tmp_path
):
    rows = rows_of(fresh(), samples[:3])
    second = torch.tensor([bool(r.advantages[0]) for r in rows])
    assert 4 <= second.sum() < len(rows)
    x, loose = trained(fresh(), rows, 0.0, tmp_path / "loose")
    _, held = trained(fresh(), rows, 0.3, tmp_path / "held")
    better = x.advantages[:, 0] > 0
    worse = x.advantages[:, 0] < 0
    for moved in (loose, held):
        assert moved[better].mean() > moved[worse].mean() + 0.3
    assert held[~second].abs().mean() < 0.8 * loose[~second].abs().mean()
