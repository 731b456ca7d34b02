"""How others draw N replies: `generate` of transformers and GRPO's generation in TRL, made to draw given tokens.

So that both sides do the same work, a peer's own draw is made and thrown away, and the token that we drew is taken in
its place: same tokens, same lengths, same place to stop. Peers start, as we do, from pictures and words.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from transformers import GenerationConfig

from mmevolve.data.images import open_image
from mmevolve.types import Chat

Script = Sequence[Sequence[int]]


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time of a call, which leaves out what other programs take, and what it gave."""
    begin = time.process_time()
    out = run()
    return time.process_time() - begin, out


def line(measure: str, ours: Sequence[float], peer: Sequence[float], **more: Any) -> dict[str, Any]:
    """What a script prints last: medians, and the ratio of peer to ours of repetitions that ran in turn."""
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    figures = {
        "ours": round(statistics.median(ours), 4),
        "peer": round(statistics.median(peer), 4),
        "ratio": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
        "n": len(ratios),
    }
    return {"measure": measure, **figures, **more}


def say(lines: Sequence[dict[str, Any]]) -> None:
    """JSON, one line a measure."""
    for figures in lines:
        print(json.dumps(figures))


@contextmanager
def drawing(script: Script, pad: int) -> Iterator[None]:
    """Let `torch.multinomial` draw, and give the script's next token of each row instead."""
    draw, steps = torch.multinomial, iter(range(10**9))

    def scripted(probabilities: torch.Tensor, num_samples: int, **settings: Any) -> torch.Tensor:
        draw(probabilities, num_samples, **settings)
        t = next(steps)
        return torch.tensor([[row[t] if t < len(row) else pad] for row in script])

    with mock.patch.object(torch, "multinomial", scripted):
        yield


def transformers_generate(
    vlm: Any, chats: Sequence[Chat], script: Script, *, n: int, max_tokens: int, end: Sequence[int]
) -> list[list[int]]:
    """`generate(num_return_sequences=n)` on a batch of chats; tokens of each reply, padding included."""
    turns = [[{**m, "content": [_bare(p) for p in m["content"]]} for m in chat] for chat in chats]
    text = [vlm.processor.apply_chat_template(turn, add_generation_prompt=True) for turn in turns]
    images = [[open_image(p["image"]) for m in chat for p in m["content"] if p["type"] == "image"] for chat in chats]
    bos = vlm.encoder.tokenizer.bos_token
    begun = bos is not None and text[0].startswith(bos)
    inputs = vlm.processor(
        text=text, images=images, padding=True, padding_side="left", return_tensors="pt", add_special_tokens=not begun
    )
    with drawing(script, vlm.pad), torch.inference_mode():
        out = vlm.model.generate(
            **inputs,
            num_return_sequences=n,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=max_tokens,
            eos_token_id=list(end),
            pad_token_id=vlm.pad,
        )
    return out[:, inputs["input_ids"].shape[1] :].tolist()


def trl_generate(
    vlm: Any, chats: Sequence[Chat], script: Script, *, n: int, max_tokens: int, end: Sequence[int]
) -> list[list[int]]:
    """What TRL's `GRPOTrainer` does between its sampler's batch, where each prompt stands n times, and the tokens.

    TRL's own `_tokenize_prompts` and `_generate_single_turn`, on a trainer that has only what they read.
    """
    from trl import GRPOTrainer

    prompts = [[{**m, "content": [_opened(p) for p in m["content"]]} for m in chat] for chat in chats for _ in range(n)]
    settings = {
        "max_new_tokens": max_tokens,
        "do_sample": True,
        "temperature": 1.0,
        "top_k": 0,
        "eos_token_id": list(end),
        "pad_token_id": vlm.pad,
    }
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    device = torch.device("cpu")
    trainer.__dict__.update(
        processing_class=vlm.processor,
        _tokenizer=vlm.encoder.tokenizer,
        _is_vlm=True,
        environment_factories=None,
        tools=[],
        chat_template=None,
        chat_template_kwargs={},
        use_vllm=False,
        use_transformers_continuous_batching=False,
        pad_to_multiple_of=None,
        eos_token_ids=list(end),
        generation_kwargs=settings,
        generation_config=GenerationConfig(**settings, disable_compile=True),
        model_wrapped=vlm.model,
        args=SimpleNamespace(
            ds3_gather_for_generation=True, gradient_checkpointing_kwargs=None, report_to=[], device=device
        ),
        state=SimpleNamespace(global_step=0),
        accelerator=SimpleNamespace(
            device=device,
            unwrap_model=lambda model, **_: model,
            state=SimpleNamespace(deepspeed_plugin=None),
            is_main_process=True,
        ),
        is_deepspeed_enabled=False,
        _dist=SimpleNamespace(summon_full_params=lambda *_, **__: nullcontext()),
    )
    ids, images, fields = trainer._tokenize_prompts(prompts)
    with drawing(script, vlm.pad):
        tokens, _ = trainer._generate_single_turn(ids, images, fields, num_generations=n)
    return tokens


def _bare(part: Any) -> dict[str, Any]:
    return {"type": "image"} if part["type"] == "image" else dict(part)


def _opened(part: Any) -> dict[str, Any]:
    return {"type": "image", "image": open_image(part["image"])} if part["type"] == "image" else dict(part)
