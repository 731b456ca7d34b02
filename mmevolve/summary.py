"""A run in a dozen numbers: accuracy before and after, the gain with its interval, cost, and every measured point."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmevolve.report.folder import open_run
from mmevolve.report.numbers import SHORT, gain_of, points


def summarise(path: str, loops: Sequence[str], *, seconds: float, peak_rss_bytes: int) -> dict[str, Any]:
    """What `summary.json` holds; a number that was not measured is None.

    Args:
        path: the run folder.
        loops: the loops' names, in the order they ran.
        seconds: wall-clock time of the run, earlier tries included.
        peak_rss_bytes: largest resident memory.
    """
    folder = open_run(path, loops)
    found = points(folder)
    accuracies = [p.number("accuracy") for p in found if p.number("accuracy") is not None]
    gain = gain_of(folder)
    return {
        "accuracy_before": accuracies[0] if accuracies else None,
        "accuracy_after": accuracies[-1] if accuracies else None,
        "gain": gain.mean if gain else None,
        "gain_low": gain.low if gain else None,
        "gain_high": gain.high if gain else None,
        "n_questions": gain.n if gain else 0,
        "seconds": seconds,
        "peak_rss_bytes": peak_rss_bytes,
        "loops": list(loops),
        "rounds": [
            {
                "loop": p.loop,
                "round": p.at,
                **{name: p.number(name) for name in SHORT.values()},
                "rows": p.number("rows") or 0,
                **{k: v for k, v in p.numbers.items() if k not in SHORT.values() and k != "rows"},
            }
            for p in found
        ],
    }


def write_summary(path: str, summary: Mapping[str, Any]) -> Path:
    """Write `summary.json` into the run folder, whole or not at all."""
    file = Path(path) / "summary.json"
    aside = file.with_suffix(".json.tmp")
    aside.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(aside, file)
    return file
