"""A run in a dozen numbers: accuracy before and after, the gain with its interval, cost, and every measured point."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmevolve.durable import put_text
from mmevolve.report.folder import RunFolder, open_run
from mmevolve.report.numbers import ACCURACY, SHORT, Point, benchmarks, gain_of, main_evaluation, points


def summarise(path: str, loops: Sequence[str], *, seconds: float, peak_rss_bytes: int) -> dict[str, Any]:
    """What `summary.json` holds; a number that was not measured is None.

    Accuracy and gain are those of `evaluation`: the held-out questions, or in a run without them the first benchmark.
    Every further benchmark has its own under `benchmarks`.

    Args:
        path: the run folder.
        loops: the loops' names, in the order they ran.
        seconds: wall-clock time of the run, earlier tries included.
        peak_rss_bytes: largest resident memory.
    """
    folder = open_run(path, loops)
    found = points(folder)
    main = main_evaluation(folder)
    return {
        "evaluation": main,
        **_gained(folder, found, main, "accuracy"),
        "benchmarks": {
            name: _gained(folder, found, name, f"{name}{ACCURACY}") for name in benchmarks(folder) if name != main
        },
        "seconds": seconds,
        "peak_rss_bytes": peak_rss_bytes,
        "loops": list(loops),
        "rounds": [
            {
                "loop": p.loop,
                "round": p.at,
                **({"undone": True} if p.undone else {}),
                **{name: p.number(name) for name in SHORT.values()},
                "rows": p.number("rows") or 0,
                **{k: v for k, v in p.numbers.items() if k not in SHORT.values() and k != "rows"},
            }
            for p in found
        ],
    }


def _gained(folder: RunFolder, found: Sequence[Point], evaluation: str, number: str) -> dict[str, Any]:
    """Accuracy at the first point and the last that stands, and the gain between them, of one evaluation."""
    accuracies = [p.number(number) for p in found if p.number(number) is not None and not p.undone]
    gain = gain_of(folder, evaluation)
    return {
        "accuracy_before": accuracies[0] if accuracies else None,
        "accuracy_after": accuracies[-1] if accuracies else None,
        "gain": gain.mean if gain else None,
        "gain_low": gain.low if gain else None,
        "gain_high": gain.high if gain else None,
        "n_questions": gain.n if gain else 0,
    }


def write_summary(path: str, summary: Mapping[str, Any]) -> Path:
    """Write `summary.json` into the run folder, whole or not at all."""
    return put_text(Path(path) / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
