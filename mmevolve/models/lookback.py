"""Second looks: each step read again as the answer to a question of its own, on the image alone.

A step that a model writes on the way to an answer is often a slip that the same model would not make if it were asked
for that one thing. So the step's own question is put to the model with the image and without the rest, and the step is
as credible as its least likely token is then.

Paper: LookBack of VISCO, Wu et al. 2024, arXiv:2412.02172 (atomic visual questions, each answered on the image).
Differs: the question is made by rule, not by a model, and the step is scored as its answer instead of an answer being
written and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from mmevolve.models.encode import Row
from mmevolve.models.prefix import shared_batches, shared_states
from mmevolve.models.score import score_hidden
from mmevolve.text import images_of, split_steps, user
from mmevolve.types import Chat

AskStep = Callable[[str], str | None]
LOOK_TOKENS = 8192  # prompt and step tokens read at a time


@torch.no_grad()
def second_looks(vlm: Any, ask: AskStep, chats: Sequence[Chat], completions: Sequence[str]) -> list[list[float | None]]:
    """For each step of each completion the probability, in [0, 1], of its least likely token as an answer of its own.

    Args:
        vlm: who looks, a `TransformersVLM`.
        ask: a step's own question; None where it has none.
        chats: what the completions answer; only their images are used.
        completions: rationales, one step a line.

    Returns:
        One list a completion, None for steps without a question; a step that stands twice is read once.
    """
    wanted: dict[tuple[Any, str, str], None] = {}
    keys: list[list[tuple[Any, str, str] | None]] = []
    for chat, text in zip(chats, completions, strict=True):
        images = images_of(chat)
        steps = [(step, ask(step)) for step in split_steps(text)]
        keys.append([None if question is None else (images, question, step) for step, question in steps])
        wanted.update(dict.fromkeys(k for k in keys[-1] if k is not None))
    todo = list(wanted)
    rows = [Row(vlm.encoder.prompt((user(q, images),)), vlm.encoder.completion(s, end=False)) for images, q, s in todo]
    least: dict[tuple[Any, str, str], float] = {}
    for batch in shared_batches(rows, LOOK_TOKENS):
        picked = [rows[i] for i in batch]
        states = shared_states(vlm.model, picked, pad=vlm.pad)
        scored = score_hidden(vlm.model, states, picked, [0] * len(picked))
        lows = scored.logps.masked_fill(scored.mask == 0, 0.0).amin(-1).exp()
        least.update({todo[i]: round(low, 6) for i, low in zip(batch, lows.tolist(), strict=True)})
    return [[None if key is None else least[key] for key in row] for row in keys]
