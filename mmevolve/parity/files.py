"""Golden files of a folder: which there are, their rows, and the totals published for them."""

from __future__ import annotations

import difflib
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_ENDINGS = (".jsonl.gz", ".jsonl")
QUESTIONS = "testmini"  # a table of questions among the golden files, not one of answers


class UnusableFileError(ValueError):
    """A golden file that cannot be compared, and why, in one sentence."""


def load(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file, plain or gzip; which of the two is read from its first bytes.

    Raises:
        UnusableFileError: when it is damaged, or a line is no JSON object.
    """
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UnusableFileError(f"the file cannot be read: {error}") from None
    rows = []
    # not splitlines(), which also splits at the separators that JSON leaves in strings
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UnusableFileError(f"line {number} is no JSON: {error}") from None
        if not isinstance(row, dict):
            raise UnusableFileError(f"line {number} is a {type(row).__name__}, expected a JSON object")
        rows.append(row)
    return rows


def table(folder: Path, *names: str) -> list[dict[str, Any]]:
    """Rows of the tables of these names that the folder has, plain or gzip; none where it has none of them."""
    paths = [folder / f"{name}{ending}" for name in names for ending in _ENDINGS]
    return [row for path in paths if path.exists() for row in load(path)]


def needs(rows: Iterable[Row], fields: Iterable[str]) -> None:
    """Every row has these fields.

    Raises:
        UnusableFileError: naming the first field that is missing, and the nearest one that is there.
    """
    for number, row in enumerate(rows, start=1):
        for field in fields:
            if field not in row:
                near = difflib.get_close_matches(field, list(row), n=1, cutoff=0.7)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise UnusableFileError(f"row {number} has no field '{field}', it has {sorted(row)}{hint}")


def places(folder: Path) -> tuple[Path, Path]:
    """The data folder, and the folder of golden files in it; a folder called `goldens` may be named itself."""
    if (folder / "goldens").is_dir() or folder.name != "goldens":
        return folder, folder / "goldens"
    return folder.parent, folder


def answers_of(goldens: Path) -> list[Path]:
    """Every golden file, in the order of their paths."""
    found = {path for ending in _ENDINGS for path in goldens.glob(f"*/**/*{ending}")}
    return sorted(path for path in found if plain_name(path) != QUESTIONS)


def plain_name(path: Path) -> str:
    """A file's name without its endings."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def published(path: Path, name: str) -> tuple[int | None, int]:
    """Published count of right answers, and of rows; None where no total is published.

    Raises:
        UnusableFileError: when the file of totals is damaged or says it in a way that is not known.
    """
    if not path.exists():
        return None, 0
    try:
        entry = json.loads(path.read_text()).get(name)
        if entry is None:
            return None, 0
        if "official" in entry:
            return int(entry["official"]["correct"]), int(entry["official"]["total"])
        if "official_all" in entry:
            right, _, count = entry["official_all"].partition("=")[0].partition("/")
            return int(right), int(count)
        if "correct" in entry:
            return int(entry["correct"]), int(entry["count"])
        share = next(entry[key] for key in ("overall_acc_by_official_code", "acc_from_if_right", "acc") if key in entry)
        return round(share * entry["n"]), int(entry["n"])
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration) as error:
        raise UnusableFileError(f"{path.name} has no total that can be read for '{name}': {error!r}") from None
