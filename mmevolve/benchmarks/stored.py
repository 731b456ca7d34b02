"""Stored answers in place of a model: a file of responses by question id, every fault of it said at once.

JSON lines, CSV or parquet with `id` and `response`, and `index` where a question has several attempts; or one JSON
object id -> response. What `mmevolve eval` writes as `results.jsonl` is such a file, so that scoring can be repeated.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmevolve.benchmarks.load import BadData, Loaded
from mmevolve.benchmarks.score import Scored, judge
from mmevolve.config.nearest import hint
from mmevolve.data.cells import is_empty, show
from mmevolve.data.rows import Row, read_rows

RESPONSE = ("response", "output", "prediction", "filtered_resps")  # the first that a file has
NAMES = ("id", "sample_id")
NEAREST = 5  # unknown ids whose nearest is looked for
RESULTS = "results.jsonl"
SCORES = "scores.json"


def is_stored(model: str) -> bool:
    """Whether a model's name means a file of stored answers, or a folder that an evaluation wrote."""
    path = Path(model)
    if path.is_dir():
        return (path / RESULTS).is_file()
    return path.is_file() or model.removesuffix(".gz").endswith((".json", ".jsonl", ".csv", ".parquet"))


def stem(path: str) -> str:
    """A file's name without what says of which kind it is; a folder's name."""
    name = Path(path).name
    return name if Path(path).is_dir() else re.sub(r"(\.(jsonl|json|csv|parquet))?(\.gz)?$", "", name)


def author_of(path: str) -> str:
    """Who gave stored answers: the model that an evaluation's `scores.json` names beside them; else the file's name."""
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    if Path(path).is_dir() or Path(path).name == RESULTS:
        try:
            return str(json.loads((folder / SCORES).read_text(encoding="utf-8"))["model"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # answers that were put there by hand
    return f"stored answers {stem(path)}"


def score_stored(path: str, loaded: Loaded, *, partial: bool = False) -> tuple[list[Scored], int]:
    """Every stored response scored, and how many of the file's questions the data do not have.

    Args:
        path: the file, or a folder with `results.jsonl`.
        loaded: the benchmark's questions.
        partial: score only the questions that both have; otherwise one that only one of them has is a fault.

    Raises:
        BadData: with everything that is wrong with the file.
    """
    given, problems, strangers = _read(path, loaded)
    if problems and not given:  # nothing of it could be read: that no question has an answer goes without saying
        raise BadData(f"stored answers '{path}' for {loaded.spec.name}", problems)
    asked = {s.id for s in loaded.samples}
    missing = [s.id for s in loaded.samples if s.id not in given]
    if not partial:
        near = [f"{hint(name, loaded.known)}" if i < NEAREST else "" for i, name in enumerate(strangers)]
        problems += [
            f"id {show(name)} is no question of {loaded.spec.name}{more}"
            for name, more in zip(strangers, near, strict=True)
        ]
        problems += [f"question '{name}' has no stored answer" for name in missing]
    counts = {len(given[name]) for name in given if name in asked}
    if not problems and len(counts) > 1:
        problems.append(f"questions have between {min(counts)} and {max(counts)} responses: each needs the same number")
    if not problems and not counts:
        problems.append("none of its ids is a question of the benchmark's data")
    if problems:
        advice = " (--partial scores what both have)" if strangers or missing else ""
        raise BadData(f"stored answers '{path}' for {loaded.spec.name}{advice}", problems)
    scored = [
        judge(loaded.spec, sample, response, index)
        for sample in loaded.samples
        for index, response in enumerate(given.get(sample.id, ()))
    ]
    return scored, len(strangers)


def _read(path: str, loaded: Loaded) -> tuple[dict[str, list[str | None]], list[str], list[str]]:
    """Responses by question, problems, and ids that the benchmark does not have."""
    problems: list[str] = []
    found: dict[str, dict[int, str | None]] = {}
    strangers: dict[str, None] = {}
    try:
        rows = list(_rows(path))
    except ValueError as error:
        return {}, [str(error)], []
    there = list(dict.fromkeys(column for row in rows for column in row.values))
    names = (*NAMES, *(source.id for source in loaded.spec.sources if source.id))
    name = next((column for column in names if column in there), None)
    column = next((column for column in RESPONSE if column in there), None)
    problems += [f"row {row.number}: {row.problem}" for row in rows if row.problem]
    for wanted, got in (("id", name), ("response", column)):
        if got is None:
            problems.append(f"no column '{wanted}'{hint(wanted, there)}" if there else "empty: no row at all")
    if name is None or column is None:
        return {}, list(dict.fromkeys(problems)), []
    for row in (row for row in rows if not row.problem):
        cell = row.values.get(name)
        if is_empty(cell) or not isinstance(cell, str | int) or isinstance(cell, bool):
            problems.append(f"row {row.number}: {name} is {show(cell)}, expected text or a whole number")
            continue
        responses, wrong = _responses(row, column)
        problems += wrong
        first = row.values.get("index", 0)
        if not isinstance(first, int) or isinstance(first, bool) or first < 0:
            problems.append(f"row {row.number}: index is {show(first)}, expected a whole number from 0")
            continue
        kept = found.setdefault(str(cell), {})
        for index, response in enumerate(responses, start=first):
            if index in kept:
                problems.append(f"row {row.number}: a second response {index} to '{cell}'")
            kept[index] = response
        if str(cell) not in loaded.known:
            strangers[str(cell)] = None
    return {key: [said[i] for i in sorted(said)] for key, said in found.items()}, problems, list(strangers)


def _responses(row: Row, column: str) -> tuple[Sequence[str | None], list[str]]:
    """One response, or a list of attempts; null where generation failed."""
    cell = row.values.get(column)
    many = cell if isinstance(cell, list) else [cell]
    odd = [one for one in many if one is not None and not isinstance(one, str)]
    if odd or not many:
        said = f"{column} is {show(odd[0] if odd else cell)}"
        return (), [f"row {row.number}: {said}, expected text, null where generation failed, or a list of these"]
    return many, []


def _rows(path: str) -> Iterator[Row]:
    place = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
    if not place.name.removesuffix(".gz").endswith(".json"):
        yield from read_rows(str(place))
        return
    if not place.is_file():
        raise ValueError(f"'{place}': no such file")
    try:
        raw = place.read_bytes()
        whole: Any = json.loads(gzip.decompress(raw) if place.suffix == ".gz" else raw)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"'{place}': not JSON: {error}") from error
    if isinstance(whole, dict):
        whole = [{"id": name, "response": said} for name, said in whole.items()]
    if not isinstance(whole, list) or not all(isinstance(row, dict) for row in whole):
        raise ValueError(f"'{place}': expected an object id -> response, or a list of objects")
    yield from (Row(number, row) for number, row in enumerate(whole, start=1))
