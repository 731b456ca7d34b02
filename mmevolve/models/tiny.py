"""The embedded VLM: a stock LLaVA architecture, small enough to train on a laptop's CPU.

A SigLIP vision tower (one token a 16-pixel patch), the usual two-layer projector and a Qwen2 decoder over a word-level
vocabulary, about 1.6 M parameters. Saved with its processor and chat template, it loads by
`AutoModelForImageTextToText` and `AutoProcessor` like any other checkpoint; nothing else in the package knows that it
is small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipImageProcessor,
    SiglipVisionConfig,
)

from mmevolve import ranks
from mmevolve.config.ranges import Range
from mmevolve.data.images import open_image
from mmevolve.durable import put_files

CONFIG = "config.json"  # where it is, a checkpoint is whole
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<image>", "<user>", "<assistant>")
WORDS = """
: = + - * > . , ? ; ( ) / none yes no answer red green blue yellow black circle square triangle shape circles
squares triangles shapes left right above below of at in the a an is are there how many what which more than fewer
equal number plus minus times remove removed all colour color now and or not but so then hint because true false
gold picture image scene question say see seen look looked again check checked describe list cell cells step steps
line first second third last wrong missing extra correct incorrect review revise revised previous old new critique
critic error errors perception logic count counted sum good bad sure unsure keep fix fixed was were be it this that
these here you your my do does did with for from to on only most least same different as one two three four many few
some any each every box boxes item items object objects tower touching edge wall base closely over under big small
medium size blocks block exactly attached attempt reply reasoning think both sides corner leftmost rightmost top
bottom nearest between score rate better worse compare judge verdict feedback reflection help answerable unclear
enough A B C D E F G H
"""
CHAT_TEMPLATE = (
    "<bos>{% for message in messages %}<{{ message['role'] }}> "
    "{% for part in message['content'] if part['type'] == 'image' %}<image> {% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
PIXELS, PATCH = 64, 16


def vocabulary() -> list[str]:
    """Every token: special ones, the world's words, its cells and the numbers to 99."""
    cells = [f"{column}{row}" for column in "abcdefghijkl" for row in range(1, 5)]
    numbers = [str(n) for n in range(100)]
    return list(dict.fromkeys([*SPECIAL, "\n", *WORDS.split(), *cells, *numbers]))


def tiny_processor() -> LlavaProcessor:
    """Word-level tokenizer, image processor and chat template."""
    tokens = vocabulary()
    core = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split(" ", "removed")]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=["<image>", "<user>", "<assistant>"],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    pictures = SiglipImageProcessor(size={"height": PIXELS, "width": PIXELS}, resample=2)
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        chat_template=CHAT_TEMPLATE,
    )


def tiny_model(processor: LlavaProcessor, *, width: int = 128, layers: int = 4, seed: int = 0):
    """A fresh model.

    The tower's position embeddings are drawn with standard deviation 1: with the default 0.02 the patches stay
    indistinguishable, the decoder never learns where a shape is and falls back on guessing from the text.
    """
    torch.manual_seed(seed)
    tokenizer = processor.tokenizer
    ids = tokenizer.convert_tokens_to_ids
    vision = SiglipVisionConfig(
        hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=4,
        image_size=PIXELS, patch_size=PATCH, vision_use_head=False,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=math.ceil(len(tokenizer) / 32) * 32, hidden_size=width, intermediate_size=3 * width,
        num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        tie_word_embeddings=True, bos_token_id=ids("<bos>"), eos_token_id=ids("<eos>"), pad_token_id=ids("<pad>"),
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=ids("<image>"),
        image_seq_length=(PIXELS // PATCH) ** 2,
        vision_feature_select_strategy="full", vision_feature_layer=-1, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "position_embedding" in name:
                parameter.normal_(0.0, 1.0)
            if "patch_embedding.weight" in name:
                parameter.mul_(3.0)  # so that what a patch shows weighs as much as where it is
    model.generation_config.eos_token_id = ids("<eos>")
    model.generation_config.pad_token_id = ids("<pad>")
    model.generation_config.bos_token_id = ids("<bos>")
    return model.eval()


def make_tiny(
    path: str | Path,
    *,
    width: int = 128,
    layers: int = 4,
    seed: int = 0,
    eye_chart: Sequence[tuple[bytes, tuple[int, ...]]] = (),
    eye_steps: Annotated[int, Range(0)] = 600,
) -> str:
    """Write a fresh tiny VLM, processor and all, to a folder and give the folder; one that stands there is kept.

    Args:
        path: the folder.
        width: hidden size of tower and decoder.
        layers: decoder layers.
        seed: of the weights and of the eye's lessons.
        eye_chart: labelled pictures that the vision tower learns first; empty leaves it as it was drawn.
        eye_steps: gradient steps on them.
    """
    if ranks.helps():
        ranks.wait_for(Path(path) / CONFIG)
    if (Path(path) / CONFIG).is_file():
        return str(path)
    processor = tiny_processor()
    model = tiny_model(processor, width=width, layers=layers, seed=seed)
    if eye_chart:
        teach_eye(model, processor, eye_chart, steps=eye_steps, seed=seed)
    put_files(lambda aside: _save(model, processor, aside), Path(path), last=CONFIG)
    return str(path)


def teach_eye(
    model: Any,
    processor: Any,
    chart: Sequence[tuple[bytes, tuple[int, ...]]],
    *,
    steps: int,
    seed: int,
    batch: int = 128,
) -> float:
    """Teach the vision tower alone to tell what stands in each cell, as real towers are trained before the decoder.

    A linear head on the features that the decoder will read, cross-entropy a cell, then the head is thrown away.
    Without this the decoder spends most of its training on an eye that tells a circle from a square only late.

    Returns:
        Accuracy on the things of the last batch.
    """
    tower = model.model.vision_tower
    see = processor.image_processor
    pixels = torch.cat([see(open_image(png), return_tensors="pt")["pixel_values"] for png, _ in chart])
    labels = torch.tensor([cells for _, cells in chart])
    torch.manual_seed(seed)
    head = torch.nn.Linear(tower.config.hidden_size, int(labels.max()) + 1)
    weights = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    accuracy = 0.0
    for _ in range(steps):
        rows = torch.randint(0, len(labels), (batch,))
        logits = head(tower(pixels[rows], output_hidden_states=True).hidden_states[-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[rows].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        there = labels[rows] > 0
        accuracy = (logits.argmax(-1) == labels[rows])[there].float().mean().item()
    return accuracy


def export(policy: Any, folder: str) -> str:
    """Write a trained policy as a plain checkpoint that transformers loads, without what only a run needs."""
    if not ranks.helps():
        put_files(lambda aside: _save(policy.model, policy.processor, aside), Path(folder), last=CONFIG)
    return folder


def _save(model: Any, processor: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
