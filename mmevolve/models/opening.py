"""A checkpoint opened by transformers; what it lacks is one sentence, and nothing that it lacks is made up.

`from_pretrained` fills weights that a checkpoint does not have with random numbers and says so in a warning; here that
is an error, as a policy that starts from noise in one of its layers is not the model that was named.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmevolve import console

ADAPTER = "adapter_config.json"
_PEFT = "base_model.model."  # peft's prefix for the names of the model it wraps
# What transformers raises for a checkpoint that it cannot read; anything else is a fault of the code.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)


def open_processor(folder: str, name: str) -> Any:
    """The processor of a checkpoint: tokenizer, image processor and chat template.

    Raises:
        ValueError: when one of the three is not there.
    """
    if not Path(folder).expanduser().is_dir():
        # Without a network this waits through several retries, for minutes and in silence.
        console.current().say(f"model '{name}': asking the hub (HF_HUB_OFFLINE=1 takes only what is on this disk)")
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except _UNREADABLE as error:
        raise ValueError(f"model '{name}': its processor cannot be opened: {first_sentence(error)}") from error
    lacking = [part for part in ("tokenizer", "image_processor") if getattr(processor, part, None) is None]
    if lacking:
        raise ValueError(
            f"model '{name}' has a {type(processor).__name__} without {' and '.join(lacking)}: expected the "
            "processor of a vision-language model"
        )
    if not getattr(processor, "chat_template", None):
        raise ValueError(
            f"model '{name}': its {type(processor).__name__} has no chat template (chat_template.jinja): expected that "
            "of a chat or instruct version of the model"
        )
    return processor


def open_model(folder: str, name: str, dtype: torch.dtype) -> Any:
    """The model of a checkpoint, with the adapter that lies in the folder, if it is one's.

    Raises:
        ValueError: when transformers cannot open it as an image-text-to-text model, weights are missing or of another
            shape, or the adapter is one for another model.
    """
    adapter = Path(folder).expanduser() / ADAPTER
    if not adapter.is_file():
        return _whole(folder, name, dtype)
    base = str(json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path"))
    model = _whole(base, f"{base}' below the adapter '{name}", dtype)
    _fits(model, adapter.with_name("adapter_model.safetensors"), name, base)
    model.load_adapter(str(adapter.parent))
    return model


def first_sentence(error: BaseException) -> str:
    """The beginning of what a library says, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    head = text.partition(". ")[0].rstrip(".")
    return head if len(head) <= 240 else f"{head[:240]}…"


def _whole(folder: str, name: str, dtype: torch.dtype) -> Any:
    try:
        model, info = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except _UNREADABLE as error:
        if "nrecognized configuration class" in str(error):
            what = str(error).partition("class '")[2].partition("'")[0].rpartition(".")[2]
            raise ValueError(
                f"model '{name}' has a {what}: expected a vision-language architecture, one that transformers opens by "
                "AutoModelForImageTextToText"
            ) from error
        raise ValueError(f"model '{name}' cannot be opened: {first_sentence(error)}") from error
    for key, found, expected in sorted(info["mismatched_keys"]):
        raise ValueError(f"model '{name}', weight '{key}': shape {tuple(found)}, expected {tuple(expected)}")
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"model '{name}' lacks {len(missing)} of its weights, the first is '{missing[0]}'")
    return model


def _fits(model: Any, file: Path, name: str, base: str) -> None:
    """Refuse an adapter whose matrices do not belong to the model."""
    weights = dict(model.named_parameters())
    try:
        with safe_open(file, "pt") as opened:
            shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in sorted(opened.keys())}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"adapter '{name}': {file.name} cannot be read: {first_sentence(error)}") from error
    for key, shape in shapes.items():
        inner, _, kind = key.removeprefix(_PEFT).partition(".lora_")
        if kind not in ("A.weight", "B.weight"):
            continue  # embeddings, biases and other kinds of adapter: peft looks at them itself
        own = weights.get(f"{inner}.weight")
        if own is None:
            raise ValueError(f"adapter '{name}' is for another model: '{base}' has no weight '{inner}.weight'")
        expected = (shape[0], own.shape[1]) if kind[0] == "A" else (own.shape[0], shape[1])
        if own.dim() == 2 and shape != expected:
            raise ValueError(
                f"adapter '{name}' is for another model than '{base}': weight '{key}' has shape {shape}, "
                f"expected {expected}"
            )
