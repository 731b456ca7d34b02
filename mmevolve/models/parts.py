"""Where a transformers model keeps its trunk and its vocabulary projection, with an adapter around it or without."""

from __future__ import annotations

from typing import Any


def plain(model: Any) -> Any:
    """The transformers model inside a peft wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def trunk(model: Any) -> Any:
    """The model without its vocabulary projection."""
    return plain(model).model


def head(model: Any) -> Any:
    """The vocabulary projection."""
    return plain(model).get_output_embeddings()
