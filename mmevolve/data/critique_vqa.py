"""critique-VQA: pairs of critiques of an answer with errors put into it, the training set of Critic-V.

Paper: Zhang et al. 2024, "Critic-V: VLM Critics Help Catch VLM Errors in Multimodal Reasoning", arXiv:2411.18203.
Hub: huaXiaKyrie/critique-VQA.
Schema: the makers' code (kyrieLei/Critic-V, data_utils/utils/format.py) writes a JSON list of `conversations` (one
human turn with `<image>`, question, answer and task), `chosen` and `rejected` (one gpt turn each) and `images`
(paths). On the hub the same is `conversation`, `chosen` and `rejected` as `{from, text}`, and `image`; seen in other
people's code that reads it, not in the card. Both forms are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.pairs import asked_pair
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import turns_cell
from mmevolve.types import Preference


def critique_vqa(
    *,
    path: str,
    id: str | None = None,
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "critique_vqa",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Preference]:
    """Pairs whose answers are critiques: the rows that a critic is trained on by DPO.

    Args:
        path: the makers' JSON file, a folder with tables, or a hub name.
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
    yield from look(_form(id, "critique_vqa"), settings)


def _form(id: str | None, source: str) -> Form:
    needs = (("conversations", "conversation"), ("chosen",), ("rejected",), ("images", "image"))
    files = ("dpo_data_jacard_cleaned.json", "dpo_data_overall_new.json")
    return Form(source, _pairs, needs, id=id, files=files)


def _pairs(cells: Cells) -> list[Preference]:
    image = cells.first("images", "image")
    cells.wants_picture(image)
    pictures = cells.pictures(image)
    column = cells.first("conversations", "conversation")
    return asked_pair(cells, column, lambda cell: turns_cell(cell, cells.picture), pictures)
