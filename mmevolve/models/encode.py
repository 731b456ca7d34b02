"""Chats to model inputs: one processor call a distinct prompt, kept; batches by padding and concatenation.

Works for any processor of transformers: tensors shaped like `input_ids` are per token and are padded, everything else
(pixels, grids, image sizes) is per image and is concatenated. Images go through the image processor once, whatever
prompts they stand in (`models.pictures`), and where an eye is at hand, batches hold what it sees instead of pixels
(`models.vision`).
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mmevolve.data.images import image_digest
from mmevolve.models.pictures import Joined, Picture, Pictures, is_pixels, stack
from mmevolve.text import images_of
from mmevolve.types import Chat

if TYPE_CHECKING:
    from mmevolve.models.vision import Eye

KEPT_BYTES = 256 * 2**20  # of token ids; prompts beyond it are encoded again when they come back
PER_TOKEN = ("mm_token_type_ids", "token_type_ids")


@dataclass(frozen=True)
class Encoded:
    """One prompt.

    Attributes:
        ids: prompt token ids, image placeholders expanded, generation prompt included.
        per_token: other per-token inputs, same length.
        per_image: inputs that belong to the images, first dimension to be concatenated.
        pictures: the images, in order.
        eye: who knows their features; None where the model must be given pixels.
    """

    ids: tuple[int, ...]
    per_token: dict[str, tuple[int, ...]]
    per_image: Mapping[str, torch.Tensor]
    pictures: tuple[Picture, ...] = ()
    eye: Eye | None = None


@dataclass(frozen=True)
class Row:
    """A prompt and the completion tokens that follow it (end token included where it is to be scored)."""

    prompt: Encoded
    completion: tuple[int, ...] = ()


class Encoder:
    """Turns chats into `Encoded` prompts with one processor; remembers those it used last.

    Args:
        processor: of transformers.
        pictures: the memory of its image processor, where others share it.

    Attributes:
        end: id of the token that the chat template puts after an assistant's text.
        calls: how often the processor was called.
        eye: who looks at the pictures of the prompts; None when the model must be given pixels.
    """

    def __init__(self, processor: Any, pictures: Pictures | None = None):
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.end = end_of_turn(processor)
        self.calls = 0
        self.eye: Eye | None = None
        self.use(Pictures(processor.image_processor) if pictures is None else pictures)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: all but the remembered prompts."""
        return {**self.__dict__, "_kept": OrderedDict(), "_bytes": 0}

    def use(self, pictures: Pictures) -> None:
        """Process images through this memory from now on; prompts are encoded anew."""
        self.pictures = pictures
        self._reader = copy.copy(self.processor)
        self._reader.image_processor = pictures
        self._kept: OrderedDict[str, Encoded] = OrderedDict()
        self._bytes = 0

    def prompt(self, chat: Chat) -> Encoded:
        """Encode a chat up to and including the cue for the assistant's turn."""
        refs = images_of(chat)
        digests = [image_digest(ref) for ref in refs]
        key = _key(chat, digests)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        images = self.pictures.ask(refs, digests)
        text = self.processor.apply_chat_template([_bare(m) for m in chat], add_generation_prompt=True)
        bos = self.tokenizer.bos_token
        begun = bos is not None and text.startswith(bos)  # else the tokenizer adds its own, as transformers has it
        pictures = [images] if images else None  # one list a prompt: LLaVA-OneVision tiles only a prompt's sole image
        out = self._reader(text=[text], images=pictures, return_tensors="pt", add_special_tokens=not begun)
        self.calls += 1
        given = self.pictures.given() if images else ()
        ids = tuple(out.pop("input_ids")[0].tolist())
        out.pop("attention_mask", None)
        per_token = {k: tuple(out.pop(k)[0].tolist()) for k in PER_TOKEN if k in out}
        others = {k: v for k, v in out.items() if isinstance(v, torch.Tensor)}
        encoded = Encoded(ids, per_token, Joined(self.pictures, given, others), given, self.eye)
        if self.eye is not None:
            self.eye.expect(given)
        self._kept[key] = encoded
        self._bytes += _size(encoded)
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return encoded

    def completion(self, text: str, *, end: bool = True) -> tuple[int, ...]:
        """Token ids of an assistant's text, with the end-of-turn token unless it is a prefix to be continued."""
        ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()
        return (*ids, self.end) if end else ids

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Character span of `text` that each token of its completion stands for; the end token has none."""
        return [
            tuple(s)
            for s in self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        ]


def collate(rows: list[Row], *, pad: int, device: torch.device, side: str) -> dict[str, Any]:
    """Model inputs for a batch: `input_ids`, `attention_mask` (B, T), per-token extras, per-image tensors.

    Features of the images stand in the place of their pixels where an eye that stays as it is looks at them.
    """
    lengths = [len(r.prompt.ids) + len(r.completion) for r in rows]
    width = max(lengths)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    names = {k for r in rows for k in r.prompt.per_token}
    extras = {k: torch.zeros((len(rows), width), dtype=torch.long) for k in names}
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        start = width - length if side == "left" else 0
        ids[i, start : start + length] = torch.tensor((*row.prompt.ids, *row.completion))
        mask[i, start : start + length] = 1
        for name, values in extras.items():
            per_token = row.prompt.per_token.get(name, ())
            values[i, start : start + len(per_token)] = torch.tensor(per_token)
    batch = {"input_ids": ids, "attention_mask": mask, **extras}
    eye = next((r.prompt.eye for r in rows if r.prompt.eye is not None), None)
    seen = None if eye is None else eye.look([picture for r in rows for picture in r.prompt.pictures])
    for name in {k for r in rows for k in r.prompt.per_image}:
        if seen is None or not is_pixels(name):
            batch[name] = stack([r.prompt.per_image[name] for r in rows if name in r.prompt.per_image])
    inputs: dict[str, Any] = {k: v.to(device) for k, v in batch.items()}
    return inputs if seen is None else {**inputs, "mm_encoder_outputs": seen}


def end_of_turn(processor: Any) -> int:
    """Id of the special token that the chat template puts after an assistant's text, else the tokenizer's end token."""
    tokenizer = processor.tokenizer
    turns = [{"role": r, "content": [{"type": "text", "text": t}]} for r, t in (("user", "a"), ("assistant", "reply"))]
    after = processor.apply_chat_template(turns).rpartition("reply")[2]
    ids = tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return ids[0] if ids and ids[0] in special else tokenizer.eos_token_id


def _size(encoded: Encoded) -> int:
    return 64 * len(encoded.ids)


def _bare(message: Any) -> dict[str, Any]:
    """A message for the chat template: image parts without their data."""
    parts = [{"type": "image"} if p["type"] == "image" else dict(p) for p in message["content"]]
    return {"role": message["role"], "content": parts}


def _key(chat: Chat, digests: list[str]) -> str:
    digest = hashlib.sha256()
    images = iter(digests)
    for message in chat:
        for part in message["content"]:
            said = next(images) if part["type"] == "image" else part["text"]
            digest.update(f"{message['role']}\x1f{part['type']}\x1f{said}\x1e".encode())
    return digest.hexdigest()
