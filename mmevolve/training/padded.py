"""Numbers that rows carry, one a token, as a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def padded(
    values: Sequence[Sequence[float]], lengths: Sequence[int], like: torch.Tensor, names: Sequence[str], what: str
) -> torch.Tensor:
    """(B, T) numbers, zero past each row's length.

    Args:
        values: a number a token, row by row.
        lengths: tokens that the policy reads in each row.
        like: (B, T), for shape, dtype and device.
        names: what each row is called in a message.
        what: who gave the numbers, for the same message.

    Raises:
        ValueError: when a row has not one number a token, naming it.
    """
    made = torch.zeros_like(like)
    for i, (row, length) in enumerate(zip(values, lengths, strict=True)):
        if len(row) != length:
            raise ValueError(
                f"{names[i]}: {what} {len(row)} tokens, the policy reads {length}: they do not share a tokenizer"
            )
        made[i, :length] = torch.tensor(row, dtype=like.dtype)
    return made
