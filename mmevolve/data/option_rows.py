"""Rows with a question, a list of options and an answer that is an index or a letter: ScienceQA's and M3CoT's."""

from __future__ import annotations

from mmevolve.answers.options import letters
from mmevolve.data.cells import choices_cell, is_empty, other_cells, show
from mmevolve.data.columns import RepeatedChoices
from mmevolve.data.row_cells import Cells
from mmevolve.types import ImageRef, Sample

FIELDS = frozenset({"id", "pid", "question", "choices", "answer", "image", "image_path"})


def option_sample(
    cells: Cells,
    pictures: tuple[ImageRef, ...],
    *,
    context: str | None,
    index: bool,
    repeated_choices: RepeatedChoices,
    source: str,
) -> Sample:
    """The sample of a row; its answer is a letter, its other columns go to `meta`.

    Args:
        cells: the row.
        pictures: its pictures.
        context: column of a text that the question is about, put before it; None to leave it out.
        index: answers count the options from 0; otherwise they are letters.
        repeated_choices: whether an option may stand there twice.
        source: the sample's `source`.
    """
    question = cells.text("question")
    said = cells.row.values.get(context) if context is not None else None
    if not is_empty(said):
        question = f"{cells.read(context or '', _text, '')}\n{question}"
    choices = cells.read("choices", lambda cell: _choices(cell, repeated_choices), ())
    answer = cells.read("answer", lambda cell: (_by_index if index else _by_letter)(cell, choices)) if choices else None
    meta = other_cells(cells.row.values, set(FIELDS))
    return Sample(cells.name, question, pictures, answer, choices, source, meta)


def _text(cell: object) -> str:
    if not isinstance(cell, str):
        raise ValueError(f"is {show(cell)}, expected text")
    return cell.strip()


def _choices(cell: object, repeated: RepeatedChoices) -> tuple[str, ...]:
    choices = choices_cell(cell, repeats=repeated == "keep")
    if len(choices) < 2:
        raise ValueError(f"is {show(cell)}, expected at least two options")
    return choices


def _by_index(cell: object, choices: tuple[str, ...]) -> str:
    if not isinstance(cell, int) or isinstance(cell, bool) or not 0 <= cell < len(choices):
        raise ValueError(f"is {show(cell)}, expected an index from 0 to {len(choices) - 1}")
    return letters(choices)[cell]


def _by_letter(cell: object, choices: tuple[str, ...]) -> str:
    known = letters(choices)
    if not isinstance(cell, str) or len(cell.strip()) != 1 or cell.strip() not in known:
        raise ValueError(f"is {show(cell)}, expected a letter from A to {known[-1]}")
    return cell.strip()
