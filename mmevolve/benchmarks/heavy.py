"""Parts whose rooms load torch, imported only when an evaluation asks for them."""

from __future__ import annotations

import importlib
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmevolve.benchmarks.critic_named import NamedCritic, is_critic, named_critic
from mmevolve.benchmarks.settings import Settings
from mmevolve.config.errors import ConfigError
from mmevolve.config.targets import resolve
from mmevolve.controls.overlap import Embedder
from mmevolve.protocols import VLM
from mmevolve.store import StoreError
from mmevolve.types import ImageRef


def model(name: str, settings: Settings) -> VLM | NamedCritic:
    """The model, or the critic, behind a name.

    Raises:
        ConfigError: when a critic's call refuses its settings.
        StoreError: when it cannot be loaded, in one sentence.
    """
    _quieten()
    try:
        if is_critic(name):
            return named_critic(name, dtype=settings.dtype)
        if settings.url is not None:
            return _part("models.ServedVLM")(name, settings.url.split(","), server=settings.server)
        return _part("models.TransformersVLM")(name, dtype=settings.dtype)
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise StoreError(f"the model '{name}' cannot be loaded: {str(error).splitlines()[0]}") from error


def model_problems(name: str) -> list[str]:
    """What a model's folder lacks, found without loading it."""
    file = Path(__file__).resolve().parents[1] / "models" / "preflight.py"  # by itself: the room loads torch
    return list(runpy.run_path(str(file))["model_folder_problems"](name))


def embedder(name: str) -> Embedder:
    """A CLIP model's image tower, by `--embedder`'s word.

    Raises:
        ValueError: when there is no such model or its weights cannot be had, in one sentence.
    """
    _quieten()
    model, _, pretrained = name.partition("@")
    try:
        clip = _part("models.ClipEmbedder")(model, pretrained=pretrained or None)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"--embedder '{name}': {str(error).splitlines()[0]}") from error

    def embed(refs: Sequence[ImageRef]) -> Sequence[Sequence[float]]:
        return clip.images(refs).tolist()

    return embed


def _quieten() -> None:
    """Bars of weights that load stay off the terminal, where figures are about to be printed."""
    logs = importlib.import_module("transformers.utils.logging")
    logs.set_verbosity_error()
    logs.disable_progress_bar()


def _part(text: str) -> Any:
    """A part by the name that recipes give it: its room is imported only now."""
    target = resolve(text)
    return getattr(importlib.import_module(target.module), target.attribute)
