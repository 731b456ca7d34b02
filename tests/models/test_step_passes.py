"""What a step-reward head is given is the same read as trees and completion by completion."""

from __future__ import annotations

import pytest
import torch
from families import load, questions

from mmevolve.models import step_passes as passes
from mmevolve.models.reward import StepRewardModel, log_odds, step_likelihood
from mmevolve.models.step_passes import reads_trees, spans

SAID = ["a\nred circle\n7", "a\nred circle\n9", "a\nred", "b"]


@pytest.fixture(params=["tiny", "qwen2_5_vl"])
def folder(request, model_root):
    load(request.param, model_root / request.param)
    return model_root / request.param


def attempts():
    return [chat for chat in questions() for _ in SAID], [text for _ in questions() for text in SAID]


def stirred(folder, **settings):
    model = StepRewardModel(str(folder), **settings)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    return model


@pytest.mark.parametrize("reads", ["hidden", "likelihood", "both"])
def test_scores_by_trees_are_those_one_by_one(folder, reads, monkeypatch):
    slow, fast = stirred(folder, reads=reads), stirred(folder, reads=reads, trees=True)
    expected = slow.score_steps(*attempts())
    monkeypatch.setattr(passes, "shared_states", None)  # not called any more
    for a, b in zip(fast.score_steps(*attempts()), expected, strict=True):
        assert a == pytest.approx(b, abs=2.1e-5)  # 1e-5, and a last digit that was rounded the other way


def test_trees_that_are_too_large_are_read_one_by_one(model_root, monkeypatch):
    model = stirred(model_root / "tiny", trees=True)
    expected = model.score_steps(*attempts())
    monkeypatch.setattr(passes, "LARGEST", 5)
    monkeypatch.setattr(passes, "tree_states", None)
    for a, b in zip(model.score_steps(*attempts()), expected, strict=True):
        assert a == pytest.approx(b, abs=2.1e-5)


def test_scores_by_trees_do_not_depend_on_order_or_company(folder):
    model = stirred(folder, trees=True)
    chats, texts = attempts()
    together = model.score_steps(chats, texts)
    backwards = model.score_steps(chats[::-1], texts[::-1])[::-1]
    alone = model.score_steps(chats[:4], texts[:4])
    for a, b in [*zip(together, backwards, strict=True), *zip(together[:4], alone, strict=True)]:
        assert a == pytest.approx(b, abs=1.1e-5)


def test_a_model_with_windows_reads_no_trees(model_root):
    gemma = load("gemma3", model_root / "gemma3")
    assert not reads_trees(gemma, [])
    model = stirred(model_root / "gemma3", trees=True)
    model.score_steps(*attempts())
    assert model._trees is False


def test_trees_are_told_only_where_they_are_read(model_root):
    assert "trees" not in stirred(model_root / "tiny").describe()["step_reward"]
    assert stirred(model_root / "tiny", trees=True).describe()["step_reward"]["trees"] is True


def test_steps_are_judged_without_their_line_breaks():
    """Ends 2, 3, 3 tokens later: a step of one token is judged by it."""
    assert spans([2, 3, 6]) == [(0, 2), (3, 4), (4, 6)]


def test_step_likelihood_is_the_least_of_each_step_by_hand():
    logps = -torch.arange(1.0, 15.0).view(2, 7) / 4
    ends = [[2, 3, 6], [4]]
    slow = torch.zeros(2, 3, 1)
    for i, at in enumerate(ends):
        for k, (begin, stop) in enumerate(spans(at)):
            slow[i, k, 0] = log_odds(logps[i, begin:stop].min().exp())
    assert torch.equal(step_likelihood(logps, ends), slow)
    assert slow[0, 0, 0].item() == pytest.approx(torch.logit(torch.tensor(-0.5).exp()).item())
