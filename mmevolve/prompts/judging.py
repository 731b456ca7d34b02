"""What a sample that asks for a judgment keeps of the answer it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JUDGING = "judging"  # in a sample's `meta`: the question and answer that are judged, and the score that they deserve
SOLUTION = "solution"  # among these facts: how the question is answered rightly, where that is known


def gold_of(meta: Mapping[str, Any]) -> float | None:
    """The score that the answer deserves; None for a sample that asks for no judgment."""
    facts = meta.get(JUDGING)
    return None if facts is None else facts["gold"]
