"""Which column of a table feeds which field of a sample, and everything that can be wrong with a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mmevolve.config.nearest import hint
from mmevolve.data.cells import (
    answer_cell,
    choices_cell,
    image_cells,
    is_empty,
    name_cell,
    other_cells,
    show,
    text_cell,
)
from mmevolve.data.images import verify_image
from mmevolve.data.rows import Row
from mmevolve.types import Sample

Unlabelled = Literal["error", "keep", "drop"]
RepeatedChoices = Literal["error", "keep"]


@dataclass(frozen=True)
class Columns:
    """Columns by field.

    Attributes:
        id: column of the names; like the next four, None when the field is not fed.
        question: column of the questions.
        image: column of the images.
        answer: column of the reference answers.
        choices: column of the option lists.
        unlabelled: what to do with rows without an answer.
        repeated_choices: what to do with rows that have an option twice.
    """

    id: str | None = "id"
    question: str | None = "question"
    image: str | None = "image"
    answer: str | None = "answer"
    choices: str | None = "choices"
    unlabelled: Unlabelled = "error"
    repeated_choices: RepeatedChoices = "error"

    @property
    def named(self) -> dict[str, str]:
        """Field -> column, of the fields that are fed."""
        fields = ("id", "question", "image", "answer", "choices")
        fed = zip(fields, (self.id, self.question, self.image, self.answer, self.choices), strict=True)
        return {f: column for f, column in fed if column is not None}

    def without(self, missing: Iterable[str]) -> Columns:
        """The same without columns that are not there, so that the other ones can still be looked at."""
        return replace(self, **{f: None for f, column in self.named.items() if column in set(missing)})

    def missing(self, there: Iterable[str], where: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Columns that are asked for and not there, each with a sentence. Only the default `choices` may be missing."""
        known = list(there)
        asked = {column: field for field, column in self.named.items() if (field, column) != ("choices", "choices")}
        for column in (*asked, *(c for c in where if c not in asked)):
            if column not in known:
                without = (
                    f" ({asked[column]}: null does without)" if asked.get(column, "question") != "question" else ""
                )
                yield column, f"no column '{column}'{hint(column, known)}{without}"

    def lacks_answer(self, row: Row) -> bool:
        return self.answer is None or is_empty(row.values.get(self.answer))

    def sample(self, row: Row, root: Path | None, label: str, *, verify: bool) -> tuple[Sample | None, list[str]]:
        """The row's sample, or everything that is wrong with the row."""
        problems: list[str] = []

        def read(column: str | None, parse: Callable[[Any], Any], default: Any) -> Any:
            if column is None:
                return default
            try:
                return parse(row.values.get(column))
            except (ValueError, OSError) as error:
                problems.append(f"row {row.number}: {column} {error}")
                return default

        def images(cell: object) -> tuple[Any, ...]:
            refs = image_cells(cell, root)
            for ref in refs if verify else ():
                try:
                    verify_image(ref)
                except ValueError as error:
                    raise ValueError(str(error).removeprefix("image ")) from error
            return refs

        options = read(self.choices, lambda cell: choices_cell(cell, repeats=self.repeated_choices == "keep"), ())
        bare = self.lacks_answer(row)
        if bare and self.answer is not None and self.unlabelled == "error":
            problems.append(f"row {row.number}: {self.answer} is empty (allowed with unlabelled: keep, or drop)")
        sample = Sample(
            id=read(self.id, name_cell, f"{label}-{row.number:06d}"),
            question=read(self.question, text_cell, ""),
            images=read(self.image, images, ()),
            answer=None if bare else read(self.answer, lambda cell: answer_cell(cell, options), None),
            choices=options,
            source=label,
            meta=other_cells(row.values, set(self.named.values())),
        )
        return (None if problems else sample), problems


@dataclass(frozen=True)
class Picked:
    """What was read of a table.

    Attributes:
        rows: the rows that are wanted.
        columns: the columns that are there.
        problems: what is wrong with the table as a whole, and rows that could not be read.
        dropped: rows left out for want of an answer.
    """

    rows: tuple[Row, ...]
    columns: Columns
    problems: tuple[str, ...]
    dropped: int


def pick(
    rows: Iterable[Row], columns: Columns, where: Mapping[str, Any], *, most: int | None, reads: int | None = None
) -> Picked:
    """The rows that `where` and `unlabelled` leave.

    Args:
        rows: the table.
        columns: what is asked for.
        where: column -> value, or list of values.
        most: stop reading after so many wanted rows.
        reads: stop reading after so many rows, wanted or not; whether there are any is then not known.
    """
    wanted: list[Row] = []
    there: dict[str, None] = {}
    values: dict[str, Counter[str]] = {column: Counter() for column in where}
    problems: list[str] = []
    dropped, whole = 0, True
    for count, row in enumerate(rows):
        if count == reads:
            whole = False
            break
        if row.problem:
            problems.append(f"row {row.number}: {row.problem}")
            continue
        there.update(dict.fromkeys(row.values))
        for column, seen in values.items():
            seen[str(row.values.get(column))] += 1
        if not all(_equals(row.values.get(column), value) for column, value in where.items()):
            continue
        if columns.unlabelled == "drop" and columns.answer in row.values and columns.lacks_answer(row):
            dropped += 1
            continue
        wanted.append(row)
        if len(wanted) == most:
            break
    missing = dict(columns.missing(there, where)) if there else {}
    problems = [*missing.values(), *problems]
    if not wanted and whole and not problems:
        problems.append(_why_empty(there, where, values, dropped))
    columns = columns.without(missing)
    return Picked(tuple(wanted), columns, (*problems, *_repeated(wanted, columns.id)), dropped)


def _equals(cell: object, value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(_equals(cell, one) for one in value)
    return cell == value or (cell is not None and str(cell) == str(value))


def _why_empty(there: Collection[str], where: Mapping[str, Any], seen: Mapping[str, Counter[str]], dropped: int) -> str:
    if not there:
        return "empty: no row at all"
    if dropped:
        return f"empty: every wanted row lacks an answer ({dropped} dropped)"
    found = [f"{c} is {', '.join(map(show, [v for v, _ in seen[c].most_common(5)]))}" for c in where]
    asked = " and ".join(f"{c} {show(v)}" for c, v in where.items())
    return f"empty: no row has {asked}: {'; '.join(found)}"


def _repeated(rows: Iterable[Row], column: str | None) -> Iterator[str]:
    first: dict[str, int] = {}
    for row in rows if column is not None else ():
        cell = row.values.get(column)
        if is_empty(cell):
            continue
        if str(cell) in first:
            yield f"row {row.number}: {column} {show(cell)} is also that of row {first[str(cell)]}"
        else:
            first[str(cell)] = row.number
