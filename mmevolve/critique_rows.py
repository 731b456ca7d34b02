"""Answers of any origin as a run that critics can be put to: a file of rows becomes samples, attempts and labels.

A row has `question`, `image` (a path beside the file, base64, a list of these, or none) and `answer`, which is to be
judged; it may have `id`, `choices`, `steps` (a list of texts), `label` (the reference answer),
`answer_correctness`, `reasoning_correctness` (one a step) and `reasoning_critic` (references, one list a step). VISCO's
own rows, with a `response`, are read as they are (`data.visco`). Other columns go to the samples' `meta`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmevolve.critics.answer import AnswerMatch
from mmevolve.data.cells import choices_cell, image_cells, is_empty, name_cell, other_cells, show, text_cell
from mmevolve.data.rows import Row, read_rows
from mmevolve.data.visco import EXPLANATIONS, critique_rows, picture
from mmevolve.samplers.attempts import kind_of
from mmevolve.types import Critique, Sample, Step, Trajectory

LOOP = "given"  # the loop folder of such a run
_FIELDS = frozenset({
    "id", "question", "image", "images", "answer", "choices", "steps", "label", "answer_correctness",
    "reasoning_correctness", "reasoning_critic",
})  # fmt: skip


@dataclass(frozen=True)
class Given:
    """One answer to be judged.

    Attributes:
        sample: the question, with the reference answer where there is one.
        attempt: the answer, its steps before it.
        labels: what is known of it: critiques by `answer`, and by `oracle` where steps are labelled.
    """

    sample: Sample
    attempt: Trajectory
    labels: tuple[Critique, ...]


def given(path: str) -> list[Given]:
    """Every row of a file, in order.

    Raises:
        ValueError: when the file cannot be read, is empty, or a row is not of the form, naming the row.
    """
    file = Path(path)
    found: dict[str, Given] = {}
    for row in read_rows(path):
        if not row.problem and "response" in row.values:
            row = _from_visco(row)
        if row.problem:
            raise ValueError(f"'{path}', row {row.number}: {row.problem}")
        try:
            one = _given(row.values, f"{file.stem}-{row.number:06d}", file.parent)
        except ValueError as error:
            raise ValueError(f"'{path}', row {row.number}: {error}") from error
        if one.sample.id in found:
            raise ValueError(f"'{path}', row {row.number}: id {show(one.sample.id)} is there twice")
        found[one.sample.id] = one
    if not found:
        raise ValueError(f"'{path}' has no rows: nothing to judge")
    return list(found.values())


def _given(values: Mapping[str, Any], name: str, root: Path) -> Given:
    name = name if is_empty(values.get("id")) else _cell("id", name_cell, values["id"])
    question = _cell("question", text_cell, values.get("question"))
    choices = _cell("choices", choices_cell, values.get("choices"))
    cell = values.get("image") if not is_empty(values.get("image")) else values.get("images")
    cells = cell if isinstance(cell, list | tuple) else [cell]
    images = _cell("image", lambda one: image_cells(one, root), [picture(c) for c in cells if not is_empty(c)])
    lines = _lines(values.get("steps"))
    answer = _said(values.get("answer"))
    if answer is None and not lines:
        raise ValueError("has neither 'answer' nor 'steps': nothing to judge")
    steps = tuple(Step(line, kind_of(line)) for line in lines)
    if answer is not None and (not steps or steps[-1].kind != "answer"):
        steps = (*steps, Step(f"Answer: {answer}", "answer"))
    label = values.get("label")
    reference = ", ".join(map(str, label)) if isinstance(label, list) else _said(label)
    meta = other_cells(values, set(_FIELDS))
    if not is_empty(values.get("reasoning_critic")):
        meta[EXPLANATIONS] = _references(values["reasoning_critic"], len(lines), len(steps))
    sample = Sample(name, question, images, reference, choices, "given", meta)
    attempt = Trajectory(f"{name}/given/0", name, "given", steps, answer)
    return Given(sample, attempt, tuple(_labels(values, sample, attempt, len(lines))))


def _labels(values: Mapping[str, Any], sample: Sample, attempt: Trajectory, lines: int) -> Iterator[Critique]:
    """The verdict on the answer, told or by the answer rule; and those on the steps, none on an answer line of ours."""
    told = values.get("answer_correctness")
    if is_empty(told):
        yield from AnswerMatch()([(sample, attempt)])
    else:
        yield Critique(attempt.id, "answer", _truth("answer_correctness", told))
    marks = values.get("reasoning_correctness")
    if is_empty(marks):
        return
    if not isinstance(marks, list | tuple) or len(marks) != lines:
        raise ValueError(f"reasoning_correctness is {show(marks)}, expected true or false for each of {lines} steps")
    right = [_truth("reasoning_correctness", mark) for mark in marks]
    unlabelled = (math.nan,) * (len(attempt.steps) - lines)
    yield Critique(attempt.id, "oracle", float(all(right)), (*right, *unlabelled))


def _from_visco(row: Row) -> Row:
    """A published row in the names of ours."""
    (flat,) = critique_rows([row])
    if flat.problem:
        return flat
    values = dict(flat.values)
    names = {"answer": "label", "response_answer": "answer", "answer_right": "answer_correctness"}
    names |= {"step_labels": "reasoning_correctness", EXPLANATIONS: "reasoning_critic"}
    return Row(row.number, {names.get(name, name): value for name, value in values.items()})


def _cell(name: str, read: Any, cell: object) -> Any:
    try:
        return read(cell)
    except ValueError as error:
        raise ValueError(f"'{name}' {error}") from error


def _lines(cell: object) -> list[str]:
    """Steps, each on one line."""
    if is_empty(cell):
        return []
    steps = cell.splitlines() if isinstance(cell, str) else cell
    if not isinstance(steps, list | tuple) or not all(isinstance(s, str) for s in steps):
        raise ValueError(f"'steps' is {show(cell)}, expected a list of texts")
    if not isinstance(cell, str):  # labels go by place, so no step may be lost
        return [" ".join(s.split()) or "-" for s in steps]
    return [s.strip() for s in steps if s.strip()]


def _said(cell: object) -> str | None:
    if is_empty(cell):
        return None
    if not isinstance(cell, str | int | float) or isinstance(cell, bool):
        raise ValueError(f"the answer or label {show(cell)} is neither text nor a number")
    return str(cell).strip()


def _truth(name: str, cell: object) -> float:
    if cell not in (True, False):  # 1 and 0 are equal to these
        raise ValueError(f"{name} holds {show(cell)}, expected true or false")
    return float(bool(cell))


def _references(cell: object, lines: int, steps: int) -> list[list[str]]:
    if not isinstance(cell, list | tuple) or len(cell) != lines:
        raise ValueError(f"reasoning_critic is {show(cell)}, expected a list for each of {lines} steps")
    each = [one if isinstance(one, list | tuple) else [one] for one in cell]
    return [[str(text) for text in one if not is_empty(text)] for one in each] + [[] for _ in range(steps - lines)]
