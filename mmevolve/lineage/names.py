"""How rows, rounds, attempts and pictures are named, and the nearest name where one does not exist."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

from mmevolve.config.nearest import edits, hint, nearest
from mmevolve.lineage.graph import Name, called

PLACE = re.compile(r"(?P<loop>.+?)/(?:round=)?(?P<round>\d+)(?:/checkpoint)?(?:/(?:examples/)?(?P<row>\d+))?/?")


def parse(what: str, loops: Collection[str]) -> tuple[str, int, int | None] | None:
    """Loop, round and row of `evolve/round=001/17` or `evolve/1/17`, row None for a checkpoint; None for another id."""
    match = PLACE.fullmatch(what)
    if match is None or match["loop"] not in loops:
        return None
    return match["loop"], int(match["round"]), None if match["row"] is None else int(match["row"])


def near_round(what: str, loop: str, at: int, known: Sequence[Name]) -> str:
    """The sentence for a round that a loop does not have."""
    mine = [name for name in known if name[0] == loop]
    best = min(mine, key=lambda name: abs(name[1] - at))
    return f"there is no round {at} of '{loop}' in '{what}': the nearest is {called(best)}"


def near_attempt(db: sqlite3.Connection, what: str, loops: Collection[str]) -> str:
    """The sentence for an id that no attempt has."""
    sample, _, rest = what.partition("/")
    match = PLACE.fullmatch(what)
    if match is not None and nearest(sample, loops):
        return f"there is no loop '{sample}' for row '{what}'{hint(sample, loops)}"
    found = db.execute("SELECT evaluation FROM measured WHERE sample = ? LIMIT 1", (sample,)).fetchone()
    if found:
        return f"'{what}' is an attempt at a question of the evaluation '{found[0]}': nothing was trained on it"
    near = sample if _has(db, sample) else _closest(sample, _neighbours(db, "samples", "name", sample))
    ids = db.execute(
        "SELECT a.name FROM attempts a JOIN samples s ON s.id = a.sample WHERE s.name = ?", (near,)
    ).fetchall()
    best = _closest(f"{near}/{rest}" if near else what, [name for (name,) in ids])
    return f"there is no row or attempt '{what}'" + (f": the nearest is '{best}'" if best else "")


def near_picture(db: sqlite3.Connection, run: str, image: str) -> str:
    """The sentence for a picture or sample that a run never saw."""
    stem = image.rpartition("/")[2].partition(".")[0]
    if re.fullmatch("[0-9a-f]{6,}", stem):
        near = _neighbours(db, "shown", "picture", stem)
        best = max(near, key=lambda name: _alike(name, stem), default=None)
        return f"{run} never saw a picture '{image}'" + (f": the nearest is '{best}'" if best else "")
    words = [*_neighbours(db, "samples", "name", image), *_neighbours(db, "shown", "picture", stem),
             *_neighbours(db, "shown", "picture", image)]  # fmt: skip
    best = _closest(image, words)
    return f"{run} never saw a picture or sample '{image}'" + (f": the nearest is '{best}'" if best else "")


def _alike(a: str, b: str) -> int:
    """How many letters two words begin with together."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _has(db: sqlite3.Connection, sample: str) -> bool:
    return db.execute("SELECT 1 FROM samples WHERE name = ?", (sample,)).fetchone() is not None


def _neighbours(db: sqlite3.Connection, table: str, column: str, word: str) -> list[str]:
    """Names before and after a word in order, and those with the same last digits."""
    found: dict[str, None] = {}
    for sign, way in ((">=", ""), ("<", "DESC")):
        lines = db.execute(
            f"SELECT DISTINCT {column} FROM {table} WHERE {column} {sign} ? ORDER BY {column} {way} LIMIT 40", (word,)
        )
        found.update(dict.fromkeys(name for (name,) in lines))
    tail = re.search(r"\d+$", word)
    if tail and table == "samples":
        lines = db.execute(f"SELECT {column} FROM {table} WHERE {column} LIKE ? LIMIT 40", (f"%{tail[0]}",))
        found.update(dict.fromkeys(name for (name,) in lines))
    return list(found)


def _closest(word: str, names: Sequence[str]) -> str | None:
    if not names:
        return None
    likely = sorted(names, key=lambda name: -SequenceMatcher(None, word, name).quick_ratio())[:12]
    return min(likely, key=lambda name: (edits(word, name), name))
