"""Preference tables as TRL documents them: `prompt`, `chosen`, `rejected`, with `images` or `image`.

Schema: read from TRL 1.16 (trl/data_utils.py, trl/trainer/dpo_trainer.py) and its page "Dataset formats". Each of the
three columns is a text (standard) or a list of messages (conversational); without `prompt` the two answers begin alike
and that beginning is the prompt. Pictures stand where a content part `{"type": "image"}` stands, or, if there is none,
before the words of the first user message.
Differs: a standard prompt becomes a user message, as every prompt here is a chat. A prompt that is read off two texts
ends before the word in which they part, where TRL may cut a word. Exactly one assistant message is an answer; tools
are refused. `<image>` in a text is a place for a picture too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.cells import text_cell
from mmevolve.data.pairs import asked_pair, pair
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import Turn, turns_cell, user_turn
from mmevolve.types import ImageRef, Preference


def trl_preferences(
    *,
    path: str,
    id: str | None = None,
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "preferences",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Preference]:
    """Pairs; a row without a picture is text-only.

    Args:
        path: a .jsonl, .json or .parquet file, a folder with such files, a folder saved by `datasets`, or a hub name.
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
    yield from look(_form(id, "preferences"), settings)


def _form(id: str | None, source: str) -> Form:
    return Form(source, _pairs, (("chosen",), ("rejected",)), may=(("prompt",), ("images", "image")), id=id)


def _pairs(cells: Cells) -> list[Preference]:
    pictures = cells.pictures(cells.first("images", "image"))
    if cells.has("tools"):
        cells.complain("tools", "is set, and tools cannot be called here")
    if not cells.has("prompt"):
        return _implicit(cells, pictures)

    def prompt(cell: object) -> tuple[Turn, ...]:
        return turns_cell(cell, cells.picture) if isinstance(cell, list) else (user_turn(text_cell(cell)),)

    return asked_pair(cells, "prompt", prompt, pictures)


def _implicit(cells: Cells, pictures: tuple[ImageRef, ...]) -> list[Preference]:
    chosen, rejected = (cells.row.values.get(name) for name in ("chosen", "rejected"))
    if isinstance(chosen, list) and isinstance(rejected, list):
        good, bad = (
            cells.read(name, lambda cell: turns_cell(cell, cells.picture), ()) for name in ("chosen", "rejected")
        )
        if cells.complaints:
            return []
        shared = _alike(good, bad)
        last = [turns[shared:] for turns in (good, bad)]
        for name, rest in zip(("chosen", "rejected"), last, strict=True):
            if len(rest) != 1 or rest[0].role != "assistant":
                roles = ", ".join(turn.role for turn in rest) or "nothing"
                said = f"goes on with {roles} after the {shared} turns that both share, expected an answer"
                cells.complain(name, said)
        texts = [rest[0].text if rest else "" for rest in last]
        return pair(cells, "chosen", good[:shared], pictures, *texts)
    texts = [cells.text(name) for name in ("chosen", "rejected")]
    if cells.complaints:
        return []
    prompt = _shared(*texts)
    turns = cells.attempt("chosen", lambda: (user_turn(prompt),), ()) if prompt else ()
    if not prompt:
        cells.complain("chosen", "and rejected do not begin alike, and there is no prompt")
    answers = [text[len(prompt) :].strip() for text in texts]
    for name, answer in zip(("chosen", "rejected"), answers, strict=True):
        if not answer:
            cells.complain(name, "ends with what chosen and rejected share, expected an answer")
    return pair(cells, "chosen", turns, pictures, *answers)


def _alike(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How far two sequences are the same from their start."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _shared(one: str, other: str) -> str:
    """What two texts begin with, up to the end of a word."""
    start = one[: _alike(one, other)]
    if all(len(text) == len(start) or text[len(start)].isspace() for text in (one, other)):
        return start.rstrip()
    return start[: max((i for i, letter in enumerate(start) if letter.isspace()), default=0)].rstrip()
