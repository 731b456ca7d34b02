"""Reading completions of one prompt together: the states of a plain pass, one prompt pass a prompt."""

from __future__ import annotations

import torch
from families import questions

from mmevolve.models import prefix
from mmevolve.models.encode import Row, collate
from mmevolve.models.prefix import shared_batches, shared_states
from mmevolve.models.score import hidden_states, score, score_hidden

SAID = ["a b c", "none", "3 + 4 = 7\n7", "x", "3 + 4 = 8"]


def rows_of(vlm, of=(0, 1, 0, 2, 0)):
    """Three completions of the first question, one each of two others, in no order."""
    prompts = [vlm.encoder.prompt(chat) for chat in questions()]
    return [Row(prompts[k], vlm.encoder.completion(text)) for k, text in zip(of, SAID, strict=True)]


def test_states_and_scores_are_those_of_a_plain_pass(vlm):
    rows = rows_of(vlm)
    plain = collate(rows, pad=vlm.pad, device=vlm.device, side="right")
    with torch.inference_mode():
        states = shared_states(vlm.model, rows, pad=vlm.pad)
        ours = score_hidden(vlm.model, states, rows, [0] * len(rows))
        theirs = score(vlm.model, plain, rows)
        hidden = hidden_states(vlm.model, plain)
    torch.testing.assert_close(ours.logps, theirs.logps, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.entropies, theirs.entropies, atol=1e-5, rtol=1e-5)
    for i, row in enumerate(rows):
        start, length = len(row.prompt.ids) - 1, len(row.completion)
        torch.testing.assert_close(states[i, : length + 1], hidden[i, start : start + length + 1], atol=1e-4, rtol=1e-4)


def test_a_prompt_is_read_once(tiny, monkeypatch):
    read = []
    collated = prefix.collate
    monkeypatch.setattr(prefix, "collate", lambda rows, **k: read.append(len(rows)) or collated(rows, **k))
    with torch.inference_mode():
        shared_states(tiny.model, rows_of(tiny), pad=tiny.pad)
    assert read == [3]


def test_batches_hold_every_row_once_within_the_budget_and_never_part_a_prompts_rows(tiny):
    rows = rows_of(tiny)
    for budget in (1, 60, 100, 10_000):
        batches = list(shared_batches(rows, budget))
        assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
        for batch in batches:
            prompts = {id(rows[i].prompt) for i in batch}
            size = len(batch) * (
                max(len(rows[i].prompt.ids) + 0 for i in batch) + max(len(rows[i].completion) for i in batch)
            )
            assert len(prompts) == 1 or size <= budget
        owners = [{id(rows[i].prompt) for i in batch} for batch in batches]
        assert sum(map(len, owners)) == 3
    assert list(shared_batches([], 10)) == []
