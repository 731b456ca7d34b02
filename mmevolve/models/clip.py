"""CLIP models through open_clip: pictures and texts as unit vectors in one space, and what that is good for.

Two uses: how well a text fits a picture (`critics.Alignment`), and which pictures of two data sets are nearly the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import open_clip
import torch

from mmevolve.config.nearest import hint
from mmevolve.config.ranges import Range
from mmevolve.data.images import image_digest, open_image
from mmevolve.models.opening import first_sentence
from mmevolve.models.vlm import PACKAGED, model_folder
from mmevolve.text import chunks
from mmevolve.types import ImageRef, Sample

CONFIG = "open_clip_config.json"
DIGITS = 5  # of a similarity: what is left of it does not depend on the batch
BLOCK = 1024  # pictures compared with all others at a time


class ClipEmbedder:
    """An open_clip model that gives pictures and texts as unit vectors; it is not trained here.

    Paper: Radford et al. 2021, CLIP, arXiv:2103.00020. A text longer than the model's context is cut at its end, as by
    CLIP; the tiny model knows the words of the embedded world only.

    Args:
        model: a folder with `open_clip_config.json` and weights, `mmevolve:tiny_clip`, one of open_clip's own names
            (`ViT-B-32`) together with `pretrained`, or `hf-hub:org/name`.
        pretrained: weights of one of open_clip's own names: one of its tags, or a file.
        device: `auto` takes a GPU when there is one.
        batch: pictures or texts embedded side by side; changes speed and memory only.

    Raises:
        ValueError: when there is no such model, or it would have no trained weights.
    """

    def __init__(
        self,
        model: str = "mmevolve:tiny_clip",
        *,
        pretrained: str | None = None,
        device: str = "auto",
        batch: Annotated[int, Range(1)] = 64,
    ):
        place = _place(model, pretrained)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.source, self.pretrained, self.device, self.batch = model, pretrained, torch.device(device), batch
        self.clip: Any
        try:
            self.clip, self._see = open_clip.create_model_from_pretrained(place, pretrained, device=self.device)
        except Exception as error:  # an unpickler that meets something else raises what it likes
            why = first_sentence(error)
            raise ValueError(f"the CLIP model '{self.name}': its weights cannot be loaded: {why}") from error
        self.clip.eval()
        self._words = open_clip.get_tokenizer(place)

    @property
    def name(self) -> str:
        return f"clip:{self.source}" + (f"@{self.pretrained}" if self.pretrained else "")

    @cached_property
    def weights_digest(self) -> str:
        """First 16 hex digits of a SHA-256 over the weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.clip.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """What decides its embeddings, for the store's keys."""
        return {"clip": self.source, "pretrained": self.pretrained, "weights": self.weights_digest}

    def images(self, refs: Sequence[ImageRef]) -> torch.Tensor:
        """Unit vectors (N, D) of pictures, float32 on the CPU.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when one is no image, is cut off, or is too large.
        """
        return self._embed(list(refs), lambda some: self.clip.encode_image(self._pixels(some), normalize=True))

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (N, D) of texts, float32 on the CPU."""
        return self._embed(list(texts), lambda some: self.clip.encode_text(self._ids(some), normalize=True))

    def similarity(self, images: Sequence[ImageRef], texts: Sequence[str]) -> list[float]:
        """Cosine of each picture with the text beside it, in [-1, 1], to five digits; equal ones are embedded once.

        Raises:
            ValueError: when there are not as many texts as pictures.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(texts)} texts for {len(images)} images: expected one each")
        seen = {ref: i for i, ref in enumerate(dict.fromkeys(images))}
        read = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        pictures, words = self.images(list(seen)), self.texts(list(read))
        left, right = pictures[[seen[r] for r in images]], words[[read[t] for t in texts]]
        return [round(x, DIGITS) for x in (left * right).sum(-1).tolist()]

    @torch.inference_mode()
    def _embed(self, items: list[Any], encode: Callable[[list[Any]], torch.Tensor]) -> torch.Tensor:
        parts = [encode(some).float().cpu() for some in chunks(items, self.batch)]
        width = self.clip.visual.output_dim if not parts else parts[0].shape[-1]
        return torch.cat(parts) if parts else torch.zeros(0, width)

    def _pixels(self, refs: list[ImageRef]) -> torch.Tensor:
        return torch.stack([self._see(open_image(ref)) for ref in refs]).to(self.device)

    def _ids(self, texts: list[str]) -> torch.Tensor:
        return self._words(texts).to(self.device)


@dataclass(frozen=True)
class NearDuplicate:
    """Two pictures that are nearly the same.

    Attributes:
        first: id of the sample of the first data set.
        second: id of the sample of the second.
        first_image: which of its images.
        second_image: likewise.
        similarity: cosine of the two; 1.0 where their bytes are the same.
    """

    first: str
    second: str
    first_image: int
    second_image: int
    similarity: float


def near_duplicates(
    embedder: ClipEmbedder,
    a: Sequence[Sample],
    b: Sequence[Sample] | None = None,
    *,
    above: Annotated[float, Range(-1.0, 1.0)] = 0.95,
) -> list[NearDuplicate]:
    """Pairs of pictures of two data sets whose cosine is at least `above`: training data that leaks into a benchmark.

    What threshold means "the same picture" depends on the model and the pictures: look at the pairs around it.

    Args:
        embedder: gives the vectors.
        a: samples, say of the training data.
        b: samples of the benchmark; None compares `a` with itself, each pair once.
        above: least cosine of a pair.

    Returns:
        Pairs, most alike first; ties by the samples' order.
    """
    left = [(s.id, i, ref) for s in a for i, ref in enumerate(s.images)]
    right = left if b is None else [(s.id, i, ref) for s in b for i, ref in enumerate(s.images)]
    if not left or not right:
        return []
    ours = embedder.images([ref for *_, ref in left])
    theirs = ours if b is None else embedder.images([ref for *_, ref in right])
    digest = {ref: image_digest(ref) for *_, ref in [*left, *right]}

    def found() -> Iterator[NearDuplicate]:
        for start in range(0, len(left), BLOCK):
            alike = ours[start : start + BLOCK] @ theirs.T
            # A little below first: equal bytes are a pair whatever rounding does to their cosine.
            for row, j in (alike >= above - 1e-4).nonzero().tolist():
                i = start + row
                if b is None and j <= i:
                    continue
                (first, k, x), (second, m, y) = left[i], right[j]
                cosine = 1.0 if digest[x] == digest[y] else round(alike[row, j].item(), DIGITS)
                if cosine >= above:
                    yield NearDuplicate(first, second, k, m, cosine)

    return sorted(found(), key=lambda pair: -pair.similarity)


def _place(model: str, pretrained: str | None) -> str:
    """What open_clip is to load.

    Raises:
        ValueError: as for `ClipEmbedder`.
    """
    if model.startswith("hf-hub:"):
        return model
    folder = Path(model_folder(model)).expanduser()
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise ValueError(f"the CLIP folder '{model}' has no {CONFIG}: expected a folder that open_clip can load")
        if not any(folder.glob("*.safetensors")):
            raise ValueError(f"the CLIP folder '{model}' has no safetensors weights")
        return f"local-dir:{folder}"
    if model.startswith(PACKAGED) or "/" in model or model.startswith((".", "~")):
        shipped = [f"{PACKAGED}{c.parent.name}" for c in Path(__file__).parent.glob(f"*/{CONFIG}")]
        raise ValueError(f"there is no CLIP folder '{model}'{hint(model, shipped)}")
    if model not in open_clip.list_models():
        raise ValueError(f"no CLIP model '{model}'{hint(model, open_clip.list_models())}")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained is None:
        raise ValueError(f"'{model}' without weights means nothing: set pretrained to a file or to one of {tags}")
    if pretrained not in tags and not Path(pretrained).is_file():
        raise ValueError(
            f"'{pretrained}' is neither a file nor one of the weights of '{model}'{hint(pretrained, tags)}"
        )
    return model
