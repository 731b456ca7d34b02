"""Published rows whose shape is none of a question's, made plain before their columns are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mmevolve.benchmarks.spec import Source
from mmevolve.data.cells import is_empty, show
from mmevolve.data.rows import Row
from mmevolve.data.visco import correction_rows, critique_rows

ROTATED = 1_000_000  # MMBench numbers the copies of question i with rotated options i + 1,000,000, i + 2,000,000, ...
CHAIN = "chain"  # column that tells a solution with errors from its twin without


def reshaped(rows: Iterator[Row], source: Source) -> Iterator[Row]:
    """The rows as a source's `rows` makes them.

    Raises:
        ValueError: when the critiques that a source names cannot be read.
    """
    if source.rows == "visco_critique":
        return critique_rows(rows)
    if source.rows == "visco_correction":
        critiques = responses(source.critiques) if source.critiques is not None else None
        return correction_rows(rows, level=source.level, critiques=critiques)
    plain = {"clean_twins": clean_twins, "first_rotations": first_rotations, "hallusionbench": hallusionbench}
    return plain[source.rows](rows) if source.rows is not None else rows


def clean_twins(rows: Iterator[Row]) -> Iterator[Row]:
    """Each row, then the same with its `clean_steps`, all of them right, under `<id>~clean`; alone where it has none.

    The column `chain` says of each whether it is `clean` or `with errors`.
    """
    for row in rows:
        values, clean = dict(row.values), row.values.get("clean_steps")
        labels = values.get("step_labels")
        wrong = not isinstance(labels, list) or 0 in labels
        yield row if row.problem else Row(row.number, values | {CHAIN: "with errors" if wrong else "clean"})
        if row.problem or is_empty(clean):
            continue
        if not isinstance(clean, list) or not clean:
            yield Row(row.number, problem=f"clean_steps is {show(clean)}, expected a list of texts")
            continue
        twin = {"id": f"{values.get('id')}~clean", "steps": clean, "step_labels": [1] * len(clean), CHAIN: "clean"}
        yield Row(row.number, values | twin)


def first_rotations(rows: Iterator[Row]) -> Iterator[Row]:
    """MMBench's rows without the rotated copies that stand among them; an option `nan` is none."""
    for row in rows:
        if row.problem:
            yield row
            continue
        index = str(row.values.get("index", "")).strip()
        if not index.isdigit():
            yield Row(row.number, problem=f"index is {row.values.get('index')!r}, expected a whole number")
        elif int(index) < ROTATED:
            options = {key: None for key in "ABCDE" if str(row.values.get(key)) == "nan"}
            yield Row(row.number, dict(row.values) | options)


def hallusionbench(rows: Iterator[Row]) -> Iterator[Row]:
    """HallusionBench's rows with yes or no for 1 or 0; `figure` names one picture, `set` one question over pictures."""
    for row in rows:
        values = dict(row.values)
        keys = [str(values.get(key)) for key in ("category", "subcategory", "set_id")]
        answer = {"1": "yes", "0": "no"}.get(str(values.get("gt_answer")))
        if row.problem or answer is None:
            said = row.problem or f"gt_answer is {values.get('gt_answer')!r}, expected '1' or '0'"
            yield Row(row.number, problem=said)
            continue
        figure, question = ("/".join([*keys, str(values.get(key))]) for key in ("figure_id", "question_id"))
        name = f"{figure}/{values.get('question_id')}"
        yield Row(row.number, values | {"id": name, "answer": answer, "figure": figure, "set": question})


def responses(path: str) -> dict[str, str | None]:
    """First responses by id, of a `results.jsonl` or the folder that holds it.

    Raises:
        ValueError: when there is none, or it is not what `mmevolve eval` writes.
    """
    place = Path(path) / "results.jsonl" if Path(path).is_dir() else Path(path)
    if not place.is_file():
        raise ValueError(f"critiques '{path}': no such results: they are what `mmevolve eval` on visco_critique writes")
    found: dict[str, str | None] = {}
    for number, line in enumerate(place.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            found.setdefault(row["id"], row["response"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"critiques '{place}', row {number}: not a row of results: {error!r}") from error
    return found
