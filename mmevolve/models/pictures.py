"""Images to the tensors of one image processor, each image once, whatever prompts it stands in.

A processor of transformers reads an image again for every prompt that holds it. Here it is given `Pictures` in the
place of its image processor: what is known of an image is handed back, and its pixels are kept (or made again) by
themselves, since nothing reads them once the image's features are there (`models.vision`). The slow oracle is the
processor itself (tests/models/test_pictures.py).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import BatchFeature

from mmevolve.data.images import image_digest, name_of, open_image
from mmevolve.types import ImageRef

PIXEL_BYTES = 256 * 2**20  # of pixel tensors; images beyond it are processed again when they come back
KEPT_PICTURES = 100_000  # images whose grids are remembered, some 2 kB each


@dataclass(frozen=True, eq=False)
class Picture:
    """What an image processor says of one image, or of a prompt's images where it must see them together.

    Attributes:
        refs: the images.
        digests: their SHA-256, in the same order.
        sizes: their width and height.
        said: the processor's output; pixel tensors have their shape but no memory.
    """

    refs: tuple[ImageRef, ...]
    digests: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    said: Mapping[str, Any]

    @property
    def key(self) -> str:
        return " ".join(self.digests)


class Pictures:
    """Stands in for an image processor and remembers; see the module.

    Attributes:
        inner: the image processor that is remembered.
        calls: how many images were processed.
    """

    def __init__(self, inner: Any):
        self.inner = inner
        self.calls = 0
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._pixels: OrderedDict[str, dict[str, torch.Tensor]] = OrderedDict()
        self._bytes = 0
        self._asked: list[tuple[ImageRef, str]] = []
        self._given: list[Picture] = []
        self._settings: tuple[bool, dict[str, Any]] = (True, {})
        self._probed = False
        self._axis: int | None = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: nothing that is only remembered."""
        return {**self.__dict__, **Pictures(self.inner).__dict__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def ask(self, refs: Sequence[ImageRef], digests: Sequence[str]) -> list[Image.Image]:
        """Say which images the next call is about; gives what to hand to the processor in their place.

        An image that is known is not opened: a blank one of its size stands in for it.
        """
        self._asked = list(zip(refs, digests, strict=True))
        known = {d: size for key in self._keys(digests) if key in self._kept for d, size in self._sizes(key)}
        return [
            Image.new("L", known[digest]) if digest in known else open_image(ref)
            for ref, digest in self._asked
        ]  # fmt: skip

    def given(self) -> tuple[Picture, ...]:
        """The pictures of the last call."""
        return tuple(self._given)

    def __call__(self, images: Any, **settings: Any) -> BatchFeature:
        """What the image processor says of the images that were asked for, without their pixels."""
        nested = isinstance(images[0], list | tuple)
        flat = [image for part in images for image in part] if nested else list(images)
        self._settings = (nested, settings)
        if len(flat) > 1 and not self._probed:
            self._axis, self._probed = self._probe(), True
        opened = {digest: image for (_, digest), image in zip(self._asked, flat, strict=True)}
        refs = {digest: ref for ref, digest in self._asked}
        self._given = []
        for key in self._keys([digest for _, digest in self._asked]):
            if key not in self._kept:
                digests = tuple(key.split(" "))
                self._make(tuple(refs[d] for d in digests), digests, [_real(opened[d], refs[d]) for d in digests])
            self._kept.move_to_end(key)
            self._given.append(self._kept[key])
        while len(self._kept) > KEPT_PICTURES:
            self._kept.popitem(last=False)
        return BatchFeature(merge([picture.said for picture in self._given], self._axis))

    def join(self, pictures: Sequence[Picture], name: str) -> torch.Tensor:
        """Pixels of all pictures of a prompt."""
        return _join([self.tensors(picture)[name] for picture in pictures], self._axis)

    def tensors(self, picture: Picture) -> dict[str, torch.Tensor]:
        """All tensors of a picture, its pixels made again if they are gone.

        Raises:
            ValueError: when an image file is no longer what it was.
        """
        if picture.key not in self._pixels:
            for ref, digest in zip(picture.refs, picture.digests, strict=True):
                if image_digest(ref) != digest:
                    raise ValueError(f"{name_of(ref)} was changed while a run was using it")
            self._keep(picture.key, self._process([open_image(ref) for ref in picture.refs]))
        self._pixels.move_to_end(picture.key)
        small = {k: v for k, v in picture.said.items() if isinstance(v, torch.Tensor)}
        return {**small, **self._pixels[picture.key]}

    def _keys(self, digests: Sequence[str]) -> list[str]:
        together = self._axis is None and len(digests) > 1
        return [" ".join(digests)] if together else list(digests)

    def _sizes(self, key: str) -> Iterator[tuple[str, tuple[int, int]]]:
        return zip(self._kept[key].digests, self._kept[key].sizes, strict=True)

    def _make(self, refs: tuple[ImageRef, ...], digests: tuple[str, ...], opened: list[Image.Image]) -> None:
        said = self._process(opened)
        hollow = {k: torch.zeros(()).to(v).expand(v.shape) if is_pixels(k) else v for k, v in said.items()}
        picture = Picture(refs, digests, tuple(image.size for image in opened), hollow)
        self._kept[picture.key] = picture
        self._keep(picture.key, said)

    def _process(self, opened: list[Image.Image]) -> dict[str, Any]:
        nested, settings = self._settings
        self.calls += len(opened)
        return dict(self.inner([opened] if nested else opened, **settings))

    def _keep(self, key: str, said: Mapping[str, Any]) -> None:
        self._pixels[key] = {k: v for k, v in said.items() if is_pixels(k)}
        self._bytes += _nbytes(self._pixels[key])
        while self._bytes > PIXEL_BYTES and len(self._pixels) > 1:
            self._bytes -= _nbytes(self._pixels.popitem(last=False)[1])

    def _probe(self) -> int | None:
        """Along which dimension images of one prompt are joined: found on two blocks of noise.

        None where the processor does something else with several images than with one (LLaVA-OneVision tiles only a
        prompt's sole image): there a prompt's images are processed together.
        """
        noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
        pair = [Image.fromarray(noise[:, :96]), Image.fromarray(noise[:48])]
        before = self.calls
        whole, alone = self._process(pair), [self._process([image]) for image in pair]
        self.calls = before
        return next((axis for axis in (0, 1) if _alike(alone, axis, whole)), None)


class Joined(Mapping[str, torch.Tensor]):
    """A prompt's image inputs; pixels are looked up, or made again, when they are asked for.

    Args:
        owner: who knows the pictures.
        pictures: the prompt's, in order.
        made: what the processor made of the prompt; its tensors other than pixels are kept.
    """

    def __init__(self, owner: Pictures, pictures: tuple[Picture, ...], made: Mapping[str, torch.Tensor]):
        self.owner, self.pictures = owner, pictures
        self.made = {name: None if is_pixels(name) else tensor for name, tensor in made.items()}

    def __getitem__(self, name: str) -> torch.Tensor:
        kept = self.made[name]
        return self.owner.join(self.pictures, name) if kept is None else kept

    def __iter__(self) -> Iterator[str]:
        return iter(self.made)

    def __len__(self) -> int:
        return len(self.made)


def processor_digest(inner: Any) -> str:
    """First 16 hex digits of a SHA-256 over an image processor's class and settings."""
    return hashlib.sha256(f"{type(inner).__name__} {inner.to_json_string()}".encode()).hexdigest()[:16]


def merge(said: Sequence[Mapping[str, Any]], axis: int | None) -> dict[str, Any]:
    """Outputs of several images as the output of all of them."""
    return {name: _join([one[name] for one in said], axis) for name in said[0]}


def stack(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Concatenate on the first dimension; where images have different numbers of tiles, zeros fill the later ones.

    Zero tiles are what the processors themselves pad with, and what the models leave out.
    """
    if len({t.shape[1:] for t in tensors}) > 1:
        shape = [max(sizes) for sizes in zip(*(t.shape[1:] for t in tensors), strict=True)]
        tensors = [_grown(t, shape) for t in tensors]
    return torch.cat(list(tensors))


def _join(values: list[Any], axis: int | None) -> Any:
    """Tensors and lists of several images as one; `axis` 1 where the first dimension counts prompts."""
    if len(values) == 1:
        return values[0]
    if isinstance(values[0], torch.Tensor):
        return torch.cat(values, dim=1) if axis == 1 and values[0].dim() > 1 else stack(values)
    if isinstance(values[0], list):
        return [[x for value in values for x in value[0]]] if axis == 1 else [x for value in values for x in value]
    return values[0]


def _alike(alone: Sequence[Mapping[str, Any]], axis: int, whole: Mapping[str, Any]) -> bool:
    """Whether images processed one by one and joined are what the processor makes of all of them."""
    try:
        ours = merge(alone, axis)
    except (RuntimeError, ValueError):  # shapes that cannot be joined so
        return False
    for name, value in whole.items():
        if isinstance(value, torch.Tensor):
            if ours[name].shape != value.shape or not torch.equal(ours[name], value):
                return False
        elif ours[name] != value:
            return False
    return True


def _grown(tensor: torch.Tensor, shape: list[int]) -> torch.Tensor:
    padding = [pad for want, have in zip(shape, tensor.shape[1:], strict=True) for pad in (want - have, 0)]
    return torch.nn.functional.pad(tensor, padding[::-1])


def is_pixels(name: str) -> bool:
    """Whether an input of a model is what its tower alone reads."""
    return name.startswith("pixel_")


def _nbytes(tensors: Mapping[str, torch.Tensor]) -> int:
    return sum(t.nbytes for t in tensors.values())


def _real(image: Image.Image, ref: ImageRef) -> Image.Image:
    """The image itself where a blank one stands in for it."""
    return open_image(ref) if image.mode == "L" else image
