"""MathV360K: questions about diagrams, charts and photographs with short answers.

Paper: Shi et al. 2024, "Math-LLaVA: Bootstrapping Mathematical Reasoning for Multimodal Large Language Models",
arXiv:2406.17294. Hub: Zhiqiang007/MathV360K.
Schema: one list in `train_samples_all_tuning.json` of `id`, `image` (a path below `data_images/`) and `conversations`
of one human and one gpt turn in LLaVA's form. File and folder names are from the README of HZQ950419/Math-LLaVA. That
the human turn is `<image>`, a `Hint:` line, `Question:` and `Choices:` with one `(A) ...` a line, and that the gpt
turn reads `The answer is ...`, was seen in other people's readers of the set, not in the set itself: a turn without
`Question:` is the question as a whole.
Differs: a sample shows its pictures first, wherever `<image>` stands; `llava_conversations` keeps the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from mmevolve.answers.options import letters, to_letter
from mmevolve.config.ranges import Range
from mmevolve.data.cells import choices_cell, other_cells, show
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import Turn, fill, turns_cell
from mmevolve.types import Sample

_QUESTION = re.compile(r"\A(?:\s*Hint:(?P<hint>.*?)(?=\n[ \t]*Question:))?\s*Question:(?P<question>.*)\Z", re.DOTALL)
_CHOICES = re.compile(r"\n[ \t]*Choices:[ \t]*\n")
_OPTION = re.compile(r"\(([A-Z])\)(.*)", re.DOTALL)
_ANSWER = re.compile(r".*\b(?:the answer is|answer:)\s*:?(?P<answer>.*)\Z", re.DOTALL | re.IGNORECASE)


def mathv360k(
    *,
    path: str,
    id: str | None = "id",
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "mathv360k",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Sample]:
    """Questions with their options apart; the answer is a letter where there are options.

    `meta` keeps the hint and the whole response.

    Args:
        path: the JSON file, the folder that holds it and `data_images/`, a table of the same columns, or a hub name.
        id: column of names that must not repeat; None numbers the rows.
        split: of a hub name or a folder of tables; `train` if not given.
        limit: take the first so many rows.
        source: the samples' `source`.
        images_root: folder that image paths start from and may not leave; `data_images/` or the folder if not given.
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


def preflight(*, id: str | None = "id", **settings: Any) -> Iterator[str]:
    """One sentence a problem, from the first rows alone."""
    yield from look(_form(id, "mathv360k"), settings)


def _form(id: str | None, source: str) -> Form:
    return Form(
        source,
        lambda cells: _samples(cells, source),
        (("conversations",), ("image",)),
        id=id,
        files=("train_samples_all_tuning.json",),
        folders=("data_images", "images_data"),
    )


def _samples(cells: Cells, source: str) -> list[Sample]:
    cells.wants_picture("image")
    pictures = cells.pictures("image")
    turns = cells.read("conversations", lambda cell: turns_cell(cell, cells.picture), ())
    if not turns:
        return []
    asked, hint, choices, answer = cells.attempt("conversations", lambda: _read(turns), ("", "", (), ""))
    if not cells.complaints:
        cells.attempt("conversations", lambda: fill(turns, pictures))
    meta = {"response": turns[-1].text, **({"hint": hint} if hint else {})}
    meta |= other_cells(cells.row.values, {"id", "image", "conversations"})
    return [Sample(cells.name, asked, pictures, answer, choices, source, meta)]


def _read(turns: tuple[Turn, ...]) -> tuple[str, str, tuple[str, ...], str]:
    """Question, hint, options and answer."""
    if [turn.role for turn in turns] != ["user", "assistant"]:
        raise ValueError(f"has the turns {', '.join(t.role for t in turns)}, expected user, assistant")
    text, response = turns[0].text.strip(), turns[1].text.strip()
    match = _QUESTION.match(text)
    hint, question = ((match["hint"] or "").strip(), match["question"].strip()) if match else ("", text)
    question, *listed = _CHOICES.split(question)
    choices = _options(listed[-1]) if listed else ()
    if not question.strip():
        raise ValueError("has no question")
    return question.strip(), hint, choices, _answer(response, choices)


def _options(text: str) -> tuple[str, ...]:
    """One option a line, lettered from A; a line without a letter goes on with the option above."""
    found: list[str] = []
    for line in text.splitlines():
        match = _OPTION.match(line.strip())
        if match and match[1] == chr(ord("A") + len(found)):
            found.append(match[2].strip())
        elif found and not match:
            found[-1] = f"{found[-1]}\n{line.strip()}".strip()
        elif line.strip():
            raise ValueError(f"has the choice {show(line.strip())}, expected ({chr(ord('A') + len(found))}) and a text")
    try:
        return choices_cell(found)
    except ValueError as error:
        raise ValueError(str(error).removesuffix(" (allowed with repeated_choices: keep)")) from None


def _answer(response: str, choices: tuple[str, ...]) -> str:
    """What follows the last `The answer is`, or the whole response."""
    match = _ANSWER.match(response)
    said = (match["answer"] if match else response).strip().removesuffix(".").strip()
    if not said:
        raise ValueError(f"has the response {show(response)}, which says no answer")
    if not choices:
        return said
    letter = to_letter(said, choices)
    if letter is None:
        last = letters(choices)[-1]
        raise ValueError(f"has the answer {show(said)}, expected a letter from A to {last} or an option")
    return letter
