"""What a schedule gives, put to use: fields of the sampler, the selector and the training, and how they were found.

A name of a schedule's row is one of these:

    temperature                       a field of the sampler
    selector.above                    a field of the selector
    train.epochs                      a field of the training
    tried/temperature=0.7             a number of the trace: kept, not set
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmevolve.config.nearest import hint

SELECTOR, TRAIN = "selector.", "train."


def apply(row: Mapping[str, Any], sampler: Any, selector: Any, train: Any = None) -> tuple[Any, Any, Any]:
    """Sampler, selector and training with the chosen fields set.

    Raises:
        ValueError: when a name is no field of the part that it is meant for, with the nearest.
    """
    chosen = {name: value for name, value in row.items() if "/" not in name and value is not None}
    fields: dict[str, dict[str, Any]] = {"": {}, SELECTOR: {}, TRAIN: {}}
    for name, value in chosen.items():
        prefix = next((p for p in (SELECTOR, TRAIN) if name.startswith(p)), "")
        fields[prefix][name.removeprefix(prefix)] = value
    return (
        _with(sampler, fields[""], "sampler"),
        _with(selector, fields[SELECTOR], "selector"),
        _with(train, fields[TRAIN], "training"),
    )


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """What of a schedule's row belongs to the round's metrics: what was chosen, and what it was worth."""
    named = {n if "/" in n else f"chosen/{n}": v for n, v in row.items()}
    return {n: float(v) for n, v in named.items() if n.startswith("chosen/") and isinstance(v, int | float)}


def _with(part: Any, fields: Mapping[str, Any], what: str) -> Any:
    if not fields:
        return part
    known = [f.name for f in dataclasses.fields(part)] if dataclasses.is_dataclass(part) else []
    odd = next((name for name in fields if name not in known), None)
    if odd is not None:
        raise ValueError(f"the schedule sets '{odd}', which {what} {type(part).__name__} has not{hint(odd, known)}")
    return dataclasses.replace(part, **fields)
