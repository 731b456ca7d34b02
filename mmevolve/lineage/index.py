"""An index of a run's attempts, scores and training rows, so that a question about one row does not read a table.

It is one SQLite file, `lineage.sqlite`, beside the loops; it is made from the tables when it is first asked, brought up
to date round by round when a run has gone on, and can be deleted at any time. Where the run's folder cannot be written
it is made in memory.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mmevolve.lineage.tables import batches, column_names, kind_of, made_of
from mmevolve.report.folder import open_run
from mmevolve.store import RunStore

FILE = "lineage.sqlite"
FORMAT = 1  # raised when what is kept changes
BLOCK = 256  # rows whose texts are packed together
ROW_TEXTS = ("completion", "chosen", "rejected", "labels", "weight", "margin", "advantages")
SAID_TEXTS = ("step_scores", "text", "error")
IMAGE = re.compile(r'"image": ("(?:[^"\\]|\\.)*")')
SCHEMA = """
CREATE TABLE rounds(id INTEGER PRIMARY KEY, loop TEXT, round INTEGER, files TEXT, first INTEGER, last INTEGER,
    rows INTEGER, questions INTEGER, kind TEXT, authors TEXT, selector TEXT, critics TEXT);
CREATE TABLE words(id INTEGER PRIMARY KEY, word TEXT UNIQUE);
CREATE TABLE samples(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE asked(round INTEGER, sample INTEGER, question TEXT, reference TEXT, PRIMARY KEY(round, sample))
    WITHOUT ROWID;
CREATE TABLE shown(picture TEXT, sample INTEGER, PRIMARY KEY(picture, sample)) WITHOUT ROWID;
CREATE TABLE pictured(sample INTEGER, picture TEXT, PRIMARY KEY(sample, picture)) WITHOUT ROWID;
CREATE TABLE attempts(id INTEGER PRIMARY KEY, round INTEGER, name TEXT, sample INTEGER, author INTEGER,
    sampling INTEGER, answer TEXT, parent TEXT);
CREATE TABLE said(attempt INTEGER, critic INTEGER, score REAL, row INTEGER, PRIMARY KEY(attempt, critic, row))
    WITHOUT ROWID;
CREATE TABLE rows(round INTEGER, number INTEGER, attempt INTEGER, source TEXT, PRIMARY KEY(round, number))
    WITHOUT ROWID;
CREATE TABLE seen(picture TEXT, round INTEGER, number INTEGER, PRIMARY KEY(picture, round, number)) WITHOUT ROWID;
CREATE TABLE texts(round INTEGER, kind TEXT, block INTEGER, packed BLOB, PRIMARY KEY(round, kind, block));
CREATE TABLE measured(evaluation TEXT, sample TEXT, picture TEXT);
"""
INDICES = """
CREATE INDEX IF NOT EXISTS attempts_by_name ON attempts(name);
CREATE INDEX IF NOT EXISTS attempts_by_sample ON attempts(sample);
CREATE INDEX IF NOT EXISTS rows_by_attempt ON rows(attempt);
CREATE INDEX IF NOT EXISTS measured_by_sample ON measured(sample);
CREATE INDEX IF NOT EXISTS measured_by_picture ON measured(picture);
"""


def open_index(run: str) -> sqlite3.Connection:
    """The index of a run, made or brought up to date first where it must be.

    Raises:
        StoreError: when a table is damaged.
    """
    rounds = _rounds(run)
    try:
        return _current(sqlite3.connect(Path(run) / FILE), run, rounds)
    except sqlite3.DatabaseError:  # a folder that cannot be written, or a file that is no index
        try:
            (Path(run) / FILE).unlink(missing_ok=True)
            return _current(sqlite3.connect(Path(run) / FILE), run, rounds)
        except (OSError, sqlite3.DatabaseError):
            return _current(sqlite3.connect(":memory:"), run, rounds)


def text_of(db: sqlite3.Connection, round: int, table: str, number: int) -> dict[str, Any]:
    """Texts and lists of one row of a round's `examples` or `critiques`."""
    block, at = divmod(number, BLOCK)
    found = db.execute(
        "SELECT packed FROM texts WHERE round = ? AND kind = ? AND block = ?", (round, table, block)
    ).fetchone()
    return dict(json.loads(zlib.decompress(found[0]))[at])


def portable(ref: str) -> str:
    """A picture's name in the index: the SHA-256 of one that the run keeps, else its path."""
    folder, _, name = ref.rpartition("/")
    stem = name.partition(".")[0]
    return stem if len(stem) == 64 and folder.endswith("images") else ref


def _rounds(run: str) -> dict[tuple[str, int], str]:
    """Every round that has attempts or rows, in order of time, with what tells whether its tables have changed."""
    found = {}
    folder = open_run(run)
    for loop in folder.loops:
        for at in folder.points(loop):
            if isinstance(at, int):
                place = RunStore(run, loop).round_folder(at)
                stats = {f.name: f.stat() for f in sorted(place.glob("*.parquet"))}
                if stats:
                    found[loop, at] = json.dumps({name: [s.st_size, s.st_mtime_ns] for name, s in stats.items()})
    return found


def _current(db: sqlite3.Connection, run: str, rounds: dict[tuple[str, int], str]) -> sqlite3.Connection:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    known: list[tuple[str, int, str]] = []
    if version == FORMAT:
        known = db.execute("SELECT loop, round, files FROM rounds ORDER BY id").fetchall()
    now = [(loop, at, files) for (loop, at), files in rounds.items()]
    same = next((i for i, (old, new) in enumerate(zip(known, now, strict=False)) if old != new), len(known))
    if version == FORMAT and len(known) - 1 <= same <= len(now):  # at most the last round has gone on since
        _drop_from(db, same + 1)
    else:  # a table was changed or deleted, or an earlier round came later
        same = 0
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            db.execute(f"DROP TABLE {name}")
        db.executescript(SCHEMA + f"PRAGMA user_version = {FORMAT};")
    todo = now[same:]
    if todo:
        db.execute("PRAGMA synchronous = OFF")  # made anew from the tables if a crash leaves it broken
        for loop, at, files in todo:
            with db:
                _Round(db, run, loop, at).add(files)
        db.executescript(INDICES)
    return db


def _drop_from(db: sqlite3.Connection, number: int) -> None:
    """Leave out a round, and those after it."""
    found = db.execute("SELECT first FROM rounds WHERE id = ?", (number,)).fetchone()
    if found:
        with db:
            for table, column, least in (
                ("attempts", "id", found[0]), ("said", "attempt", found[0]), ("rows", "round", number),
                ("asked", "round", number), ("seen", "round", number), ("texts", "round", number),
                ("rounds", "id", number),
            ):  # fmt: skip
                db.execute(f"DELETE FROM {table} WHERE {column} >= ?", (least,))


class _Round:
    """One round on its way into the index."""

    def __init__(self, db: sqlite3.Connection, run: str, loop: str, at: int):
        self.db, self.loop, self.at = db, loop, at
        self.folder = RunStore(run, loop).round_folder(at)
        self.words = {word: i for i, word in db.execute("SELECT id, word FROM words")}

    def add(self, files: str) -> None:
        (self.id,) = self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM rounds").fetchone()
        (first,) = self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM attempts").fetchone()
        pictures = self._samples()
        names, samples, authors = self._attempts(first, pictures)
        self._said(names)
        count, questions = self._rows(names, samples, pictures)
        self._texts("examples", ROW_TEXTS)
        self._texts("critiques", SAID_TEXTS)
        self._measured()
        made = {table: made_of(self.folder / f"{table}.parquet") for table in ("examples", "critiques")}
        self.db.execute(
            "INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.id, self.loop, self.at, files, first, first + len(names), count, questions, self._kind(),
             json.dumps(authors), json.dumps(made["examples"].get("selector")),
             json.dumps(made["critiques"].get("critics"))),
        )  # fmt: skip

    def _kind(self) -> str:
        path = self.folder / "examples.parquet"
        return kind_of(path) if path.exists() else ""

    def _table(self, name: str, *columns: str) -> Iterator[tuple[Any, ...]]:
        path = self.folder / f"{name}.parquet"
        if path.exists():
            for batch in batches(path, columns):
                yield from zip(*(batch.column(c).to_pylist() for c in columns), strict=True)

    def _word(self, word: str) -> int:
        if word not in self.words:
            self.words[word] = len(self.words) + 1
            self.db.execute("INSERT INTO words VALUES (?, ?)", (self.words[word], word))
        return self.words[word]

    def _sample(self, name: str) -> int:
        found = self.db.execute("SELECT id FROM samples WHERE name = ?", (name,)).fetchone()
        return found[0] if found else self.db.execute("INSERT INTO samples(name) VALUES (?)", (name,)).lastrowid or 0

    def _samples(self) -> dict[str, tuple[int, frozenset[str]]]:
        """Number and pictures of every sample of the round."""
        found, asked, shown = {}, [], []
        for name, question, images, answer in self._table("samples", "id", "question", "images", "answer"):
            refs = [portable(ref) for ref in json.loads(images)]
            number = self._sample(name)
            found[name] = number, frozenset(refs)
            asked.append((self.id, number, question, answer))
            shown += [(ref, number) for ref in refs]
        self.db.executemany("INSERT OR REPLACE INTO asked VALUES (?, ?, ?, ?)", asked)
        self.db.executemany("INSERT OR IGNORE INTO shown VALUES (?, ?)", sorted(shown))
        self.db.executemany("INSERT OR IGNORE INTO pictured VALUES (?, ?)", sorted((n, ref) for ref, n in shown))
        return found

    def _attempts(
        self, first: int, pictures: dict[str, tuple[int, frozenset[str]]]
    ) -> tuple[dict[str, int], list[str], list[str]]:
        """Number of every attempt by its id, its sample's id, and who wrote them."""
        names: dict[str, int] = {}
        samples: list[str] = []
        authors: dict[str, None] = {}

        def lines() -> Iterator[tuple[Any, ...]]:
            wanted = ("id", "sample_id", "author", "sampling", "answer", "parent")
            for name, sample, author, sampling, answer, parent in self._table("trajectories", *wanted):
                number = first + len(samples)
                names[name] = number
                samples.append(sample)
                authors[author] = None
                known = pictures.get(sample)
                which = known[0] if known else self._sample(sample)
                yield number, self.id, name, which, self._word(author), self._word(sampling), answer, parent

        self.db.executemany("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lines())
        return names, samples, list(authors)

    def _said(self, names: dict[str, int]) -> None:
        found = [
            (names[name], self._word(critic), score, row)
            for row, (name, critic, score) in enumerate(self._table("critiques", "trajectory_id", "critic", "score"))
            if name in names
        ]
        found.sort(key=lambda line: (line[0], line[1]))
        self.db.executemany("INSERT INTO said VALUES (?, ?, ?, ?)", found)

    def _rows(
        self, names: dict[str, int], samples: list[str], pictures: dict[str, tuple[int, frozenset[str]]]
    ) -> tuple[int, int]:
        """Training rows with the attempts that they come from: how many, and of how many questions.

        Pictures that only the row shows are noted.
        """
        path = self.folder / "examples.parquet"
        if not path.exists():
            return 0, 0
        prompts = ("prompt", "rejected_prompt") if kind_of(path) == "Preference" else ("prompt",)
        first = min(names.values(), default=0)
        seen: list[tuple[str, int, int]] = []
        count = 0
        asked: set[str] = set()

        def lines() -> Iterator[tuple[Any, ...]]:
            nonlocal count
            for number, (source, *chats) in enumerate(self._table("examples", "source", *prompts)):
                attempt = names.get(source)
                kept = None
                if attempt:
                    asked.add(samples[attempt - first])
                    kept = pictures.get(samples[attempt - first])
                for ref in {portable(json.loads(r)) for chat in chats if chat for r in IMAGE.findall(chat)}:
                    if kept is None or ref not in kept[1]:
                        seen.append((ref, self.id, number))
                count = number + 1
                yield self.id, number, attempt, None if attempt else source

        self.db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", lines())
        self.db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", sorted(seen))
        return count, len(asked)

    def _texts(self, table: str, names: tuple[str, ...]) -> None:
        """What is only shown, packed in blocks: a row of a large table cannot be read by itself."""
        path = self.folder / f"{table}.parquet"
        have = [n for n in names if path.exists() and n in column_names(path)]
        lines = (dict(zip(have, values, strict=True)) for values in self._table(table, *have)) if have else iter(())
        block = 0
        while part := list(islice(lines, BLOCK)):
            packed = zlib.compress(json.dumps(part).encode(), 1)
            self.db.execute("INSERT INTO texts VALUES (?, ?, ?, ?)", (self.id, table, block, packed))
            block += 1

    def _measured(self) -> None:
        """Questions of evaluations, once each: where a forgotten picture is measured on."""
        for path in sorted(self.folder.parent.glob("*/*_samples.parquet")):
            evaluation = path.stem.removesuffix("_samples")
            if not self.db.execute("SELECT 1 FROM measured WHERE evaluation = ? LIMIT 1", (evaluation,)).fetchone():
                lines = [
                    (evaluation, name, portable(ref))
                    for batch in batches(path, ("id", "images"))
                    for name, refs in zip(*(batch.column(c).to_pylist() for c in ("id", "images")), strict=True)
                    for ref in json.loads(refs) or [""]
                ]
                self.db.executemany("INSERT INTO measured VALUES (?, ?, ?)", lines)
