"""VISCO: solutions by vision-language models with a critique of every step, for critics and for correction.

Paper: Wu et al. 2024, "VISCO", arXiv:2412.02172 (MIT). Hub: uclanlp/VISCO, whose `test.jsonl` is read as published.
Schema: id, question (options inside), image (base64), label, response {reasoning, answer}, answer_correctness,
reasoning_correctness (one a step), reasoning_critic (three references a step, empty for right steps), meta_data.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from mmevolve.answers.written_critique import Said, parse
from mmevolve.config.ranges import Range
from mmevolve.data.cells import image_cells, show
from mmevolve.data.images import verify_image
from mmevolve.data.rows import Row, read_rows
from mmevolve.text import stable_seed
from mmevolve.types import Sample

Level = Literal["A", "AS", "ASE"]
EXPLANATIONS = "step_explanations"  # column of `meta`: for each step the references, which `metrics.VISCO` reads
COLUMNS = ("id", "question", "response", "answer_correctness", "reasoning_correctness", "reasoning_critic")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


def visco(
    *, path: str, split: str | None = None, limit: Annotated[int, Range(1)] | None = None, verify_images: bool = False
) -> list[Sample]:
    """Solutions to be criticised: `meta` holds steps, step_labels, answer_right, response_answer and the references.

    Args:
        path: the published `test.jsonl`, or a hub name (uclanlp/VISCO).
        split: of a hub name: `test`.
        limit: take the first so many rows.
        verify_images: read every picture through once.

    Raises:
        ValueError: when a row is not of the schema, naming it.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    found: list[Sample] = []
    for row in critique_rows(read_rows(path, split=split)):
        if row.problem:
            raise ValueError(f"'{path}', row {row.number}: {row.problem}")
        values = dict(row.values)
        try:
            images = image_cells(values.pop("image"), Path(path).parent if Path(path).exists() else None)
            for ref in images if verify_images else ():
                verify_image(ref)
        except ValueError as error:
            raise ValueError(f"'{path}', row {row.number}: image {error}") from error
        name, question, answer = values.pop("id"), values.pop("question"), values.pop("answer")
        found.append(Sample(name, question, images, answer, source="visco", meta=values))
        if len(found) == limit:
            break
    return found


def critique_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """Published rows made flat: steps, step_labels (1 right), answer_right, references, skill and makers."""
    for row in rows:
        yield row if row.problem else _flat(row)


def correction_rows(
    rows: Iterable[Row], *, level: Level = "ASE", critiques: Mapping[str, str | None] | None = None
) -> Iterator[Row]:
    """Published rows as questions to answer again: `before`, `critique`, `right_before`, and the label as the answer.

    Args:
        rows: as published.
        level: what of the critique is shown: the verdict on the answer, the steps' verdicts too, the explanations too.
        critiques: a model's responses by id; None for the human critique, one of a step's references drawn by the id.
    """
    for row in critique_rows(rows):
        if row.problem:
            yield row
            continue
        values = dict(row.values)
        steps, count = values["steps"], len(values["steps"])
        if critiques is None:
            said = _human(values)
        elif values["id"] not in critiques:
            yield Row(row.number, problem=f"id {show(values['id'])} has no critique")
            continue
        else:
            said = parse(critiques[values["id"]] or "", count)
        before = [*(f"{k}. {step}" for k, step in enumerate(steps, start=1)), f"Answer: {values['response_answer']}"]
        values |= {
            "before": "\n".join(before),
            "critique": written(said, level),
            "right_before": values["answer_right"],
        }
        yield Row(row.number, values)


def written(said: Said, level: Level = "ASE") -> str:
    """A critique in words, down to a level; what it does not say is `unknown`."""
    word = {True: "incorrect", False: "correct", None: "unknown"}
    lines = []
    for k, (wrong, why) in enumerate(zip(said.steps, said.why, strict=True), start=1):
        more = f". {why}" if wrong and level == "ASE" and why else ""
        lines.append(f"Step {k}: {word[wrong]}{more}")
    return "\n".join([*(lines if level != "A" else ()), f"Answer: {word[said.answer]}"])


def _human(values: Mapping[str, Any]) -> Said:
    """The annotators' critique; which of a step's references is shown depends on the id alone."""
    why = []
    for k, references in enumerate(values[EXPLANATIONS]):
        known = [text for text in references if text]
        why.append(known[stable_seed("visco", values["id"], k) % len(known)] if known else "")
    wrong = tuple(not label for label in values["step_labels"])
    return Said(not values["answer_right"], wrong, tuple(why))


def _flat(row: Row) -> Row:
    try:
        return Row(row.number, _values(row.values))
    except ValueError as error:
        return Row(row.number, problem=str(error))


def _values(raw: Mapping[str, Any]) -> dict[str, Any]:
    missing = [column for column in COLUMNS if column not in raw]
    if missing:
        raise ValueError(f"no column {' or '.join(map(repr, missing))}, which VISCO's rows have")
    response = raw["response"]
    steps = response.get("reasoning") if isinstance(response, Mapping) else None
    if not isinstance(steps, list) or not steps or not all(isinstance(s, str) and s.strip() for s in steps):
        raise ValueError(
            f"response {show(response)}, expected a mapping with 'reasoning', a list of texts, and 'answer'"
        )
    labels, references = raw["reasoning_correctness"], raw["reasoning_critic"]
    if (
        not isinstance(labels, list)
        or not all(isinstance(label, bool) for label in labels)
        or len(labels) != len(steps)
    ):
        raise ValueError(f"reasoning_correctness {show(labels)}, expected true or false for each of {len(steps)} steps")
    if not isinstance(references, list) or len(references) != len(steps):
        raise ValueError(f"reasoning_critic {show(references)}, expected a list for each of {len(steps)} steps")
    if not isinstance(raw["answer_correctness"], bool):
        raise ValueError(f"answer_correctness is {show(raw['answer_correctness'])}, expected true or false")
    meta = raw.get("meta_data")
    meta = meta if isinstance(meta, Mapping) else {}
    label = raw.get("label")
    return {
        "id": str(raw["id"]),
        "question": raw["question"],
        "image": picture(raw.get("image")),
        "answer": ", ".join(map(str, label)) if isinstance(label, list) else None if label is None else str(label),
        "steps": steps,
        "step_labels": [int(label) for label in labels],
        "answer_right": raw["answer_correctness"],
        "response_answer": str(response.get("answer", "")),
        EXPLANATIONS: [_texts(one) for one in references],
        **{key: meta.get(key) for key in ("critic_superskill", "critic_skill", "src_dataset", "src_model")},
    }


def _texts(cell: object) -> list[str]:
    texts = cell if isinstance(cell, list | tuple) else [cell]
    return [str(text).strip() for text in texts if text is not None and str(text).strip()]


def picture(cell: Any) -> Any:
    """A picture in base64 as its bytes; a path, bytes and nothing are left as they are.

    Raises:
        ValueError: when a text is neither.
    """
    if not isinstance(cell, str) or not cell.strip() or cell.lower().endswith(_PICTURES):
        return cell
    code = cell.partition("base64,")[2] if cell.startswith("data:") else cell
    try:
        return base64.b64decode("".join(code.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"image {show(cell)} is neither the path of a picture nor base64: {error}") from None
