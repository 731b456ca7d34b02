"""A benchmark's rows made samples: columns renamed, options and answers brought into one form, every fault said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmevolve.answers import options
from mmevolve.benchmarks.right import SCORERS, step_complaint
from mmevolve.benchmarks.spec import Benchmark, Source
from mmevolve.config.nearest import hint
from mmevolve.data.cells import is_empty, show
from mmevolve.data.columns import Columns, pick
from mmevolve.data.rows import Row
from mmevolve.types import Sample

_LABEL = re.compile(r"([A-J])[.:)]\s*(?=\S)")
TABLES_WORD = " (allowed with unlabelled: keep, or drop)"  # a setting of training tables, not of a benchmark's spec
FIELDS = ("id", "question", "image", "answer", "choices")


def samples_of(
    spec: Benchmark, source: Source, rows: Iterator[Row], root: Path | None, *, most: int | None, pictures: bool
) -> tuple[list[Sample], int, list[str]]:
    """Samples, number of rows, and everything that is wrong.

    Args:
        spec: the benchmark.
        source: where the rows come from.
        rows: as they are read.
        root: folder that image paths start from.
        most: of so many wanted rows the images are opened; every row is looked at all the same.
        pictures: whether images are needed at all.
    """
    whole = list(rows)
    there = list(dict.fromkeys(column for row in whole for column in row.values))
    problems = (
        _missing(source, there, FIELDS if pictures else tuple(f for f in FIELDS if f != "image")) if there else []
    )
    if problems:
        return [], len(whole), problems
    adapted = [_adapted(row, source) for row in whole if source.without_image != "drop" or not _bare(row, source)]
    columns = Columns(
        id="id" if source.id else None,
        image="image" if source.image and pictures else None,
        answer="answer" if source.answer else None,
        unlabelled="error" if source.answer and spec.kind != "critique" else "keep",
        repeated_choices=source.repeated_choices,
    )
    wanted = [(row, said) for row, said in adapted]
    picked = pick([row for row, _ in wanted], columns, source.where, most=None)
    problems = list(picked.problems)
    said_of = {row.number: said for row, said in wanted}
    samples: list[Sample] = []
    for count, row in enumerate(picked.rows):
        opened = pictures and (most is None or count < most)
        sample, wrong = columns.sample(row, root, spec.name, verify=opened)
        wrong = [*(f"row {row.number}: {said}" for said in said_of[row.number]), *wrong]
        if pictures and source.image and source.without_image == "error" and is_empty_image(row.values.get("image")):
            wrong.append(f"row {row.number}: image is empty")
        if sample is not None and not wrong:
            complaint = _complaint(spec, sample)
            wrong = [f"row {row.number} ('{sample.id}'): {complaint}"] if complaint else []
            samples.append(sample)
        problems += [said.replace(TABLES_WORD, "") for said in wrong]
    problems += _uncounted(spec, samples) if not problems else ()
    return samples, len(picked.rows), sorted(problems, key=_row_number)


def _row_number(said: str) -> int:
    """The row that a problem is about; 0 where it is about all."""
    found = re.match(r"row (\d+)", said)
    return int(found[1]) if found else 0


def _uncounted(spec: Benchmark, samples: Sequence[Sample]) -> Iterator[str]:
    """Columns that figures need and rows lack."""
    known = sorted({name for sample in samples for name in sample.meta})
    for column, what in columns_needed(spec).items():
        lacking = [sample.id for sample in samples if not _has(sample, column)]
        if lacking:
            some = f"{len(lacking)} rows, '{lacking[0]}' first, lack the"
            many = "no row has the" if column not in known else some
            near = hint(column, known) if column not in known else ""
            yield f"{many} column '{column}', which {what} needs{near}"


def _has(sample: Sample, column: str) -> bool:
    try:
        value_of(sample, column)
    except ValueError:
        return False
    return True


def _complaint(spec: Benchmark, sample: Sample) -> str | None:
    if spec.kind == "critique":
        return step_complaint(sample.meta)
    if spec.kind == "pairwise" and len(sample.choices) != 2:
        return f"{len(sample.choices)} responses, expected 2"
    if spec.kind == "correction":
        lacking = [name for name in ("before", "critique") if not isinstance(sample.meta.get(name), str)]
        if lacking or not isinstance(sample.meta.get("right_before"), bool):
            return (
                f"{' and '.join(lacking) or 'right_before'} missing: a correction needs before, critique, right_before"
            )
    return SCORERS[spec.score].complaint(sample)


def _missing(source: Source, there: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Columns that are named and not there; only the default `choices` may be missing."""
    problems = []
    for field in fields:
        named = getattr(source, field)
        for column in (named,) if isinstance(named, str) else named or ():
            if column not in there and (field, column) != ("choices", "choices"):
                problems.append(f"no column '{column}' for the {field}{hint(column, there)}")
    problems += [
        f"no column '{column}' to choose rows by{hint(column, there)}" for column in source.where if column not in there
    ]
    return problems


def _bare(row: Row, source: Source) -> bool:
    """Whether every image column of a row that could be read is empty."""
    named = (source.image,) if isinstance(source.image, str) else source.image or ()
    return not row.problem and bool(named) and all(is_empty_image(row.values.get(column)) for column in named)


def is_empty_image(cell: object) -> bool:
    """No image at all: nothing, or a list of nothing."""
    return is_empty(cell) or (isinstance(cell, list | tuple) and not cell)


def _adapted(row: Row, source: Source) -> tuple[Row, list[str]]:
    """The row under the names that samples have, and what is wrong with its options and answer."""
    if row.problem:
        return row, []
    values, problems = dict(row.values), []
    for field in FIELDS:
        named = getattr(source, field)
        if named is None:
            values.pop(field, None)
        elif isinstance(named, str):
            values[field] = row.values.get(named)
        else:
            cells = [row.values.get(column) for column in named]
            values[field] = [cell for cell in cells if not is_empty(cell)]
    try:
        values["choices"] = _choices(values.get("choices"), source)
    except ValueError as error:
        values["answer"], values["choices"] = "unreadable", None  # said once, not twice
        return replace(row, values=values), [str(error)]
    try:
        if source.answer_is == "letter" and (several := _several(values.get("answer"), values["choices"])):
            # with two right options a question is no longer one with options: its answer is a list
            values["question"] = f"{values.get('question')}\n{_written_out(values['choices'])}"
            values["choices"], values["answer"] = None, several
        values["answer"] = _answer(values.get("answer"), values["choices"], source)
    except ValueError as error:
        problems.append(str(error))
        values["answer"] = "unreadable"  # said once, not twice; the options may be at fault too
    return replace(row, values=values), problems


def _choices(cell: Any, source: Source) -> Any:
    if source.choices_text == "python" and isinstance(cell, str) and cell.strip():
        try:
            cell = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(f"choices {show(cell)} cannot be read as a list") from None
    if isinstance(cell, list | tuple) and len(cell) == 1 and isinstance(cell[0], list):
        cell = cell[0]  # as MMMU-Pro writes the options of one item
    if isinstance(cell, list | tuple) and cell and all(isinstance(o, str) and o.strip() for o in cell):
        labels = [_LABEL.match(option.strip()) for option in cell]
        if all(label and label[1] == chr(ord("A") + i) for i, label in enumerate(labels)):
            return [_LABEL.sub("", option.strip()) for option in cell]  # `A. a dog` under its own letter says it twice
    return cell


def _several(answer: Any, choices: Any) -> str | None:
    """`C, D` for an answer that names several letters of the options; None for any other."""
    if not isinstance(answer, str) or not isinstance(choices, list | tuple):
        return None
    letters = [word for word in re.split(r"[\s,;&]+|and", answer.strip()) if word]
    known = options.letters([str(choice) for choice in choices])
    named = len(letters) > 1 and all(len(letter) == 1 and letter in known for letter in letters)
    return ", ".join(letters) if named else None


def _written_out(choices: Any) -> str:
    return "\n".join(f"({chr(65 + i)}) {choice}" for i, choice in enumerate(choices))


def _answer(cell: Any, choices: Any, source: Source) -> Any:
    """The answer as a letter where there are options."""
    if source.answer is None or is_empty(cell):
        return None
    if source.answer_is == "ranks":
        return _best(cell)
    if not isinstance(choices, list | tuple) or not choices or source.answer_is == "raw":
        return cell
    texts = [str(choice).strip() for choice in choices]
    known = options.letters(texts)
    if source.answer_is in ("index", "number"):
        first = 0 if source.answer_is == "index" else 1
        at = int(cell) - first if isinstance(cell, int) or (isinstance(cell, str) and cell.strip().isdigit()) else -1
        if isinstance(cell, bool) or not 0 <= at < len(known):
            raise ValueError(f"answer {show(cell)} is no option from {first} to {len(known) - 1 + first}")
        return known[at]
    if not isinstance(cell, str | int | float) or isinstance(cell, bool):
        raise ValueError(f"answer is {show(cell)}, expected text")
    said = str(cell).strip()
    if source.answer_is == "text":
        if texts.count(said) != 1 and (said not in texts or source.repeated_choices == "error"):
            raise ValueError(f"answer {show(said)} is {texts.count(said) or 'none'} of the {len(texts)} options")
        return known[texts.index(said)]
    bare = said.strip("().: ").upper()
    if len(bare) != 1 or bare not in known:
        raise ValueError(f"answer {show(said)} is no letter of the {len(texts)} options")
    return bare


def _best(cell: Any) -> str:
    if not isinstance(cell, list | tuple) or len(set(cell)) < 2 or any(not isinstance(rank, int) for rank in cell):
        raise ValueError(f"answer {show(cell)} ranks nothing: expected ranks such as [0, 1], the least is best")
    return chr(ord("A") + list(cell).index(min(cell)))


def columns_needed(spec: Benchmark) -> dict[str, str]:
    """Columns of `meta` that a spec counts by, and what for."""
    named = {column: "by" for column in spec.by} | {column: "apart" for column in spec.apart}
    if spec.kind == "critique" and "{answer}" in spec.prompt:
        named["response_answer"] = "the prompt"
    for name in spec.figures:
        if " of " in name:
            named[name.partition(" of ")[2]] = f"the figure '{name}'"
        elif name in ("answer_f1", "explanation_f1", "viscore_local"):
            named |= {} if name == "explanation_f1" else {"answer_right": f"the figure '{name}'"}
            named |= {} if name == "answer_f1" else {"step_explanations": f"the figure '{name}'"}
    parts = [part for part in spec.cluster.split(" and ") if part not in ("item", "image", "answer")]
    return named | {column: "cluster" for column in parts}


def value_of(sample: Sample, column: str) -> Any:
    """A column of `meta`; `metadata.task` looks inside a mapping.

    Raises:
        ValueError: when there is no such column.
    """
    value: Any = sample.meta
    for word in column.split("."):
        if not isinstance(value, Mapping) or word not in value:
            raise ValueError(f"sample '{sample.id}' has no column '{column}': its columns are {sorted(sample.meta)}")
        value = value[word]
    return value
