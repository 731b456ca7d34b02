"""RLAIF-V: pairs of answers about a picture, ranked by open models.

Paper: Yu et al. 2024, "RLAIF-V: Open-Source AI Feedback Leads to Super GPT-4V Trustworthiness", arXiv:2405.17220.
Hub: openbmb/RLAIF-V-Dataset.
Schema: `ds_name`, `image` (bytes and path), `question`, `chosen`, `rejected`, `origin_dataset`, `origin_split`, `idx`,
`image_path`; seen in the hub's card. Whether `idx` repeats is not said there, so rows are numbered unless `id: idx` is
set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.cells import text_cell
from mmevolve.data.pairs import asked_pair
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import user_turn
from mmevolve.types import Preference


def rlaif_v(
    *,
    path: str,
    id: str | None = None,
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "rlaif_v",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Preference]:
    """Pairs; the picture stands before the question. Embedded pictures stay in memory as they are encoded.

    Args:
        path: a .parquet or .jsonl file, a folder with such files, or a hub name.
        id: column of names that must not repeat; None numbers the rows.
        split: of a folder or hub name; `train` if not given.
        limit: take the first so many rows.
        source: how numbered rows are called.
        images_root: folder that image paths start from and may not leave; the set's own folder if not given.
        verify_images: read every picture through once.
        broken: rows that cannot be used: `error` lists them all, `drop` leaves them out and logs how many.

    Raises:
        ValueError: with every problem, each with its row.
    """
    return gather(
        _form(id, source),
        path=path,
        split=split,
        limit=limit,
        images_root=images_root,
        verify_images=verify_images,
        broken=broken,
    )


def preflight(*, id: str | None = None, **settings: Any) -> Iterator[str]:
    """One sentence a problem, from the first rows alone."""
    yield from look(_form(id, "rlaif_v"), settings)


def _form(id: str | None, source: str) -> Form:
    needs = (("question",), ("chosen",), ("rejected",), ("image",))
    return Form(source, _pairs, needs, id=id, files=("RLAIF-V-Dataset*.parquet",))


def _pairs(cells: Cells) -> list[Preference]:
    cells.wants_picture("image")
    pictures = cells.pictures("image")
    return asked_pair(cells, "question", lambda cell: (user_turn(text_cell(cell)),), pictures)
