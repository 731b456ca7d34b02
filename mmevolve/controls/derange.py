"""Seeded derangements that also keep apart what belongs together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from random import Random

from mmevolve.text import stable_seed


def derangement(names: Sequence[str], keys: Sequence[Hashable], seed: int) -> list[int] | None:
    """For each row the index of another row with another key, every row used once; None when there is none.

    With rows in shuffled order, equal keys side by side, and m the size of the largest block, the row m places further
    on has another key, if and only if 2 m <= n; where 2 m > n no exchange can do it. The result depends on names, keys
    and the seed, not on the order in which rows come.

    Args:
        names: one unique name a row; the order of drawing hangs on it.
        keys: rows of one key never exchange.
        seed: of the order.
    """
    blocks: dict[Hashable, list[int]] = {}
    for i in sorted(range(len(names)), key=names.__getitem__):
        blocks.setdefault(keys[i], []).append(i)
    order = list(blocks.values())
    draw = Random(stable_seed(seed, "derangement"))
    draw.shuffle(order)
    for block in order:
        draw.shuffle(block)
    line = [i for block in order for i in block]
    shift = max((len(block) for block in order), default=0)
    if 2 * shift > len(line):
        return None
    donor = [0] * len(line)
    for place, i in enumerate(line):
        donor[i] = line[(place + shift) % len(line)]
    return donor
