"""Rows that must never reach a model."""

from __future__ import annotations

from collections.abc import Sequence


def check_completion(source: str, ids: Sequence[int], banned: frozenset[int]) -> None:
    """Refuse a completion that holds image placeholders or role markers.

    Raises:
        ValueError: naming the row; such a row would shift the image features onto the wrong tokens.
    """
    found = banned.intersection(ids)
    if found:
        raise ValueError(
            f"training row from '{source}' holds special tokens {sorted(found)} inside its completion: image "
            "placeholders and role markers are never trained on; remove the row or clean its text"
        )
