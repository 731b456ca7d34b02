"""What a frozen eye sees, computed once an image: after tower and projector, DeepStack levels where a model has them.

While tower and projector stay as they are, an image's features are the same in sampling, scoring, reward and training,
in every round. `VisionFeatures` keeps them, and whoever is given the same store shares them; `Eye` fills it, and hands
them to the model as `mm_encoder_outputs`, which transformers' models take in the place of pixels. The slow oracle is
the model with pixels (tests/models/test_vision.py); which families can do this: docs/vision_features.md.

An image is by default encoded by itself: matrix products of other sizes may differ in their last bits, and a run that
is resumed meets its images in another company.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers.utils import ModelOutput

from mmevolve.config.ranges import Range
from mmevolve.console import current
from mmevolve.durable import put
from mmevolve.models.parts import plain, trunk
from mmevolve.models.pictures import Picture, Pictures, processor_digest, stack

LIMIT = 2 * 2**30  # bytes
FOLDER_LIMIT = 64 * 2**30
TRIED = 16  # features read from the folder before reading is judged against encoding
NOT_VISION = ("text_config", "_name_or_path", "transformers_version", "architectures", "dtype")


@dataclass
class Seen(ModelOutput):
    """What `get_image_features` gives, as far as the models read it."""

    pooler_output: Any = None
    deepstack_features: Any = None


class VisionFeatures:
    """Features by image, image processor, eye and dtype: in memory up to a limit, and in a folder if one is given.

    Args:
        limit: bytes in memory; the least recently used leave first. 0 switches features off.
        folder: where they are also kept for later runs, one safetensors file an image. Not read any more once reading
            has taken longer than encoding did.
        folder_limit: bytes in the folder; beyond it nothing more is written.
        batch: images of one tower pass. More are faster where an image is little work; the last bits of the features
            may then depend on which images came together.

    Attributes:
        tower_forwards: images that went through a tower.
        hits: images that did not have to.
    """

    def __init__(
        self,
        *,
        limit: Annotated[int, Range(0)] = LIMIT,
        folder: str | None = None,
        folder_limit: Annotated[int, Range(0)] = FOLDER_LIMIT,
        batch: Annotated[int, Range(1)] = 1,
    ):
        self.limit = limit
        self.folder = None if folder is None else Path(folder)
        self.folder_limit = folder_limit
        self.batch = batch
        self.tower_forwards = 0
        self.hits = 0
        self._kept: OrderedDict[str, dict[str, torch.Tensor]] = OrderedDict()
        self._bytes = 0
        self._pictures: dict[str, Pictures] = {}
        self._written: int | None = None
        self._reading = [0, 0.0, 0.0]  # times read, seconds it took, seconds that encoding had taken
        self._said: set[str] = set()

    def describe(self) -> None:
        """Nothing for the store's keys: what is kept changes speed and memory, not results."""

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: the settings."""
        fresh = VisionFeatures(
            limit=self.limit,
            folder=None if self.folder is None else str(self.folder),
            folder_limit=self.folder_limit,
            batch=self.batch,
        )
        return fresh.__dict__

    def pictures(self, image_processor: Any) -> Pictures:
        """The memory of an image processor, one for all that have the same settings."""
        return self._pictures.setdefault(processor_digest(image_processor), Pictures(image_processor))

    def get(self, key: str) -> dict[str, torch.Tensor] | None:
        """Features of one picture, from memory or the folder."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = self._read(key)
        if found is not None:
            self._keep(key, found)
        return found

    def put(self, key: str, features: dict[str, torch.Tensor], seconds: float) -> None:
        """Keep features that took so long to make."""
        self._keep(key, features)
        if self.folder is not None:
            self._write(key, features, seconds)

    def say(self, text: str) -> None:
        """Tell the person who watches, once."""
        if text not in self._said:
            self._said.add(text)
            current().say(f"  vision features: {text}")

    def _keep(self, key: str, features: dict[str, torch.Tensor]) -> None:
        self._kept[key] = features
        self._bytes += _nbytes(features)
        while self._bytes > self.limit and len(self._kept) > 1:
            self._bytes -= _nbytes(self._kept.popitem(last=False)[1])
            if self.folder is None:
                self.say(
                    f"more than fit into {self.limit:,} bytes; images that come back are encoded again "
                    "(a larger `limit`, or a `folder`, saves that)"
                )

    def _read(self, key: str) -> dict[str, torch.Tensor] | None:
        file = None if self.folder is None else self.folder / f"{key}.safetensors"
        times, spent, saved = self._reading
        if file is None or (times >= TRIED and spent > saved) or not file.is_file():
            return None
        begin = time.perf_counter()
        try:
            with safe_open(file, "pt") as opened:
                found = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
                saved += float((opened.metadata() or {})["seconds"])
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{file} holds no vision features ({error}): remove it, it will be made again") from error
        self._reading = [times + 1, spent + time.perf_counter() - begin, saved]
        if times + 1 == TRIED and self._reading[1] > saved:
            self.say(f"reading from {self.folder} is slower than encoding, so it is not read any more")
        return found

    def _write(self, key: str, features: dict[str, torch.Tensor], seconds: float) -> None:
        try:
            self._put_aside(key, features, seconds)
        except (OSError, SafetensorError) as error:
            self.folder_limit = 0
            self.say(f"cannot write to {self.folder} ({error}); nothing more is written to it")

    def _put_aside(self, key: str, features: dict[str, torch.Tensor], seconds: float) -> None:
        """Written aside and renamed: a kill leaves a file whole or absent."""
        if not self.folder_limit:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._written is None:
            self._written = sum(f.stat().st_size for f in self.folder.glob("*.safetensors"))
        file = self.folder / f"{key}.safetensors"
        if self._written + _nbytes(features) > self.folder_limit:
            self.say(f"{self.folder} is full ({self.folder_limit:,} bytes); nothing more is written to it")
        elif not file.exists():
            aside = file.with_suffix(f".{os.getpid()}.tmp")
            save_file(features, aside, {"seconds": repr(seconds)})
            put(aside, file)
            self._written += file.stat().st_size


class Eye:
    """The tower and projector of one model, which look at each picture once.

    Attributes:
        off: why the model is given pixels instead; empty when it is not.
    """

    def __init__(self, model: Any, pictures: Pictures, store: VisionFeatures):
        self.model = model
        self.pictures = pictures
        self.store = store
        self.off = self._obstacle()
        self._weights = [] if self.off else eye_weights(model)
        self._watch()  # now: while an adapter is turned off, peft calls its weights frozen
        self._mark: Any = None
        self._key = ""
        self._waiting: dict[str, Picture] = {}

    def look(self, pictures: Sequence[Picture]) -> dict[str, Any] | None:
        """`mm_encoder_outputs` for the images of a batch, in order; None where the model must be given pixels."""
        keys = self._keys(pictures) if pictures and self.ready() else []
        if not keys:
            return None
        found = {key: self.store.get(key) for key in dict.fromkeys(keys)}
        missing = {key: p for key, p in zip(keys, pictures, strict=True) if found[key] is None}
        self.store.hits += len(pictures) - len(missing)
        for key, features in self._encoded(missing):
            found[key] = features
        if self.off:  # the first look showed what cannot be seen from outside
            return None
        seen = [found[key] for key in keys]
        return {"image": _output(seen, next(self.model.parameters()).device)}

    def expect(self, pictures: Sequence[Picture]) -> None:
        """Pictures that will be looked at soon: their features are made, a pass of `batch` at a time."""
        if self.ready():
            self._waiting.update(zip(self._keys(pictures), pictures, strict=True))
            if len(self._waiting) >= self.store.batch:
                missing = {key: p for key, p in self._waiting.items() if self.store.get(key) is None}
                self._waiting = {}
                list(self._encoded(missing))

    def ready(self) -> bool:
        """Whether features can be used; says once why not."""
        self._watch()
        if self.off and self.store.limit:
            self.store.say(f"off, {self.off}")
        return not self.off and self.store.limit > 0

    def digest(self) -> str:
        """Of everything that decides features but the image: weights, their dtype, settings, image processor."""
        mark = [(p._version, p.data_ptr(), p.dtype) for _, p in self._weights]
        if mark != self._mark:
            config = {k: v for k, v in plain(self.model).config.to_dict().items() if k not in NOT_VISION}
            digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
            digest.update(processor_digest(self.pictures.inner).encode())
            for name, weight in self._weights:
                digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
                digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
            self._mark, self._key = mark, digest.hexdigest()
        return self._key

    def _obstacle(self) -> str:
        whole = plain(self.model)
        inner = getattr(whole, "model", None)
        if not hasattr(inner, "get_image_features") or not hasattr(inner, "get_decoder"):
            return f"{type(whole).__name__} has no pass of its own for images"
        if "mm_encoder_outputs" not in inspect.signature(inner.forward).parameters:
            return f"{type(whole).__name__} takes no features in the place of pixels"
        return ""

    def _watch(self) -> None:
        """Off for good once a weight of the eye is trained."""
        learned = next((name for name, p in self._weights if p.requires_grad), None)
        if learned is not None and not self.off:
            self.off = f"the eye is trained (weight '{learned}')"

    def _keys(self, pictures: Sequence[Picture]) -> list[str]:
        digest = self.digest()
        return [hashlib.sha256(f"{digest} {picture.key}".encode()).hexdigest() for picture in pictures]

    def _encoded(self, missing: Mapping[str, Picture]) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        """Features of each picture, kept as they come."""
        todo = list(missing.items())
        alone = [one for one in todo if len(one[1].refs) > 1]  # a prompt's images that are one picture
        rest = [one for one in todo if len(one[1].refs) == 1]
        size = self.store.batch
        for group in [[one] for one in alone] + [rest[k : k + size] for k in range(0, len(rest), size)]:
            begin = time.perf_counter()
            made = self._forward([picture for _, picture in group])
            if self.off:
                return
            seconds = (time.perf_counter() - begin) / len(group)
            for (key, _), features in zip(group, made, strict=True):
                self.store.put(key, features, seconds)
                yield key, features

    def _forward(self, pictures: list[Picture]) -> list[dict[str, torch.Tensor]]:
        """One tower pass. Not part of any graph, nor of the caller's inference mode or mixed precision."""
        inner = trunk(self.model)
        device = next(inner.parameters()).device
        takes = inspect.signature(inner.get_image_features).parameters
        tensors = [self.pictures.tensors(picture) for picture in pictures]
        with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
            inputs = {n: stack([t[n] for t in tensors]).to(device) for n in tensors[0] if n in takes}
            out = inner.get_image_features(**inputs, return_dict=True)
            rows = [t["pixel_values"].shape[0] for t in tensors]
            features = _by_picture(out, len(pictures), rows)
        if features is None:
            self.off = f"{type(plain(self.model)).__name__} gives image features in a form that is not known here"
            self.ready()
            return []
        self.store.tower_forwards += sum(len(picture.refs) for picture in pictures)
        return features


def eye_weights(model: Any) -> list[tuple[str, torch.nn.Parameter]]:
    """All that is not the language model: tower, projector, line breaks between the rows of an image."""
    inner = trunk(model)
    language = {id(p) for p in inner.get_decoder().parameters()}
    return [(n, p) for n, p in inner.named_parameters() if id(p) not in language]


def _by_picture(out: Any, count: int, rows: Sequence[int]) -> list[dict[str, torch.Tensor]] | None:
    """A pass taken apart: `pooled` (tokens, D) or (tiles, tokens, D), and `level0`... a picture; None if not so."""
    levels = getattr(out, "deepstack_features", None) or []
    parts = [_parts(value, count, rows) for value in (out.pooler_output, *levels)]
    if any(part is None for part in parts):
        return None
    names = ["pooled", *(f"level{k}" for k in range(len(levels)))]
    return [{n: part[i].cpu().contiguous().clone() for n, part in zip(names, parts, strict=True)} for i in range(count)]


def _parts(value: Any, count: int, rows: Sequence[int]) -> list[torch.Tensor] | None:
    if isinstance(value, torch.Tensor) and value.dim() == 3 and len(value) == sum(rows):
        return list(value.split(list(rows)))
    if not isinstance(value, list | tuple) or not all(isinstance(v, torch.Tensor) and v.dim() == 2 for v in value):
        return None
    if count == 1:
        return [torch.cat(list(value))]
    return list(value) if len(value) == count else None


def _output(seen: Sequence[Mapping[str, torch.Tensor]], device: torch.device) -> Seen:
    pooled = [one["pooled"].to(device) for one in seen]
    levels = [[one[name].to(device) for one in seen] for name in seen[0] if name != "pooled"]
    return Seen(torch.cat(pooled) if pooled[0].dim() == 3 else pooled, levels or None)


def _nbytes(features: Mapping[str, torch.Tensor]) -> int:
    return sum(t.nbytes for t in features.values())
