"""Two evaluations of the same questions side by side: what was fixed, what was broken, and whether that is chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmevolve.benchmarks.figures import cluster
from mmevolve.benchmarks.score import Scored
from mmevolve.benchmarks.spec import Benchmark
from mmevolve.benchmarks.stored import RESULTS
from mmevolve.statistics import changes, mcnemar, paired_interval


def read_earlier(path: str) -> dict[tuple[str, int], dict[str, Any]]:
    """(question, attempt) -> row, of a `results.jsonl` or the folder that holds it.

    Raises:
        ValueError: when there is none, or it is not what `mmevolve eval` writes.
    """
    place = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
    if not place.is_file():
        raise ValueError(f"--against '{path}': no {RESULTS} there: name a benchmark's folder of an earlier evaluation")
    found = {}
    for number, line in enumerate(place.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            found[row["id"], row["index"]] = {**row, "outcome": row["outcome"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"--against '{place}', row {number}: not a row of results: {error!r}") from error
    return found


def comparison(
    spec: Benchmark, before: Mapping[tuple[str, int], Mapping[str, Any]], scored: Sequence[Scored]
) -> tuple[str, float]:
    """One line: the paired difference with its interval, fixes and breaks, and McNemar's exact p-value; and that value.

    Raises:
        ValueError: when the two share no response.
    """
    both = [s for s in scored if (s.sample.id, s.index) in before]
    if not both:
        raise ValueError(f"--against: none of its responses is to a question of {spec.name}")
    old = [float(before[s.sample.id, s.index]["outcome"] == "correct") for s in both]
    new = [float(s.outcome == "correct") for s in both]
    gap = paired_interval(old, new, clusters=[cluster(spec, s.sample) for s in both])
    moved = changes([bool(v) for v in old], [bool(v) for v in new])
    p = mcnemar(moved.fixed, moved.broken)
    said = (
        f"paired difference {gap.mean:+.3f}, 95 % interval {gap.low:+.3f} to {gap.high:+.3f}, {len(both):,} responses "
        f"of {max(len(scored), len(before)):,} paired: {moved.fixed} fixed, {moved.broken} broken, "
        f"{moved.kept_right} kept right, {moved.kept_wrong} kept wrong, exact McNemar p {p:.3g}"
    )
    return said, p
