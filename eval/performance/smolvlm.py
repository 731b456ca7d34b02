"""A model with the geometry of SmolVLM-256M at a sixth of its width and of its depth, for timings on a CPU.

Kept as published (HuggingFaceTB/SmolVLM-256M-Instruct, Idefics3 classes): a square picture becomes 17 tiles of 512 x
512 pixels (16 and the whole), 1,024 patches and 64 tokens each, so some 1,200 tokens a prompt with the marks of rows
and columns and a question; three query heads a key head. Width and depth of tower and decoder are divided by six alike
(768 x 12 to 128 x 2, 576 x 30 to 96 x 5), and the vocabulary so that tower, decoder and head keep about their shares of
the work. Weights are random: nothing is downloaded, and time does not depend on their values.
"""

from __future__ import annotations

import io
from pathlib import Path

from mmevolve.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()

# ruff: noqa: E402 transformers imports torchvision
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

VOCABULARY = 1376
MARKS = ("<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>")
GRID = tuple(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7))
TURNS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}:"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def make(folder: str | Path) -> str:
    """Write model and processor to a folder and give the folder."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ("<pad>", *MARKS, *GRID)
    words = [f"word{i}" for i in range(VOCABULARY - len(alphabet) - len(special))]
    core = Tokenizer(models.BPE({token: i for i, token in enumerate([*alphabet, *words])}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(special))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<end_of_utterance>", additional_special_tokens=special[1:]
    )
    ids = tokenizer.convert_tokens_to_ids
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}),
        tokenizer,
        image_seq_len=64,
        chat_template=TURNS,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=96, intermediate_size=256, num_hidden_layers=5, num_attention_heads=3,
        num_key_value_heads=1, max_position_embeddings=8192, eos_token_id=ids("<end_of_utterance>"),
        bos_token_id=ids("<|im_start|>"), pad_token_id=ids("<pad>"),
    )  # fmt: skip
    vision = {
        "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 512, "patch_size": 16,
    }  # fmt: skip
    config = Idefics3Config(
        vision_config=vision, text_config=text.to_dict(), scale_factor=4, image_token_id=ids("<image>"),
        pad_token_id=ids("<pad>"),
    )  # fmt: skip
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids("<end_of_utterance>")
    model.generation_config.pad_token_id = ids("<pad>")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def picture(seed: int, side: int = 1024) -> bytes:
    """A PNG of coloured blocks."""
    colours = torch.randint(0, 256, (32, 32, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    out = io.BytesIO()
    Image.fromarray(colours.numpy()).resize((side, side), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()
