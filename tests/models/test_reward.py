"""The step-reward model: reads where steps end, whatever the batch."""

from __future__ import annotations

import pytest
import torch
from families import load, questions

from mmevolve.models import step_passes
from mmevolve.models.reward import StepRewardModel

SAID = ["a\nred circle\n7", "none", "1\n2", "yes\n\nno"]


def stirred(folder, **settings):
    """A reward model whose head is not zero."""
    model = StepRewardModel(str(folder), **settings)
    torch.manual_seed(1)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    torch.nn.init.normal_(model.head.bias)
    return model


@pytest.fixture(params=["tiny", "qwen2_5_vl"])
def folder(request, model_root):
    load(request.param, model_root / request.param)
    return model_root / request.param


def test_step_ends_are_the_last_tokens_of_the_steps(folder):
    model = stirred(folder)
    rows, ends = model.rows(questions(), SAID)
    decode = model.trunk.encoder.tokenizer.decode
    for row, at, text in zip(rows, ends, SAID, strict=True):
        steps = [line for line in text.splitlines() if line]
        ids = (*row.prompt.ids, *row.completion)
        assert len(at) == len(steps)
        starts = [len(row.prompt.ids), *(end + 1 for end in at)]
        for start, end, step in zip(starts, at, steps, strict=False):
            assert decode(ids[start : end + 1]).strip() == step
            assert decode(ids[end : end + 1]) == "\n"
        assert at[-1] == len(ids) - 1


def test_scores_are_the_head_at_those_ends_of_a_plain_pass(folder):
    model = stirred(folder, reads="hidden")
    scores = model.score_steps(questions(), SAID)
    rows, ends = model.rows(questions(), SAID)
    for row, at, said in zip(rows, ends, scores, strict=True):
        ids = torch.tensor([[*row.prompt.ids, *row.completion]])
        extra = {k: torch.tensor([[*v, *[0] * len(row.completion)]]) for k, v in row.prompt.per_token.items()}
        with torch.inference_mode():
            out = model.trunk.model.model(input_ids=ids, **extra, **row.prompt.per_image)
            expected = model.head(out.last_hidden_state[0, at]).sigmoid()[:, 0]
        assert said == pytest.approx(expected.tolist(), abs=2e-5)
        assert len(said) == len(at)


def test_the_head_reads_the_log_odds_of_a_steps_least_likely_token_without_the_line_break(folder):
    model = stirred(folder, reads="likelihood")
    scores = model.score_steps(questions(), SAID)
    rows, ends = model.rows(questions(), SAID)
    for row, at, said in zip(rows, ends, scores, strict=True):
        ids = torch.tensor([[*row.prompt.ids, *row.completion]])
        extra = {k: torch.tensor([[*v, *[0] * len(row.completion)]]) for k, v in row.prompt.per_token.items()}
        with torch.inference_mode():
            logits = model.trunk.model(input_ids=ids, **extra, **row.prompt.per_image).logits[0].float()
            chance = logits[:-1].softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]  # of token t + 1, after token t
            starts = [len(row.prompt.ids), *(end + 1 for end in at)]
            least = [chance[start - 1 : end - 1].min() for start, end in zip(starts, at, strict=False)]
            odds = torch.stack(least).clamp(1e-3, 1 - 1e-3).logit()
            expected = model.head(odds[:, None]).sigmoid()[:, 0]
        assert said == pytest.approx(expected.tolist(), abs=2e-5)


def test_scores_do_not_depend_on_the_batch(folder):
    model = stirred(folder)
    together = model.score_steps(questions(), SAID)
    backwards = model.score_steps(questions()[::-1], SAID[::-1])[::-1]
    alone = [model.score_steps([chat], [text])[0] for chat, text in zip(questions(), SAID, strict=True)]
    for a, b, c in zip(together, backwards, alone, strict=True):
        assert a == pytest.approx(b, abs=2e-5)
        assert a == pytest.approx(c, abs=2e-5)


def test_a_policy_with_another_tokenizer_is_refused(model_root):
    policy, model = load("tiny", model_root / "tiny"), StepRewardModel(str(model_root / "tiny"))
    policy.encoder.tokenizer.add_tokens(["novel"])
    with pytest.raises(ValueError, match="their tokenizers differ"):
        model.start_from(policy)


def test_attempts_that_say_the_same_are_read_once(folder, monkeypatch):
    model = stirred(folder)
    read = []
    states = step_passes.shared_states
    seen = lambda m, rows, **k: read.append(len(rows)) or states(m, rows, **k)  # noqa: E731
    monkeypatch.setattr(step_passes, "shared_states", seen)
    twice = model.score_steps([*questions(), *questions()], [*SAID, *SAID])
    assert sum(read) == len(SAID)
    assert twice[: len(SAID)] == twice[len(SAID) :] == model.score_steps(questions(), SAID)


def test_an_empty_completion_has_no_scores(model_root):
    load("tiny", model_root / "tiny")
    model = stirred(model_root / "tiny")
    assert model.score_steps(questions()[:2], ["", "a"])[0] == ()
    assert model.score_steps([], []) == []


def test_it_starts_from_a_trained_policy(folder):
    policy, model = load(folder.name, folder), stirred(folder)
    with torch.no_grad():
        for _, weight in policy.named_weights():
            weight.add_(0.01)
    assert model.trunk.weights_digest() != policy.weights_digest()
    model.start_from(policy)
    assert model.trunk.weights_digest() == policy.weights_digest()
    with torch.no_grad():
        next(policy.named_weights())[1].add_(1.0)
    assert model.trunk.weights_digest() != policy.weights_digest()  # a copy, not the same tensors


def test_it_does_not_start_from_another_architecture(model_root):
    load("tiny", model_root / "tiny")
    other = load("llava", model_root / "llava")
    with pytest.raises(ValueError, match="other names or shapes"):
        StepRewardModel(str(model_root / "tiny")).start_from(other)


def test_save_and_reload_are_identical(folder, tmp_path):
    model = stirred(folder)
    tmp_path.mkdir(exist_ok=True)
    model.save(tmp_path)
    expected = model.score_steps(questions(), SAID)
    again = StepRewardModel(str(folder))
    again.load(tmp_path, "reward/round=000")
    assert again.score_steps(questions(), SAID) == expected
    assert again.describe()["head"] == model.describe()["head"]
    by_name = StepRewardModel(str(tmp_path))  # a recipe names the folder
    assert by_name.score_steps(questions(), SAID) == expected


def test_a_policy_checkpoint_is_refused(model_root, tmp_path):
    policy = load("tiny", model_root / "tiny")
    policy.save(tmp_path)
    with pytest.raises(ValueError, match=r"'step_reward_head\.bias' is in only one"):
        StepRewardModel(str(model_root / "tiny")).load(tmp_path, "x")


def test_home_holds_the_head_too(model_root):
    load("tiny", model_root / "tiny")
    model = stirred(model_root / "tiny")
    model.mark_home()
    before = model.describe()
    with torch.no_grad():
        for _, weight in model.named_weights():
            weight.mul_(1.1)
    assert model.describe() != before
    model.go_home()
    assert model.describe() == before
