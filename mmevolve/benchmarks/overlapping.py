"""`mmevolve eval --overlap TABLE`: what a training table shares with the questions of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from mmevolve.benchmarks.controlled import asked_plainly
from mmevolve.benchmarks.load import BadData, Loaded, pictures_of
from mmevolve.benchmarks.settings import Settings
from mmevolve.controls.overlap import Embedder, Kind, OverlapReport, overlaps
from mmevolve.data.columns import Columns, pick
from mmevolve.data.rows import read_rows
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Sample


def training(path: str) -> list[Sample]:
    """Samples of a training table: rows with `question` and, where there are such columns, `id`, `image`, `answer`.

    A `samples.parquet` of a run's folder is one too.

    Raises:
        ValueError: with what is wrong with the table.
    """
    kept = _of_a_run(Path(path))
    if kept is not None:
        return kept
    rows = list(read_rows(path))
    there = {column for row in rows for column in row.values}
    image = next((column for column in ("image", "images") if column in there), None)
    named = "id" if "id" in there else None
    columns = Columns(id=named, image=image, answer=None, unlabelled="keep", repeated_choices="keep")
    picked = pick(rows, columns, {}, most=None)
    samples, problems = [], list(picked.problems)
    root = Path(path).parent if Path(path).is_file() else None
    for row in picked.rows:
        sample, wrong = picked.columns.sample(row, root, Path(path).name, verify=False)
        problems += wrong
        samples += [sample] if sample is not None else []
    if problems:
        raise BadData(f"--overlap '{path}'", problems)
    return samples


def _of_a_run(path: Path) -> list[Sample] | None:
    """The samples that a run kept; None when the file is no such table."""
    if path.suffix != ".parquet" or not path.is_file():
        return None
    run = next((folder for folder in path.resolve().parents if (folder / "recipe.yaml").is_file()), path.parent)
    try:
        rows = RunStore(str(run)).read(path)
    except StoreError:
        return None  # not of a run, or damaged: the reader of tables says which
    return rows if rows and all(isinstance(row, Sample) for row in rows) else None


def shared(
    train: Sequence[Sample], loaded: Loaded, settings: Settings, embed: Embedder | None = None
) -> tuple[OverlapReport, str]:
    """The overlap, and a sentence where pictures could not be compared.

    Stored answers are scored without pictures; here they are looked for.

    Args:
        train: what is trained on.
        loaded: the benchmark.
        settings: where data lie, what is refused, and from which cosine pictures are near-duplicates.
        embed: finds near-duplicates too.

    Raises:
        ValueError: when a picture cannot be read.
    """
    seen = pictures_of(loaded, settings.data)
    asked = [replace(s, images=seen.get(s.id, ())) for s in asked_plainly(loaded)]
    note = "" if any(s.images for s in asked) else "no picture of the benchmark is here, only words were compared"
    refuse = cast(Sequence[Kind], settings.refused)
    return overlaps(train, asked, embed=embed, cosine=settings.near, refuse=refuse), note


def overlap_lines(report: OverlapReport, path: str, note: str) -> list[str]:
    """The overlap in words."""
    said = f"  overlap with {report.trained:,} training samples of {path}"
    return [f"{said}{'; ' if note else ''}{note}", *(f"    {line}" for line in report.lines())]


def overlap_scores(report: OverlapReport, settings: Settings, note: str) -> dict[str, Any]:
    """What `overlap.json` holds: counts by kind, and every overlap."""
    found = [asdict(overlap) for overlap in report.found]
    counts = {"trained": report.trained, "held_out": report.held_out, "counts": report.counts()}
    by = {"embedder": settings.embedder, "cosine": settings.near if settings.embedder else None}
    return {"table": settings.overlap, **counts, **by, "refuse": settings.refused, "note": note or None, "found": found}
