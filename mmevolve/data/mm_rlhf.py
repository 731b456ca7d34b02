"""MM-RLHF: answers of several models about a picture, ranked by people.

Paper: Zhang et al. 2025, "MM-RLHF: The Next Step Forward in Multimodal LLM Alignment", arXiv:2502.10391.
Hub: yifanzhang114/MM-RLHF.
Schema: `dpo_pairs.jsonl` holds the pairs of different rank, as `image` or `video`, `prompt`, `chosen`, `rejected`, and
for some `chosen_reason` and `rejected_reason`; `data.jsonl`, which is also the hub's table, holds `id`, `question`,
`image`, `video`, `models_output`, `final_ranking` and scores; the pictures lie in `long/`, `mcq/`, `safety/` and
`short/` beside them. Read from README, scripts/convert_to_swift.py and llava/train/train_dpo.py of a copy of the
makers' repository (julyanghar/MM-RLHF); the columns of the ranking from an inspection of the hub's table by others.
That `models_output` maps a model's name to its answer and `final_ranking` the same name to its rank, 1 the best, is
our reading: other cells are refused.
Differs: a ranked row gives all its pairs of different rank, as the makers say that theirs does; their own pairs were
not compared. The reasons are read by `data.mm_rlhf_critiques`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Annotated, Any, Literal

from mmevolve.config.ranges import Range
from mmevolve.data.cells import is_empty, show, text_cell
from mmevolve.data.pairs import asked_pair, pair
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import reply_cell, user_turn
from mmevolve.types import Preference

Videos = Literal["error", "drop"]


def mm_rlhf(
    *,
    path: str,
    id: str | None = None,
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "mm_rlhf",
    videos: Videos = "drop",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Preference]:
    """Pairs about pictures.

    Args:
        path: the folder with `dpo_pairs.jsonl` and the pictures, a table of pairs or rankings, or a hub name; the hub's
            pictures lie in archives, so that needs `images_root`.
        id: column of names that must not repeat; None numbers the rows, as several pairs share an id.
        split: of a hub name or a folder of tables; `train` if not given.
        limit: take the first so many rows.
        source: how numbered rows are called.
        videos: rows about a video: `drop` them (and log how many), or `error`.
        images_root: folder that image paths start from and may not leave; the set's own folder if not given.
        verify_images: read every picture through once.
        broken: rows that cannot be used: `error` lists them all, `drop` leaves them out and logs how many.

    Raises:
        ValueError: with every problem, each with its row.
    """
    return gather(
        _form(id, source, videos),
        path=path,
        split=split,
        limit=limit,
        images_root=images_root,
        verify_images=verify_images,
        broken=broken,
    )


def preflight(*, id: str | None = None, videos: Videos = "drop", **settings: Any) -> Iterator[str]:
    """One sentence a problem, from the first rows alone."""
    yield from look(_form(id, "mm_rlhf", videos), settings)


def _form(id: str | None, source: str, videos: Videos) -> Form:
    needs = (("prompt", "question"), ("chosen", "models_output"), ("rejected", "final_ranking"), ("image",))
    files = ("dpo_pairs.jsonl", "data.jsonl")
    return Form(source, lambda cells: mm_rlhf_pairs(cells, videos), needs, id=id, files=files)


def mm_rlhf_pairs(cells: Cells, videos: Videos) -> list[Preference]:
    """The pairs of one row; a row about a video has none."""
    if cells.has("video") and not cells.has("image"):
        if videos == "drop":
            cells.left_out = "about a video"
        else:
            cells.complain("video", "is what the row is about, expected a picture (allowed with videos: drop)")
        return []
    cells.wants_picture("image")
    pictures = cells.pictures("image")
    column = cells.first("prompt", "question")
    if cells.has("models_output") and not cells.has("chosen"):
        turns = cells.read(column, lambda cell: (user_turn(text_cell(cell)),), ())
        said = cells.read("models_output", _answers, {})
        ranks = cells.read("final_ranking", lambda cell: _ranks(cell, said), {})
        if cells.complaints:
            return []
        return [
            replace(one, source=f"{cells.name}/{better}>{worse}")
            for better, worse in _ordered(ranks)
            for one in pair(cells, column, turns, pictures, said[better], said[worse])
        ]
    return asked_pair(cells, column, lambda cell: (user_turn(text_cell(cell)),), pictures)


def _answers(cell: object) -> dict[str, str]:
    if not isinstance(cell, Mapping):
        raise ValueError(f"is {show(cell)}, expected an object: a model's name and its answer")
    # A parquet table names every model in every row and leaves those empty that did not answer.
    return {name: reply_cell(said) for name, said in cell.items() if said is not None}


def _ranks(cell: object, said: Mapping[str, str]) -> dict[str, float]:
    if not isinstance(cell, Mapping):
        raise ValueError(f"is {show(cell)}, expected an object: a model's name and its rank")
    ranks: dict[str, float] = {}
    for name, given in cell.items():
        if is_empty(given):
            continue
        try:
            ranks[name] = float(given)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"has the rank {show(given)} of '{name}', expected a number") from None
        if not math.isfinite(ranks[name]):
            raise ValueError(f"has the rank {show(given)} of '{name}', expected a number")
    if said and set(ranks) != set(said):
        odd = ", ".join(sorted(set(ranks) ^ set(said)))
        raise ValueError(f"and models_output do not name the same models: {odd}")
    if said and len(set(ranks.values())) < 2:
        raise ValueError("ranks nothing: all answers are of one rank")
    return ranks


def _ordered(ranks: Mapping[str, float]) -> list[tuple[str, str]]:
    """(better, worse) of every two of different rank, best first."""
    names = sorted(ranks, key=lambda name: (ranks[name], name))
    return [(a, b) for a, b in combinations(names, 2) if ranks[a] < ranks[b]]
