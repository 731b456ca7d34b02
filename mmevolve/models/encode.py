"""Chats to model inputs: one processor call a distinct prompt, kept; batches by padding and concatenation.

Works for any processor of transformers: tensors shaped like `input_ids` are per token and are padded, everything else
(pixels, grids, image sizes) is per image and is concatenated.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch

from mmevolve.data.images import image_digest, open_image
from mmevolve.text import images_of
from mmevolve.types import Chat

KEPT_PROMPTS = 8192
PER_TOKEN = ("mm_token_type_ids", "token_type_ids")


@dataclass(frozen=True)
class Encoded:
    """One prompt.

    Attributes:
        ids: prompt token ids, image placeholders expanded, generation prompt included.
        per_token: other per-token inputs, same length.
        per_image: inputs that belong to the images, first dimension to be concatenated.
    """

    ids: tuple[int, ...]
    per_token: dict[str, tuple[int, ...]]
    per_image: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Row:
    """A prompt and the completion tokens that follow it (end token included where it is to be scored)."""

    prompt: Encoded
    completion: tuple[int, ...] = ()


class Encoder:
    """Turns chats into `Encoded` prompts with one processor; remembers the last few thousand."""

    def __init__(self, processor: Any):
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.calls = 0
        self._kept: OrderedDict[str, Encoded] = OrderedDict()

    def prompt(self, chat: Chat) -> Encoded:
        """Encode a chat up to and including the cue for the assistant's turn."""
        key = _key(chat)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        images = [open_image(ref) for ref in images_of(chat)]
        text = self.processor.apply_chat_template([_bare(m) for m in chat], add_generation_prompt=True)
        out = self.processor(text=[text], images=images or None, return_tensors="pt", add_special_tokens=False)
        self.calls += 1
        ids = tuple(out.pop("input_ids")[0].tolist())
        out.pop("attention_mask", None)
        per_token = {k: tuple(out.pop(k)[0].tolist()) for k in PER_TOKEN if k in out}
        encoded = Encoded(ids, per_token, {k: v for k, v in out.items() if isinstance(v, torch.Tensor)})
        self._kept[key] = encoded
        if len(self._kept) > KEPT_PROMPTS:
            self._kept.popitem(last=False)
        return encoded

    def completion(self, text: str, *, end: bool = True) -> tuple[int, ...]:
        """Token ids of an assistant's text, with the end-of-turn token unless it is a prefix to be continued."""
        ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()
        return (*ids, self.tokenizer.eos_token_id) if end else ids


def collate(rows: list[Row], *, pad: int, device: torch.device, side: str) -> dict[str, torch.Tensor]:
    """Model inputs for a batch: `input_ids`, `attention_mask` (B, T), per-token extras, per-image tensors."""
    lengths = [len(r.prompt.ids) + len(r.completion) for r in rows]
    width = max(lengths)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    extras = {k: torch.zeros((len(rows), width), dtype=torch.long) for k in rows[0].prompt.per_token}
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        start = width - length if side == "left" else 0
        ids[i, start : start + length] = torch.tensor((*row.prompt.ids, *row.completion))
        mask[i, start : start + length] = 1
        for name, values in extras.items():
            per_token = row.prompt.per_token[name]
            values[i, start : start + len(per_token)] = torch.tensor(per_token)
    batch = {"input_ids": ids, "attention_mask": mask, **extras}
    for name in {k for r in rows for k in r.prompt.per_image}:
        batch[name] = torch.cat([r.prompt.per_image[name] for r in rows if name in r.prompt.per_image])
    return {k: v.to(device) for k, v in batch.items()}


def _bare(message: Any) -> dict[str, Any]:
    """A message for the chat template: image parts without their data."""
    parts = [{"type": "image"} if p["type"] == "image" else dict(p) for p in message["content"]]
    return {"role": message["role"], "content": parts}


def _key(chat: Chat) -> str:
    digest = hashlib.sha256()
    for message in chat:
        for part in message["content"]:
            said = image_digest(part["image"]) if part["type"] == "image" else part["text"]
            digest.update(f"{message['role']}\x1f{part['type']}\x1f{said}\x1e".encode())
    return digest.hexdigest()
