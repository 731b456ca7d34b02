"""Cells of a table as fields of a sample. Each function raises ValueError with what it got and what it expected."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmevolve.types import ImageRef

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|data:")


def is_empty(cell: object) -> bool:
    """Whether a cell holds nothing: null, NaN, or only white space."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def name_cell(cell: object) -> str:
    """An id: text or a whole number."""
    if is_empty(cell):
        raise ValueError("is empty")
    if not isinstance(cell, str | int) or isinstance(cell, bool):
        raise ValueError(f"is {show(cell)}, expected text or a whole number")
    return str(cell)


def text_cell(cell: object) -> str:
    """A question: text that is not empty."""
    if is_empty(cell):
        raise ValueError("is empty")
    if not isinstance(cell, str):
        raise ValueError(f"is {show(cell)}, expected text")
    return cell


def answer_cell(cell: object, choices: tuple[str, ...]) -> str:
    """An answer: text or a number. A whole number that is none of the options might count them from 0 or from 1."""
    if not isinstance(cell, str | int | float) or isinstance(cell, bool):
        raise ValueError(f"is {show(cell)}, expected text or a number")
    if isinstance(cell, int) and choices and str(cell) not in choices:
        raise ValueError(
            f"is {cell}, which is none of the {len(choices)} choices: expected a choice's text or its letter"
        )
    return str(cell).strip()


def choices_cell(cell: object, *, repeats: bool = False) -> tuple[str, ...]:
    """Options: a list of texts or numbers, or such a list as JSON text; none twice unless repeats are allowed."""
    if is_empty(cell):
        return ()
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError:
            raise ValueError(f'is {show(cell)}, expected a list such as ["yes", "no"]') from None
    if not isinstance(cell, list | tuple):
        raise ValueError(f"is {show(cell)}, expected a list")
    for option in cell:
        if is_empty(option) or not isinstance(option, str | int | float) or isinstance(option, bool):
            raise ValueError(f"has the option {show(option)}, expected text or a number")
    options = tuple(str(option).strip() for option in cell)
    repeated = next((o for o in options if options.count(o) > 1), None)
    if repeated is not None and not repeats:
        raise ValueError(f"repeats the option {show(repeated)} (allowed with repeated_choices: keep)")
    return options


def image_cells(cell: object, root: Path | None) -> tuple[ImageRef, ...]:
    """Images: a path, encoded bytes, the `{bytes, path}` of `datasets`, or a list of these; nothing is none."""
    if isinstance(cell, list | tuple):
        return tuple(image_cell(one, root) for one in cell)
    return () if is_empty(cell) else (image_cell(cell, root),)


def image_cell(cell: object, root: Path | None) -> ImageRef:
    """One image."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return cell
    if not isinstance(cell, str) or is_empty(cell):
        raise ValueError(f"is {show(cell)}, expected a path or encoded bytes")
    return str(inside(root, cell))


def inside(root: Path | None, path: str) -> Path:
    """The file that a row names, which must lie in the table's own folder: a row cannot make us read anything else."""
    if _ADDRESS.match(path):
        raise ValueError(f"{show(path)} is an address, expected a path: images are not fetched")
    if root is None:
        raise ValueError(f"{show(path)} is a path, and a hub dataset has no folder: set images_root")
    if "\0" in path or Path(path).is_absolute():
        raise ValueError(f"{show(path)} is not a path relative to '{root}': a row may only name files in there")
    whole = root / path
    try:
        stays = whole.resolve().is_relative_to(root.resolve())
        there = stays and whole.is_file()
    except (OSError, RuntimeError) as error:  # a name too long, links in a circle
        raise ValueError(f"{show(path)} cannot be looked up: {error}") from None
    if not stays:
        raise ValueError(f"{show(path)} leads out of '{root}': a row may only name files in there")
    if not there:
        raise ValueError(f"{show(path)}: no such file in '{root}'")
    return whole


def other_cells(values: Mapping[str, Any], used: set[str | None]) -> dict[str, Any]:
    """The columns that no field takes, as far as they are JSON; a mapping called `meta` is unpacked, bytes left out."""
    kept: dict[str, Any] = {}
    inner = values.get("meta")
    outer = {c: cell for c, cell in values.items() if c not in used and not (c == "meta" and isinstance(cell, Mapping))}
    for column, cell in {**(inner if isinstance(inner, Mapping) and "meta" not in used else {}), **outer}.items():
        try:
            kept[column] = json.loads(json.dumps(cell))
        except (TypeError, ValueError):
            if not isinstance(cell, bytes | Mapping | list):
                kept[column] = str(cell)
    return kept


def show(cell: object) -> str:
    """A cell in an error: short, on one line."""
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."
