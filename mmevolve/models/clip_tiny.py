"""A CLIP small enough to train in minutes on one core: open_clip's own classes over the tiny VLM's words.

A ViT with one token a 16-pixel patch and a causal text tower, trained by the symmetric contrastive loss (Radford et al.
2021, arXiv:2103.00020, Section 2.3) on pictures and what stands in them. Saved as a local folder of open_clip, it is
loaded like any other of its checkpoints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mmevolve.data.images import open_image
from mmevolve.durable import put_files
from mmevolve.models.tiny import PATCH, PIXELS, vocabulary

CONFIG = "open_clip_config.json"  # where it is, a checkpoint is whole
CONTEXT = 32  # nine things of three words, begin and end
GREY = [0.5, 0.5, 0.5]


def tiny_words() -> PreTrainedTokenizerFast:
    """The tiny VLM's vocabulary, a word a token, between a begin and an end token."""
    tokens = vocabulary()
    core = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [(t, tokens.index(t)) for t in ("<bos>", "<eos>")]
    core.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="right",
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )


def tiny_config(words: PreTrainedTokenizerFast, *, width: int = 128, layers: int = 2) -> dict[str, Any]:
    """`open_clip_config.json`: towers, tokenizer and how a picture is made ready."""
    ids = words.convert_tokens_to_ids
    return {
        "model_cfg": {
            "embed_dim": width,
            "vision_cfg": {
                "image_size": PIXELS, "patch_size": PATCH, "width": width, "layers": layers, "head_width": 32,
                "mlp_ratio": 2.0,
            },
            "text_cfg": {
                "context_length": CONTEXT, "vocab_size": len(words), "width": width, "heads": 4, "layers": layers,
                "mlp_ratio": 2.0, "pool_type": "eos", "eos_id": ids("<eos>"), "pad_id": ids("<pad>"),
                "hf_tokenizer_name": "tiny_clip",
            },
        },
        "preprocess_cfg": {"mean": GREY, "std": GREY, "interpolation": "bicubic", "resize_mode": "squash"},
    }  # fmt: skip


def make_tiny_clip(
    path: str | Path,
    scenes: Sequence[tuple[bytes, tuple[str, ...]]],
    *,
    steps: int = 600,
    batch: int = 128,
    width: int = 128,
    layers: int = 2,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> str:
    """Train a tiny CLIP and write it to a folder that open_clip loads; give the folder; one that stands there is kept.

    The weights are written as float16: half the size, and embeddings that agree to about three digits.

    Args:
        path: the folder.
        scenes: pictures (encoded) and the things in each, in words. Half of the captions name all things of their
            picture, half a few of them, so that a caption need not be complete.
        steps: gradient steps; 0 leaves the model as it was drawn.
        batch: pictures a step; each caption is told from those of the others.
        width: of both towers and of the embedding.
        layers: of each tower.
        learning_rate: peak of a one-cycle schedule.
        seed: of weights, batches and captions.
    """
    folder = Path(path)
    if (folder / CONFIG).is_file():
        return str(folder)
    words = tiny_words()
    config = tiny_config(words, width=width, layers=layers)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config["model_cfg"])
    with torch.no_grad():  # as in the tiny VLM: patches that cannot be told apart are never learned to be
        model.visual.positional_embedding.normal_(0.0, 1.0)
    if steps:
        _train(model, words, scenes, steps=steps, batch=batch, learning_rate=learning_rate, seed=seed)

    def write(aside: Path) -> None:
        words.save_pretrained(aside)
        weights = {n: t.detach().half().contiguous() for n, t in model.state_dict().items()}
        save_file(weights, aside / "open_clip_model.safetensors")
        (aside / CONFIG).write_text(json.dumps(config, indent=1) + "\n")

    put_files(write, folder, last=CONFIG)
    return str(folder)


def _train(
    model: Any,
    words: PreTrainedTokenizerFast,
    scenes: Sequence[tuple[bytes, tuple[str, ...]]],
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> None:
    random = Random(seed)
    see = open_clip.image_transform(PIXELS, is_train=False, mean=GREY, std=GREY, resize_mode="squash")
    pixels = torch.stack([see(open_image(png)) for png, _ in scenes])
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    loss_of = open_clip.ClipLoss()
    model.train()
    for _ in range(steps):
        rows = random.sample(range(len(scenes)), batch)
        captions = [caption(scenes[i][1], random) for i in rows]
        ids = words(captions, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt")
        images, texts, scale = model(pixels[rows], ids["input_ids"])
        loss = loss_of(images, texts, scale)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))  # as the paper bounds it
    model.eval()


def caption(things: Sequence[str], random: Random) -> str:
    """All things of a picture, or a few of them, in their order."""
    kept = len(things) if random.random() < 0.5 else random.randint(1, len(things))
    return " ".join(things[i] for i in sorted(random.sample(range(len(things)), kept)))
