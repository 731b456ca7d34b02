"""Tiny random models of stock architectures, each made from its own config and processor classes and saved to a folder.

Every tokenizer has one token a byte, so that any text goes there and back unchanged; the chat templates are short ones
of the shape that the published checkpoints have.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mmevolve.models.tiny import make_tiny
from mmevolve.models.vlm import TransformersVLM
from mmevolve.text import user
from mmevolve.types import Chat

TURNS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROWS_AND_COLUMNS = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]


def tokenizer(special: Sequence[str], **named: str) -> Any:
    """Byte tokens, then the special ones; `named` gives tokens a role (`image_token="<image>"`)."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<pad>", "<|im_start|>", "<|im_end|>", *special])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>", *special],
        extra_special_tokens=named or {},
        clean_up_tokenization_spaces=False,
    )


def text_settings(tokenizer: Any, **more: Any) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "vocab_size": 32 * (len(tokenizer) // 32 + 1),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "eos_token_id": ids("<|im_end|>"),
        "pad_token_id": ids("<pad>"),
        "bos_token_id": ids("<|im_start|>"),
        **more,
    }


def settle(model: Any, tokenizer: Any) -> Any:
    """Weights that tell tokens and images apart, and the end token of the chat template."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.15 if "embed" not in name else 0.5)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.eval()


def shipped_tiny(folder: Path) -> None:
    make_tiny(folder, width=32, layers=2)


def qwen2_5_vl(folder: Path) -> None:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    marks = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = tokenizer(marks)
    ids = words.convert_tokens_to_ids
    pixels = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**pixels, size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16}),
        words,
        Qwen2VLVideoProcessor(**pixels),
        chat_template=TURNS.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    config = Qwen2_5_VLConfig(
        text_config=text_settings(
            words, rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
        ),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32,
            "fullatt_block_indexes": [1], "window_size": 56, "patch_size": 14,
        },
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"), vision_end_token_id=ids("<|vision_end|>"),
    )  # fmt: skip
    save(settle(Qwen2_5_VLForConditionalGeneration(config), words), processor, folder)


def qwen3_vl(folder: Path) -> None:
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    marks = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = tokenizer(marks)
    ids = words.convert_tokens_to_ids
    pixels = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(**pixels, size={"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 16}),
        words,
        Qwen3VLVideoProcessor(**pixels),
        chat_template=TURNS.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    config = Qwen3VLConfig(
        text_config=text_settings(
            words,
            head_dim=8,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
        ),
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32,
            "patch_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
        },
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"), vision_end_token_id=ids("<|vision_end|>"),
    )  # fmt: skip
    save(settle(Qwen3VLForConditionalGeneration(config), words), processor, folder)


def llava(folder: Path) -> None:
    """LLaVA 1.5: CLIP tower, Llama decoder, the tokenizer's own begin token."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    words = tokenizer(("<image>",))
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TURNS.replace("IMAGE", "<image>\n"),
    )
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=32, patch_size=8
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(**text_settings(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    save(settle(LlavaForConditionalGeneration(config), words), processor, folder)


def llava_onevision(folder: Path) -> None:
    """Tiles by aspect ratio: images of different shapes give different numbers of tiles."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    words = tokenizer(("<image>", "<video>"))
    ids = words.convert_tokens_to_ids
    grid = [[32, 32], [32, 64], [64, 32], [64, 64]]
    side = {"height": 32, "width": 32}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=side, image_grid_pinpoints=grid),
        words,
        LlavaOnevisionVideoProcessor(size=side),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=TURNS.replace("IMAGE", "<image>\n"),
    )
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8,
        vision_use_head=False,
    )  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=vision, text_config=Qwen2Config(**text_settings(words)), image_token_index=ids("<image>"),
        video_token_index=ids("<video>"), image_grid_pinpoints=grid, vision_feature_layer=-1,
    )  # fmt: skip
    save(settle(LlavaOnevisionForConditionalGeneration(config), words), processor, folder)


def internvl(folder: Path) -> None:
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        InternVLVisionConfig,
        Qwen2Config,
    )

    words = tokenizer(
        ("<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>",
    )  # fmt: skip
    side = {"height": 32, "width": 32}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=side, crop_to_patches=True, min_patches=1, max_patches=4),
        words,
        InternVLVideoProcessor(size=side),
        image_seq_length=4,
        chat_template=TURNS.replace("IMAGE", "<IMG_CONTEXT>\n"),
    )
    vision = InternVLVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=[32, 32],
        patch_size=[8, 8],
    )  # fmt: skip
    config = InternVLConfig(
        vision_config=vision, text_config=Qwen2Config(**text_settings(words)), image_seq_length=4,
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
    )  # fmt: skip
    save(settle(InternVLForConditionalGeneration(config), words), processor, folder)


def idefics3(folder: Path) -> None:
    """The geometry of SmolVLM: images split into tiles, rows and columns marked."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
        LlamaConfig,
    )

    marks = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *ROWS_AND_COLUMNS)
    words = tokenizer(marks)
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}),
        words,
        image_seq_len=4,
        chat_template=TURNS.replace("IMAGE", "<image>"),
    )
    config = Idefics3Config(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "image_size": 32, "patch_size": 8,
        },
        text_config=LlamaConfig(**text_settings(words)).to_dict(), scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"), pad_token_id=words.pad_token_id,
    )  # fmt: skip
    save(settle(Idefics3ForConditionalGeneration(config), words), processor, folder)


def smolvlm(folder: Path) -> None:
    """As Idefics3, with a tower that sees padding and a processor for videos too."""
    from transformers import (
        LlamaConfig,
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )
    from transformers.models.smolvlm import processing_smolvlm

    if processing_smolvlm.num2words is None:  # a package that spells the number of a video's frames
        processing_smolvlm.num2words = str
    marks = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *ROWS_AND_COLUMNS)
    words = tokenizer(marks)
    largest = {"longest_edge": 32}
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(size={"longest_edge": 64}, max_image_size=largest),
        words,
        SmolVLMVideoProcessor(size=largest, max_image_size=largest),
        image_seq_len=4,
        chat_template=TURNS.replace("IMAGE", "<image>"),
    )
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "image_size": 32, "patch_size": 8,
        },
        text_config=LlamaConfig(**text_settings(words)).to_dict(), scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"), pad_token_id=words.pad_token_id,
    )  # fmt: skip
    save(settle(SmolVLMForConditionalGeneration(config), words), processor, folder)


def gemma3(folder: Path) -> None:
    """Sliding-window layers, images that attend both ways, and an end of turn that is not the tokenizer's end token."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    words = tokenizer(
        ("<start_of_image>", "<end_of_image>", "<image_soft_token>", "<end_of_turn>"),
        boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>",
    )  # fmt: skip
    ids = words.convert_tokens_to_ids
    processor = Gemma3Processor(
        Gemma3ImageProcessor(size={"height": 32, "width": 32}),
        words,
        image_seq_length=4,
        chat_template=TURNS.replace("IMAGE", "<start_of_image>").replace("<|im_end|>", "<end_of_turn>"),
    )
    text = Gemma3TextConfig(
        **text_settings(words, num_hidden_layers=3), head_dim=8, sliding_window=16, query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )  # fmt: skip
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8,
        vision_use_head=False,
    )  # fmt: skip
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, boi_token_index=ids("<start_of_image>"),
        eoi_token_index=ids("<end_of_image>"), image_token_index=ids("<image_soft_token>"),
        eos_token_id=[ids("<|im_end|>"), ids("<end_of_turn>")],
    )  # fmt: skip
    model = settle(Gemma3ForConditionalGeneration(config), words)
    model.generation_config.eos_token_id = [ids("<|im_end|>"), ids("<end_of_turn>")]
    save(model, processor, folder)


FAMILIES: dict[str, Callable[[Path], None]] = {
    "tiny": shipped_tiny,
    "qwen2_5_vl": qwen2_5_vl,
    "llava": llava,
    "internvl": internvl,
    "llava_onevision": llava_onevision,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "gemma3": gemma3,
    "qwen3_vl": qwen3_vl,
}


def save(model: Any, processor: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def load(family: str, folder: Path, **settings: Any) -> TransformersVLM:
    """Make a family in a folder, unless it is there, and load it through the one door."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        FAMILIES[family](folder)
    return TransformersVLM(str(folder), **settings)


@functools.cache
def picture(seed: int, width: int = 48, height: int = 48) -> bytes:
    """A PNG of coloured noise in large blocks."""
    colours = torch.randint(0, 256, (4, 4, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    image = Image.fromarray(colours.numpy()).resize((width, height), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def questions() -> list[Chat]:
    """Prompts of different lengths: one image, another shape, two images, none."""
    return [
        (user("how many red ?", (picture(0),)),),
        (user("what is left of the blue square ?", (picture(1, 80, 40),)),),
        (user("same colour ?", (picture(2), picture(3, 40, 80))),),
        (user("1 + 2 =", ()),),
    ]
