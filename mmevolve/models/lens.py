"""What each layer would answer: completions scored by every layer's states, through the model's last norm and head.

Papers: nostalgebraist 2020, "interpreting GPT: the logit lens"; Liang et al. 2024, arXiv:2407.14507, sec. 3 (the latent
layer of internal consistency). Differs: whole layers speak, where the survey lets single attention heads do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mmevolve.models.cache import forget_positions, prompt_positions, rope_modules
from mmevolve.models.encode import Row, collate
from mmevolve.models.parts import plain, trunk
from mmevolve.models.score import before, score_hidden
from mmevolve.models.vlm import TransformersVLM
from mmevolve.types import Chat

NORMS = ("norm", "final_layernorm", "final_norm", "ln_f", "layer_norm")


def layer_logprobs(
    policy: TransformersVLM, chat: Chat, completions: Sequence[str], *, end: bool = True
) -> list[list[float]]:
    """Log-probability of each completion under each layer: layers x completions, the first layer first.

    The last layer's are those of the model itself (`TransformersVLM.logprobs`).

    Args:
        policy: the model; its weights are here, as those behind a server are not.
        chat: the question.
        completions: what might be said.
        end: whether the end token counts, as in whole responses; not where the first word of a response decides.

    Raises:
        ValueError: when there is no completion, one has no token, or the model keeps its last norm under another name.
    """
    prompt = policy.encoder.prompt(chat)
    rows = [Row(prompt, policy.encoder.completion(text, end=end)) for text in completions]
    if not rows or not all(row.completion for row in rows):
        raise ValueError(f"completions {list(completions)}: each layer needs at least one token of each")
    inputs = collate(rows, pad=policy.pad, device=policy.device, side="right")
    ropes, norm = rope_modules(policy.model), last_norm(policy.model)
    with torch.inference_mode():
        positions = prompt_positions(ropes, inputs)
        out = trunk(policy.model)(**inputs, **positions, use_cache=False, output_hidden_states=True)
        forget_positions(ropes)
        # the first are the embeddings; the last have been through the norm already
        states = [*(norm(part) for part in out.hidden_states[1:-1]), out.last_hidden_state]
        return [score_hidden(policy.model, part, rows, before(rows)).logps.sum(-1).tolist() for part in states]


def last_norm(model: Any) -> Any:
    """The norm between the last layer and the vocabulary projection.

    Raises:
        ValueError: when it has none of the names that transformers gives it.
    """
    decoder = plain(model).get_decoder()
    found = next((getattr(decoder, name) for name in NORMS if hasattr(decoder, name)), None)
    if found is None:
        raise ValueError(f"{type(decoder).__name__} has no last norm under the names {', '.join(NORMS)}")
    return found
