"""Sampling: the tokens of `generate`, the exact distribution, and nothing that depends on the rest of the batch."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from families import load, picture, questions

from mmevolve.models import decode as decoding
from mmevolve.models.encode import Row, collate
from mmevolve.text import user

LONG = 10


def plain_inputs(vlm, chat, completion=()):
    row = Row(replace(vlm.encoder.prompt(chat), eye=None), tuple(completion))  # pixels, not features
    return collate([row], pad=vlm.pad, device=vlm.device, side="right")


def generated(vlm, chat, tokens=LONG):
    """The slow oracle: transformers' own greedy tokens for one unpadded prompt."""
    inputs = plain_inputs(vlm, chat)
    out = vlm.model.generate(
        **inputs, max_new_tokens=tokens, do_sample=False, suppress_tokens=list(vlm._banned), pad_token_id=vlm.pad
    )
    return tuple(out[0, inputs["input_ids"].shape[1] :].tolist())


def plain_logps(vlm, chat, completion):
    """Log-probabilities of a completion's tokens, from the whole model on one unpadded row."""
    with torch.inference_mode():
        logits = vlm.model(**plain_inputs(vlm, chat, completion)).logits[0].float()
    at = len(vlm.encoder.prompt(chat).ids) - 1
    logs = logits[at : at + len(completion)].log_softmax(-1)
    return logs.gather(-1, torch.tensor(completion)[:, None])[:, 0]


def test_greedy_tokens_are_those_of_generate_whatever_the_batch_and_its_padding(vlm):
    chats = questions()
    expected = [generated(vlm, chat) for chat in chats]
    together = [r[0].token_ids for r in vlm.generate(chats, max_tokens=LONG)]
    alone = [vlm.generate([chat], max_tokens=LONG)[0][0].token_ids for chat in chats]
    assert together == expected
    assert alone == expected


def test_sampled_tokens_do_not_depend_on_the_batch_or_its_order(vlm):
    chats, seeds = questions(), [11, 12, 13, 14]
    knobs = {"n": 3, "temperature": 1.0, "max_tokens": LONG}
    together = vlm.generate(chats, seeds=seeds, **knobs)
    backwards = vlm.generate(chats[::-1], seeds=seeds[::-1], **knobs)[::-1]
    alone = [vlm.generate([chat], seeds=[seed], **knobs)[0] for chat, seed in zip(chats, seeds, strict=True)]
    tokens = [[r.token_ids for r in group] for group in together]
    assert tokens == [[r.token_ids for r in group] for group in backwards]
    assert tokens == [[r.token_ids for r in group] for group in alone]


def test_the_first_of_many_replies_is_the_one_that_is_drawn_alone(tiny):
    chats = questions()
    one = tiny.generate(chats, n=1, temperature=1.0, max_tokens=LONG, seeds=[1, 2, 3, 4])
    four = tiny.generate(chats, n=4, temperature=1.0, max_tokens=LONG, seeds=[1, 2, 3, 4])
    assert [r[0].token_ids for r in one] == [r[0].token_ids for r in four]
    assert all(len({r.token_ids for r in group}) == 4 for group in four)


def test_behaviour_logprobs_are_those_of_a_plain_forward_pass(vlm):
    chats = questions()
    for chat, group in zip(chats, vlm.generate(chats, n=2, temperature=1.3, top_k=20, max_tokens=LONG), strict=True):
        for reply in group:
            expected = plain_logps(vlm, chat, reply.token_ids)
            torch.testing.assert_close(torch.tensor(reply.logprobs), expected, atol=1e-5, rtol=0)


def test_a_prefix_is_continued_as_if_it_had_just_been_written(vlm):
    chats = questions()
    whole = [r[0] for r in vlm.generate(chats, max_tokens=LONG)]
    text = "a b"
    rest = vlm.generate(chats, max_tokens=LONG, prefixes=[text] * 4)
    for chat, (reply,) in zip(chats, rest, strict=True):
        before = vlm.encoder.completion(text, end=False)
        inputs = plain_inputs(vlm, chat, before)
        logits = vlm.model(**inputs).logits[0, -1].clone()
        logits[list(vlm._banned)] = -torch.inf
        assert reply.token_ids[0] == int(logits.argmax())
        logps = plain_logps(vlm, chat, (*before, *reply.token_ids))[len(before) :]
        torch.testing.assert_close(torch.tensor(reply.logprobs), logps, atol=1e-5, rtol=0)
    unchanged = vlm.generate(chats, max_tokens=LONG, prefixes=[""] * 4)
    assert [r[0] for r in unchanged] == whole


def test_dropping_finished_rows_changes_nothing(vlm, monkeypatch):
    chats, seeds = questions(), [5, 6, 7, 8]
    knobs = {"n": 4, "temperature": 3.0, "max_tokens": 24, "seeds": seeds, "stop": ["a", "e", "3", "1"]}
    monkeypatch.setattr(decoding, "COMPACT_BELOW", 0.0)
    kept = vlm.generate(chats, **knobs)
    monkeypatch.setattr(decoding, "COMPACT_BELOW", 1.01)
    dropped = vlm.generate(chats, **knobs)
    tokens = [[r.token_ids for r in group] for group in kept]
    assert tokens == [[r.token_ids for r in group] for group in dropped]
    assert len({len(t) for group in tokens for t in group}) > 1  # rows did end at different times


def test_small_batches_give_what_one_large_batch_gives(tiny, model_root):
    small = load("tiny", model_root / "tiny", decode_rows=3)
    knobs = {"n": 2, "temperature": 1.0, "max_tokens": LONG, "seeds": [1, 2, 3, 4]}
    large = [[r.token_ids for r in g] for g in tiny.generate(questions(), **knobs)]
    assert large == [[r.token_ids for r in g] for g in small.generate(questions(), **knobs)]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_positions_of_one_batch_do_not_leak_into_the_next(family, model_root):
    vlm = load(family, model_root / family)
    pictured, plain = questions()[:2], questions()[3:]
    said = ["a b c"]
    fresh_scores = vlm.logprobs(plain, said)
    fresh_tokens = vlm.generate(plain, max_tokens=LONG)
    vlm.generate(pictured, n=3, temperature=1.0, max_tokens=5)
    assert vlm.logprobs(plain, said) == fresh_scores
    vlm.logprobs(pictured, said * 2)
    assert vlm.generate(plain, max_tokens=LONG) == fresh_tokens
    vlm.model(**plain_inputs(vlm, pictured[0]))  # someone else's forward pass
    assert vlm.generate(plain, max_tokens=LONG) == fresh_tokens


def test_draws_follow_the_exact_distribution(tiny):
    """Pearson's statistic of 8,000 first tokens stays below the 99.9 % point of its distribution; the seed is fixed."""
    chat, n = questions()[0], 8000
    with torch.no_grad():
        logits = tiny.model(**plain_inputs(tiny, chat)).logits[0, -1].double() / 0.8
    logits[list(tiny._banned)] = -torch.inf
    expected = logits.softmax(-1) * n
    knobs = {"n": n // 20, "temperature": 0.8, "max_tokens": 1}
    replies = [r for seed in range(20) for r in tiny.generate([chat], seeds=[seed], **knobs)[0]]
    counts = torch.bincount(torch.tensor([r.token_ids[0] for r in replies]), minlength=len(expected)).double()
    common = expected >= 5
    cells = [*zip(counts[common], expected[common], strict=True), (counts[~common].sum(), expected[~common].sum())]
    statistic = sum(float((c - e) ** 2 / e) for c, e in cells if e > 0)
    freedom = len(cells) - 1
    assert freedom > 50
    assert statistic < freedom + 3.09 * math.sqrt(2 * freedom) + 7  # chi-square, upper 0.1 %
    assert counts[list(tiny._banned)].sum() == 0


def test_top_k_and_top_p_keep_only_the_likeliest(tiny):
    chat = questions()[0]
    with torch.no_grad():
        logits = tiny.model(**plain_inputs(tiny, chat)).logits[0, -1].clone()
    logits[list(tiny._banned)] = -torch.inf
    order = logits.argsort(descending=True)
    share = logits.softmax(-1)[order].cumsum(-1)
    knobs = {"n": 300, "temperature": 1.0, "max_tokens": 1, "seeds": [3]}
    by_k = {r.token_ids[0] for r in tiny.generate([chat], top_k=4, **knobs)[0]}
    by_p = {r.token_ids[0] for r in tiny.generate([chat], top_p=0.05, **knobs)[0]}
    nucleus = int((share < 0.05).sum()) + 1
    assert by_k == set(order[:4].tolist())
    assert by_p == set(order[:nucleus].tolist())
    assert {r.token_ids[0] for r in tiny.generate([chat], top_p=0.0, **knobs)[0]} == {int(order[0])}


def test_stop_strings_end_a_reply_with_the_string(qwen):
    replies = qwen.generate(questions(), n=8, temperature=2.0, max_tokens=60, stop=["a", "7"], seeds=[1, 2, 3, 4])
    stopped = [r for group in replies for r in group if r.stop_reason == "stop" and r.token_ids[-1] not in qwen._end]
    assert len(stopped) > 5
    assert all(r.text.endswith(("a", "7")) and not {"a", "7"} & set(r.text[:-1]) for r in stopped)


def test_a_stop_string_longer_than_many_tokens_is_found(qwen):
    """With one token a byte, a long stop string spans many tokens."""
    free = qwen.generate(questions()[:1], max_tokens=60)[0][0]
    ids = free.token_ids[:50]
    long = qwen.encoder.tokenizer.decode(ids[5:50])
    ended = qwen.generate(questions()[:1], max_tokens=60, stop=[long])[0][0]
    assert ended.stop_reason == "stop"
    assert len(ended.token_ids) <= 50


def test_max_tokens_is_the_length_of_what_did_not_end(vlm):
    for group in vlm.generate(questions(), n=2, temperature=1.0, max_tokens=3):
        for reply in group:
            ended = reply.token_ids[-1] in vlm._end
            assert len(reply.token_ids) == len(reply.logprobs) <= 3
            assert reply.stop_reason == ("stop" if ended else "length")
            assert ended or len(reply.token_ids) == 3


def test_image_placeholders_and_padding_are_never_drawn(vlm):
    tokenizer = vlm.encoder.tokenizer
    never = set(tokenizer.all_special_ids) - vlm._end
    assert set(vlm._banned) >= never
    drawn = {t for g in vlm.generate(questions(), n=8, temperature=5.0, max_tokens=20) for r in g for t in r.token_ids}
    assert not drawn & never
    assert max(drawn) < len(tokenizer)


def test_a_reply_ends_with_the_token_that_ends_a_turn(model_root):
    gemma = load("gemma3", model_root / "gemma3")
    turn = gemma.encoder.tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert gemma.encoder.end == turn != gemma.encoder.tokenizer.eos_token_id
    assert turn in gemma._end


def test_several_images_of_one_prompt_are_told_apart(vlm):
    def asked(*seeds):
        return (user("same colour ?", tuple(picture(s) for s in seeds)),)

    said = ["a b c"] * 3
    one, swapped, again = vlm.logprobs([asked(4, 5), asked(5, 4), asked(4, 5)], said)
    assert one.logprobs == pytest.approx(again.logprobs, abs=1e-6)
    assert max(abs(a - b) for a, b in zip(one.logprobs, swapped.logprobs, strict=True)) > 1e-4


def test_weights_that_have_diverged_are_not_sampled_from(model_root):
    vlm = load("tiny", model_root / "tiny")
    with torch.no_grad():
        vlm.model.get_output_embeddings().weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="diverged"):
        vlm.generate(questions()[:1], max_tokens=2)


def test_seeds_and_prefixes_are_one_a_chat(tiny):
    with pytest.raises(ValueError, match="3 seeds for 4 chats"):
        tiny.generate(questions(), seeds=[1, 2, 3])
    with pytest.raises(ValueError, match="1 prefixes for 4 chats"):
        tiny.generate(questions(), prefixes=["a"])
    assert tiny.generate([]) == []
