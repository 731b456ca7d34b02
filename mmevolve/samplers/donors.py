"""Feedback of another question's: the control that tells what feedback says from that there is feedback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeVar

from mmevolve.text import stable_seed
from mmevolve.types import Sample

Lent = TypeVar("Lent")


def borrowed(
    samples: Sequence[Sample],
    donors: Sequence[Sample],
    look: Callable[[Sequence[Sample]], Mapping[str, Lent | None]],
    *,
    tries: int,
    seed: int,
) -> dict[str, Lent]:
    """For each question what another one lends, whatever else is in the batch; those that find no lender are left out.

    Args:
        samples: who borrows.
        donors: who may lend; a question never lends to itself.
        look: what each of some donors has to lend, None or empty for nothing; each donor is looked at once.
        tries: donors asked at most, in an order of each question's own.
        seed: of the orders.
    """
    ranked = sorted(donors, key=lambda s: s.id)
    orders: dict[str, list[Sample]] = {}
    for sample in samples:
        others = [s for s in ranked if s.id != sample.id]
        orders[sample.id] = Random(stable_seed(seed, "donors", sample.id)).sample(others, min(tries, len(others)))
    seen: dict[str, Lent | None] = {}
    found: dict[str, Lent] = {}
    for k in range(tries):
        asking = [i for i, order in orders.items() if i not in found and k < len(order)]
        new = {orders[i][k].id: orders[i][k] for i in asking if orders[i][k].id not in seen}
        if new:
            seen |= look(list(new.values()))
        found |= {i: lent for i in asking if (lent := seen[orders[i][k].id])}
    return found
