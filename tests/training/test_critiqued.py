"""Pairs of criticised answers through the critic's module."""

from functools import partial

import lightning
import pytest
import torch

from mmevolve.losses.critique_reward import CritiqueReward
from mmevolve.models.critique_reward import CritiqueRewardModel
from mmevolve.store import RunStore
from mmevolve.text import user
from mmevolve.training.fit import Fit
from mmevolve.training.modules import CriticModule
from mmevolve.training.passes import Passes
from mmevolve.training.rows_read import rows_read
from mmevolve.types import Preference

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Found \d+ module\(s\) in eval mode"),  # a frozen eye, on purpose
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
]


@pytest.fixture(scope="module")
def pairs(samples):
    """The better side of each pair is shown as `3 + 4 = 7`, the worse one as `3 + 4 = 8`."""
    return [
        Preference(
            (user(f"{s.question} 3 + 4 = 7", s.images),),
            "all right",
            "step 1 : 3 + 4 = 7 ; wrong",
            rejected_prompt=(user(f"{s.question} 3 + 4 = 8", s.images),),
            scope="critique",
            source=s.id,
        )
        for s in samples[:6]
    ]


def stirred(folder, **settings):
    model = CritiqueRewardModel(folder, **settings)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    return model


def test_a_batch_holds_what_the_model_itself_says_of_each_side(model_folder, pairs):
    model = stirred(model_folder)
    x = CriticModule(model).loss_input(pairs)
    chats = [p.prompt for p in pairs] + [p.rejected_prompt for p in pairs]
    texts = [p.chosen for p in pairs] + [p.rejected for p in pairs]
    assert x.scores.tolist() == pytest.approx(model.score(chats, texts), abs=2e-5)
    for row, mask, said in zip(x.logps, x.mask, model.logprobs(chats, texts), strict=True):
        assert mask.sum() == len(said.token_ids)
        assert row[: len(said.logprobs)].tolist() == pytest.approx(said.logprobs, abs=1e-4)
    assert x.names == (*[p.source for p in pairs],) * 2


def test_passes_read_the_same_numbers_and_gradients(model_folder, pairs):
    found = []
    for passes in (None, Passes(text_tokens=150)):
        model = stirred(model_folder)
        module = CriticModule(model, loss=CritiqueReward(), passes=passes)
        x = module.loss_input(pairs)
        module.loss(x).loss.backward()
        found.append((x.scores.tolist(), x.logps.sum().item(), model.head.weight.grad.flatten().tolist()))
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, abs=2e-4)


def test_it_learns_to_rank_and_to_write_and_its_checkpoint_is_found_again(model_folder, pairs, tmp_path):
    fit = Fit(
        CritiqueReward(), partial(torch.optim.AdamW, lr=3e-3), partial(lightning.Trainer, accelerator="cpu", devices=1),
        batch_size=6, steps=12, module=CriticModule, passes=Passes(),
    )  # fmt: skip
    model = CritiqueRewardModel(model_folder)
    sides = [
        ([p.prompt for p in pairs], [p.chosen for p in pairs]),
        ([p.rejected_prompt for p in pairs], [p.rejected for p in pairs]),
    ]
    before = model.logprobs(*sides[1])[0].logprobs
    fit(model, pairs, RunStore(str(tmp_path)).stage("reward"), round=0)
    good, bad = (model.score(*side) for side in sides)
    assert all(a > b for a, b in zip(good, bad, strict=True))
    assert sum(model.logprobs(*sides[1])[0].logprobs) > sum(before)
    again = CritiqueRewardModel(model_folder)
    fit(again, pairs, RunStore(str(tmp_path)).stage("reward"), round=0)
    assert again.score(*sides[0]) == good


def test_scores_alone_leave_the_words_as_they_were_in_the_loss(model_folder, pairs):
    model = stirred(model_folder, reads="answer")
    module = CriticModule(model, loss=CritiqueReward(critique=0.0))
    x = module.loss_input(pairs)
    chats = [p.prompt for p in pairs] + [p.rejected_prompt for p in pairs]
    assert x.scores.tolist() == pytest.approx(model.score(chats, [None] * len(chats)), abs=2e-5)


def test_it_may_first_learn_critiques_alone(model_folder, rows):
    model = stirred(model_folder)
    x = CriticModule(model).loss_input(rows[:4])
    said = model.logprobs([r.prompt for r in rows[:4]], [r.completion for r in rows[:4]])
    for own, scored in zip(x.logps, said, strict=True):
        assert own[: len(scored.logprobs)].tolist() == pytest.approx(scored.logprobs, abs=1e-4)
    assert x.scores is None
    assert rows_read(model, rows[0])[0].completion == said[0].token_ids
