"""MM-RLHF's pairs with the reasons that people wrote: rows for a reward model that writes a critique before it scores.

Schema and source: `data.mm_rlhf`; read are `chosen_reason` and `rejected_reason` of `dpo_pairs.jsonl`.
Differs: the makers have the reasons expanded by GPT-4o before they train on them; here they are taken as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.data.mm_rlhf import Videos, mm_rlhf_pairs
from mmevolve.data.published import Broken, Form, gather, look
from mmevolve.data.row_cells import Cells
from mmevolve.data.turns import reply_cell
from mmevolve.prompts import template
from mmevolve.prompts.error_list import listed
from mmevolve.text import ask, split_steps
from mmevolve.types import Chat, Preference, Sample, Step


def mm_rlhf_critiques(
    *,
    path: str,
    id: str | None = None,
    split: str | None = None,
    limit: Annotated[int, Range(1)] | None = None,
    source: str = "mm_rlhf",
    words: str = "critique_comment",
    videos: Videos = "drop",
    images_root: str | None = None,
    verify_images: bool = False,
    broken: Broken = "error",
) -> list[Preference]:
    """Pairs whose prompts show an answer each and whose sides are the reasons for its rank, as `data.critique_pairs`.

    A pair without both reasons is left out and counted.

    Args:
        path: as for `data.mm_rlhf`; a table of pairs.
        id: likewise.
        split: likewise.
        limit: likewise.
        source: likewise.
        words: template that asks for a critique, with `{question}` and `{steps}`; the answer's lines are the steps.
        videos: as for `data.mm_rlhf`.
        images_root: likewise.
        verify_images: likewise.
        broken: likewise.

    Raises:
        ValueError: with every problem, each with its row; when the template lacks the steps.
    """
    return gather(
        _form(id, source, words, videos),
        path=path,
        split=split,
        limit=limit,
        images_root=images_root,
        verify_images=verify_images,
        broken=broken,
    )


def preflight(
    *, id: str | None = None, words: str = "critique_comment", videos: Videos = "drop", **settings: Any
) -> Iterator[str]:
    """One sentence a problem, from the first rows alone."""
    yield from look(_form(id, "mm_rlhf", words, videos), settings)


def _form(id: str | None, source: str, words: str, videos: Videos) -> Form:
    text = template(words)
    if "{steps}" not in text:
        raise ValueError(f"prompt '{words}' has no field {{steps}}: the critic would not see what it judges")
    columns = ("prompt", "chosen", "rejected", "chosen_reason", "rejected_reason", "image")
    make = partial(_pairs, text=text, videos=videos)
    return Form(source, make, tuple((name,) for name in columns), id=id, files=("dpo_pairs.jsonl",))


def _pairs(cells: Cells, *, text: str, videos: Videos) -> list[Preference]:
    found = mm_rlhf_pairs(cells, videos)
    if found and not (cells.has("chosen_reason") and cells.has("rejected_reason")):
        cells.left_out = "without a reason for both ranks"
        return []
    reasons = [cells.read(f"{side}_reason", reply_cell, "") for side in ("chosen", "rejected")] if found else []
    if cells.complaints:
        return []
    return [
        replace(
            pair, prompt=_asked(pair.prompt, pair.chosen, text), chosen=reasons[0],
            rejected_prompt=_asked(pair.prompt, pair.rejected, text), rejected=reasons[1], scope="critique",
        )
        for pair in found
    ]  # fmt: skip


def _asked(prompt: Chat, answer: str, text: str) -> Chat:
    """The chat that asks for a critique of one answer."""
    parts = [part for message in prompt for part in message["content"]]
    question = "\n".join(part["text"] for part in parts if part["type"] == "text")
    images = tuple(part["image"] for part in parts if part["type"] == "image")
    lines = split_steps(answer)
    shown = listed([Step(line) for line in lines])
    return ask(Sample("", question, images), text, steps=shown, answer=lines[-1] if lines else "none")
