"""LLaVA's conversations (`id`, `image`, `conversations`) as rows for supervised fine-tuning.

Paper: Liu et al. 2023, "Visual Instruction Tuning", arXiv:2304.08485.
Schema: `conversations` is a list of `{"from": "human" | "gpt", "value": text}`, `image` a path or a list of paths, and
`<image>` stands in the text where a picture belongs; read from llava/train/train.py of HZQ950419/Math-LLaVA, which is
LLaVA's. LLaMA-Factory's `images`, and messages with role and content, are read as well.
Differs: a picture stays where its `<image>` stands; LLaVA's code moves it to the beginning of the turn. Each of the
assistant's turns becomes a row of its own whose prompt is all that came before; LLaVA trains on all turns of a
conversation at once, with the same tokens learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import fill, turns_cell
from mmevolve.types import Demonstration


def llava_conversations(
    *,
    path: str,
    id: str | None = None,
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "llava",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Demonstration]:
    """One row for each of the assistant's turns; rows without a picture are text-only.

    Args:
        path: a .json, .jsonl or .parquet file, a folder with one and the pictures, or a hub name.
        id: column of names that must not repeat; None numbers the rows (LLaVA's own mixtures repeat theirs).
        split: of a folder or hub name; `train` if not given.
        limit: take the first so many conversations.
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
    yield from look(_form(id, "llava"), settings)


def _form(id: str | None, source: str) -> Form:
    return Form(source, _rows, (("conversations", "messages"),), may=(("image", "images"),), id=id)


def _rows(cells: Cells) -> list[Demonstration]:
    column = cells.first("conversations", "messages")
    pictures = cells.pictures(cells.first("image", "images"))
    turns = cells.read(column, lambda cell: turns_cell(cell, cells.picture), ())
    if turns and turns[-1].role != "assistant":
        cells.complain(column, f"ends with the {turns[-1].role}'s turn, expected the assistant's answer")
    chat = () if cells.complaints else cells.attempt(column, lambda: fill(turns, pictures), ())
    answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    return [
        Demonstration(chat[:i], turns[i].text, source=cells.name if len(answers) == 1 else f"{cells.name}#{k}")
        for k, i in enumerate(answers)
        if not cells.complaints
    ]
