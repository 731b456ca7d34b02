"""A question with a better and a worse answer as a row for DPO and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import Turn, fill, reply_cell
from mmevolve.types import ImageRef, Preference


def asked_pair(
    cells: Cells,
    column: str,
    parse: Callable[[Any], tuple[Turn, ...]],
    pictures: tuple[ImageRef, ...],
    answer: Callable[[Any], str] = reply_cell,
) -> list[Preference]:
    """The pair of a row whose answers stand in `chosen` and `rejected`.

    Args:
        cells: the row.
        column: where the prompt stands.
        parse: its turns.
        pictures: the row's pictures.
        answer: reads a cell of `chosen` or `rejected`.
    """
    turns = cells.read(column, parse, ())
    chosen, rejected = (cells.read(name, answer, "") for name in ("chosen", "rejected"))
    return pair(cells, column, turns, pictures, chosen, rejected)


def pair(
    cells: Cells, column: str, turns: tuple[Turn, ...], pictures: tuple[ImageRef, ...], chosen: str, rejected: str
) -> list[Preference]:
    """The pair, once its parts are read; what is wrong with it as a whole is complained of."""
    if cells.complaints:
        return []
    if not turns or turns[-1].role != "user":
        ending = f"ends with the {turns[-1].role}'s turn" if turns else "is empty"
        cells.complain(column, f"{ending}, expected the question last")
        return []
    if chosen == rejected:
        cells.complain("rejected", "is the same text as chosen")
    prompt = cells.attempt(column, lambda: fill(turns, pictures), ())
    return [] if cells.complaints else [Preference(prompt, chosen, rejected, source=cells.name)]
