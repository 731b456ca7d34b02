"""M3CoT: multi-step questions of science, mathematics and common sense with pictures, options and rationales.

Paper: Chen et al. 2024, "M3CoT: A Novel Benchmark for Multi-Domain Multi-step Multi-modal Chain-of-Thought", ACL,
arXiv:2405.16473. Hub: LightChen2333/M3CoT.
Schema: `id`, `question`, `choices`, `answer` (a letter), `context`, `rationale`, `image`, `image_id`, `split`,
`domain`, `topic`, `category`; `{train,dev,test}.jsonl` with `images/<id>.png` beside them, or the hub's train,
validation and test with embedded pictures. Read from utils/data.py and README of LightChen233/M3CoT; the hub's own
card was not seen. Readers of the hub version leave out rows whose `image` is null, so such rows exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.columns import RepeatedChoices
from mmevolve.data.option_rows import option_sample
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells, WithoutImage
from mmevolve.types import Sample


def m3cot(
    *,
    path: str,
    id: str | None = "id",
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "m3cot",
    context: bool = True,
    without_image: WithoutImage = "drop",
    repeated_choices: RepeatedChoices = "keep",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Sample]:
    """Questions whose answer is a letter; `meta` keeps `rationale`, domain, topic and the rest.

    Args:
        path: a folder with `<split>.jsonl` and `images/`, a table of the same columns, or a hub name.
        id: column of names that must not repeat; None numbers the rows.
        split: `train` if not given.
        limit: take the first so many rows.
        source: the samples' `source`.
        context: put the text that a question is about before it.
        without_image: rows without a picture: `error`, `keep` or `drop` them (and log how many).
        repeated_choices: rows with the same option twice: `keep` them, or `error`.
        images_root: folder that image paths start from and may not leave; the set's own folder if not given.
        verify_images: read every picture through once.
        broken: rows that cannot be used: `error` lists them all, `drop` leaves them out and logs how many.

    Raises:
        ValueError: with every problem, each with its row.
    """
    return gather(
        _form(id, source, context, without_image, repeated_choices),
        path=path,
        split=split,
        limit=limit,
        images_root=images_root,
        verify_images=verify_images,
        broken=broken,
    )


def preflight(
    *,
    id: str | None = "id",
    context: bool = True,
    without_image: WithoutImage = "drop",
    repeated_choices: RepeatedChoices = "keep",
    **settings: Any,
) -> Iterator[str]:
    """One sentence a problem, from the first rows alone."""
    yield from look(_form(id, "m3cot", context, without_image, repeated_choices), settings)


def _form(
    id: str | None, source: str, context: bool, without_image: WithoutImage, repeated_choices: RepeatedChoices
) -> Form:
    def make(cells: Cells) -> list[Sample]:
        column = cells.first("image", "image_path")
        cells.wants_picture(column, without_image)
        # Rows may still name the folder of the makers' machine; the pictures lie in images/.
        pictures = cells.pictures(column, lambda given: (given, f"images/{PurePosixPath(given).name}"))
        about = "context" if context else None
        sample = option_sample(
            cells, pictures, context=about, index=False, repeated_choices=repeated_choices, source=source
        )
        return [sample]

    needs = (("question",), ("choices",), ("answer",), ("image", "image_path"))
    return Form(source, make, needs, may=(("context",),), id=id)
