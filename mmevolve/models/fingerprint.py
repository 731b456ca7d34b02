"""What a checkpoint's weights add up to, to be compared with those of a model in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

WEIGHTS = "trained.safetensors"


def checkpoint_digest(source: str, folder: Path) -> str:
    """The digest that `weights_digest` of a model gives when it holds a checkpoint's weights.

    Args:
        source: the model that was trained.
        folder: the checkpoint.

    Raises:
        ValueError: when the folder holds no weights that can be read.
    """
    try:
        weights = load_file(Path(folder) / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"'{folder}' holds no weights to compare with: {WEIGHTS}: {error}") from error
    digest = hashlib.sha256(source.encode())
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
