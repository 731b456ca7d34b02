"""What a schedule gives, put to use: sampler fields, selector fields, and the trace of how they were found.

A name of a schedule's row is one of three things:

    temperature                       a field of the sampler
    selector.above                    a field of the selector
    tried/temperature=0.7             a number of the trace: kept, not set
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmevolve.config.nearest import hint

SELECTOR = "selector."


def apply(row: Mapping[str, Any], sampler: Any, selector: Any) -> tuple[Any, Any]:
    """Sampler and selector with the chosen fields set.

    Raises:
        ValueError: when a name is no field of the one that it is meant for, with the nearest.
    """
    chosen = {name: value for name, value in row.items() if "/" not in name and value is not None}
    kept = {n.removeprefix(SELECTOR): v for n, v in chosen.items() if n.startswith(SELECTOR)}
    drawn = {n: v for n, v in chosen.items() if not n.startswith(SELECTOR)}
    return _with(sampler, drawn, "sampler"), _with(selector, kept, "selector")


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """What of a schedule's row belongs to the round's metrics: what was chosen, and what it was worth."""
    named = {n if "/" in n else f"chosen/{n}": v for n, v in row.items()}
    return {n: float(v) for n, v in named.items() if n.startswith("chosen/") and isinstance(v, int | float)}


def _with(part: Any, fields: Mapping[str, Any], what: str) -> Any:
    known = [f.name for f in dataclasses.fields(part)]
    odd = next((name for name in fields if name not in known), None)
    if odd is not None:
        raise ValueError(f"the schedule sets '{odd}', which {what} {type(part).__name__} has not{hint(odd, known)}")
    return dataclasses.replace(part, **fields)
