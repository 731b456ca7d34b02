"""ScienceQA: school science questions with options, lectures and solutions; half of them have a picture.

Paper: Lu et al. 2022, "Learn to Explain: Multimodal Reasoning via Thought Chains for Science Question Answering",
arXiv:2209.09513. Hub: derek-thomas/ScienceQA.
Schema: `image`, `question`, `choices`, `answer` (index from 0), `hint`, `task`, `grade`, `subject`, `topic`,
`category`, `skill`, `lecture`, `solution`, without ids; seen in the hub's card, with 12,726 / 4,241 / 4,241 rows. The
makers' own form is `problems.json` (id -> the same fields), `pid_splits.json` (split -> ids) and
`images/<split>/<id>/<image>`; seen in code of others that reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from mmevolve.config.nearest import hint as nearest_hint
from mmevolve.config.ranges import Range
from mmevolve.data.cells import show
from mmevolve.data.columns import RepeatedChoices
from mmevolve.data.option_rows import option_sample
from mmevolve.data.places import SPLIT, Place, read_json, rows_of
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells, WithoutImage
from mmevolve.data.rows import Row
from mmevolve.types import Sample

PROBLEMS, SPLITS = "problems.json", "pid_splits.json"


def scienceqa(
    *,
    path: str,
    id: str | None = None,
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "scienceqa",
    hint: bool = True,
    without_image: WithoutImage = "keep",
    repeated_choices: RepeatedChoices = "error",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Sample]:
    """Questions whose answer is a letter; `meta` keeps `lecture`, `solution`, subject, grade and the rest.

    Args:
        path: a folder with `problems.json` or tables, one such file, or a hub name.
        id: column of names that must not repeat; None numbers the rows, or takes the keys of `problems.json`.
        split: `train` if not given.
        limit: take the first so many rows.
        source: the samples' `source`.
        hint: put the text that a question is about before it.
        without_image: rows without a picture: `keep` them as text, `drop` them (and log how many), or `error`.
        repeated_choices: rows with the same option twice: `error`, or `keep` them.
        images_root: folder that image paths start from and may not leave; the set's own folder if not given.
        verify_images: read every picture through once.
        broken: rows that cannot be used: `error` lists them all, `drop` leaves them out and logs how many.

    Raises:
        ValueError: with every problem, each with its row.
    """
    return gather(
        _form(id, source, hint, without_image, repeated_choices),
        path=path,
        split=split,
        limit=limit,
        images_root=images_root,
        verify_images=verify_images,
        broken=broken,
    )


def preflight(
    *,
    id: str | None = None,
    hint: bool = True,
    without_image: WithoutImage = "keep",
    repeated_choices: RepeatedChoices = "error",
    **settings: Any,
) -> Iterator[str]:
    """One sentence a problem, from the first rows alone."""
    yield from look(_form(id, "scienceqa", hint, without_image, repeated_choices), settings)


def _form(
    id: str | None, source: str, hint: bool, without_image: WithoutImage, repeated_choices: RepeatedChoices
) -> Form:
    def make(cells: Cells) -> list[Sample]:
        pid, part = cells.row.values.get("pid"), cells.row.values.get("split")
        if pid is not None and id is None:
            cells.name = f"{source}-{pid}"
        cells.wants_picture("image", without_image)
        pictures = cells.pictures("image", lambda given: (given if pid is None else f"images/{part}/{pid}/{given}",))
        about = "hint" if hint else None
        sample = option_sample(
            cells, pictures, context=about, index=True, repeated_choices=repeated_choices, source=source
        )
        return [sample]

    return Form(
        source,
        make,
        (("question",), ("choices",), ("answer",)),
        may=(("image",), ("hint",)),
        id=id,
        files=(PROBLEMS,),
        inner_splits=(PROBLEMS,),
        rows=_rows,
    )


def _rows(place: Place) -> Iterator[Row]:
    first = Path(place.tables[0])
    if first.name != PROBLEMS:
        yield from rows_of(place)
        return
    split = place.split or SPLIT
    problems, splits = read_json(str(first)), first.with_name(SPLITS)
    if not isinstance(problems, dict):
        raise ValueError(f"'{first}': {show(problems)}, expected an object of questions by id")
    if splits.is_file():
        listed = read_json(str(splits))
        if not isinstance(listed, dict) or not isinstance(listed.get(split), list):
            raise ValueError(f"split '{split}': not in '{splits}'{nearest_hint(split, listed)}")  # type: ignore[arg-type]
        wanted = [str(pid) for pid in listed[split]]
    else:
        wanted = [pid for pid, one in problems.items() if isinstance(one, dict) and one.get("split") == split]
        there = {str(one["split"]) for one in problems.values() if isinstance(one, dict) and "split" in one}
        if problems and not wanted:
            raise ValueError(f"split '{split}': no question of '{first}' has it{nearest_hint(split, there)}")
    before: set[str] = set()
    for number, pid in enumerate(wanted, start=1):
        values = problems.get(pid)
        if pid in before:
            yield Row(number, problem=f"'{pid}' stands twice in split '{split}' of {SPLITS}")
        elif isinstance(values, dict):
            yield Row(number, {**values, "pid": pid, "split": split})
        else:
            yield Row(number, problem=f"'{pid}' of {SPLITS} is no question of {PROBLEMS}")
        before.add(pid)
