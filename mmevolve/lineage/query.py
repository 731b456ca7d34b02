"""Questions about a run's lineage: a training row, an attempt, a checkpoint, a picture; answers as plain JSON."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from typing import Any

from mmevolve.config.errors import ConfigError
from mmevolve.lineage.graph import Name, Round, above, below, called, checkpoint_of, rounds_of
from mmevolve.lineage.index import open_index, portable, text_of
from mmevolve.lineage.names import near_attempt, near_picture, near_round, parse
from mmevolve.report.folder import is_run

SHORTEST = 6  # letters of a SHA-256 that may stand for it


class Lineage:
    """A run's lineage, with its index open.

    Args:
        run: the run folder.

    Raises:
        ConfigError: when the folder holds no run.
        StoreError: when a table is damaged.
    """

    def __init__(self, run: str):
        if not is_run(run):
            raise ConfigError(f"'{run}' is not a run folder: it has no recipe.yaml and no rounds", "lineage")
        self.run = run
        self.db: sqlite3.Connection = open_index(run)
        self.rounds: list[Round] = rounds_of(run, self.db)
        self.by_name = {r.name: r for r in self.rounds}
        self.by_id = {r.id: r for r in self.rounds}

    def trace(self, what: str) -> dict[str, Any]:
        """What made a row, or the rows of an attempt, or what a checkpoint was trained on.

        Args:
            what: `evolve/1/17` or `evolve/round=001/17` is a row, `evolve/round=001` a checkpoint, anything else the id
                of an attempt.

        Raises:
            ConfigError: when there is no such row, checkpoint or attempt; it names the nearest.
        """
        loops = {r.name[0] for r in self.rounds}
        place = parse(what, loops)
        if place is not None:
            loop, at, number = place
            if (loop, at) not in self.by_name:
                raise ConfigError(near_round(what, loop, at, list(self.by_name)), "trace")
            return self.checkpoint((loop, at)) if number is None else self.row((loop, at), number)
        found = self.db.execute(
            "SELECT a.id, a.round, r.number FROM attempts a LEFT JOIN rows r ON r.attempt = a.id WHERE a.name = ?",
            (what,),
        ).fetchall()
        if not found:
            raise ConfigError(near_attempt(self.db, what, loops), "trace")
        rows = [self.row(self.by_id[at].name, number) for _, at, number in found if number is not None]
        attempts = {i: {**self._attempt(i), "critiques": self._critiques(i, self.by_id[at])} for i, at, _ in found}
        return {"what": "attempt", "id": what, "rows": rows, "attempts": list(attempts.values())}

    def row(self, name: Name, number: int) -> dict[str, Any]:
        """What made one training row.

        Raises:
            ConfigError: when the round has no such row.
        """
        at = self.by_name[name]
        line = self.db.execute(
            "SELECT attempt, source FROM rows WHERE round = ? AND number = ?", (at.id, number)
        ).fetchone()
        if line is None:
            last = f"the last is {at.called}/{at.rows - 1}" if at.rows else "it selected none"
            raise ConfigError(f"{self.run} has no row {at.called}/{number}: {last}", "trace")
        attempt, source = line
        (selector,) = self.db.execute("SELECT selector FROM rounds WHERE id = ?", (at.id,)).fetchone()
        text = {k: _plain(v) for k, v in text_of(self.db, at.id, "examples", number).items() if v is not None}
        made = self._attempt(attempt) if attempt else {"id": source, "missing": True} if source else None
        return {
            "what": "row",
            "row": f"{at.called}/{number}",
            "kind": at.kind,
            "text": text,
            "attempt": made,
            "critiques": self._critiques(attempt, at) if attempt else [],
            "selector": json.loads(selector) if selector else None,
            "trained": [called(n) for n in above(name, self.rounds)] if at.trained else [],
            "pictures_of_row": self._seen(at.id, number),
        }

    def checkpoint(self, name: Name) -> dict[str, Any]:
        """Which rows a checkpoint was trained on, its own and those of the checkpoints it goes on from."""
        at = self.by_name[name]
        chain = list(below(name, self.rounds))
        return {
            "what": "checkpoint",
            "checkpoint": at.called,
            "trained": at.trained,
            "rows": [
                {
                    "round": r.called,
                    "kind": r.kind,
                    "questions": r.questions,
                    "n": r.rows,
                    "first": f"{r.called}/0",
                    "last": f"{r.called}/{r.rows - 1}",
                }
                for r in chain
                if r.rows
            ],
            "n": sum(r.rows for r in chain),
            "goes_on_from": called(at.goes_on_from) if at.goes_on_from else None,
            "attempts_by": [called(n) for n in at.authors],
            "judged_with": [called(n) for n in at.judges],
            "used_by": [r.called for r in self.rounds if name in r.authors or name in r.judges],
        }

    def forget(self, image: str) -> dict[str, Any]:
        """What would have to be redone without a picture, or without a sample: rows, rounds and checkpoints.

        A round whose attempts were written or judged by a checkpoint that must be trained again is done again as a
        whole; one that only has rows of the picture is selected and trained again.

        Args:
            image: a picture's file, its SHA-256 or the beginning of it, or the id of a sample.

        Raises:
            ConfigError: when the run never saw it; it names the nearest.
        """
        pictures, samples, names = self._named(image)
        marks = ",".join("?" * len(samples))
        rows = self.db.execute(
            f"SELECT r.round, r.number FROM attempts a JOIN rows r ON r.attempt = a.id WHERE a.sample IN ({marks}) "
            f"UNION SELECT round, number FROM seen WHERE picture IN ({','.join('?' * len(pictures))}) ORDER BY 1, 2",
            (*samples, *pictures),
        ).fetchall()
        counts = dict(
            self.db.execute(
                f"SELECT round, count(*) FROM attempts WHERE sample IN ({marks}) GROUP BY round", tuple(samples)
            ).fetchall()
        )
        own = Counter(at for at, _ in rows)
        bad: list[Name] = []
        todo = []
        for r in self.rounds:
            written, judged = ([n for n in some if n in bad] for some in (r.authors, r.judges))
            mine = own[r.id]
            if r.trained and (written or judged or mine or r.goes_on_from in bad):
                bad.append(r.name)
            if written:
                why = f"its attempts rest on {called(written[-1])}"
                todo.append(self._todo(r, "sample, judge, select and train again", why))
            elif judged:
                why = f"its critiques rest on {called(judged[-1])}"
                todo.append(self._todo(r, "judge, select and train again", why))
            elif mine:
                todo.append(self._todo(r, "select and train again", f"{mine} of its {r.rows} rows"))
            elif r.name in bad:
                todo.append(self._todo(r, "train again", f"it goes on from {called(r.goes_on_from or r.name)}"))
            elif counts.get(r.id):
                todo.append(self._todo(r, "leave the attempts out", "none became a row"))
        return {
            "what": "forget",
            "pictures": sorted(pictures),
            "samples": sorted(names),
            "attempts": sum(counts.values()),
            "rows": [f"{self.by_id[at].called}/{number}" for at, number in rows],
            "checkpoints": [called(n) for n in bad],
            "rounds": todo,
            "evaluations": self._evaluations(pictures, names),
        }

    def _todo(self, r: Round, action: str, why: str) -> dict[str, Any]:
        return {"round": r.called, "action": action, "why": why, "attempts": r.attempts, "rows": r.rows}

    def _named(self, image: str) -> tuple[set[str], list[int], set[str]]:
        """Pictures that are meant, and numbers and ids of their samples."""
        sample = self.db.execute("SELECT id FROM samples WHERE name = ?", (image,)).fetchone()
        if sample or self._evaluations(set(), {image}):
            return set(), list(sample or ()), {image}
        ref = portable(image) if "/" in image else image.partition(".")[0] if len(image) > 64 else image
        pictures = self._pictures("= ?", ref) or self._pictures("= ?", image)
        if not pictures and len(ref) >= SHORTEST:
            pictures = self._pictures("BETWEEN ? AND ?", ref, ref + "\uffff")
            if len(pictures) > 1:
                raise ConfigError(
                    f"several pictures begin with '{ref}': {' and '.join(sorted(pictures)[:2])}", "forget"
                )
        if not pictures:
            raise ConfigError(near_picture(self.db, self.run, image), "forget")
        found = self.db.execute(
            "SELECT DISTINCT s.id, s.name FROM shown p JOIN samples s ON s.id = p.sample WHERE p.picture = ?",
            [*pictures],
        ).fetchall()
        return pictures, [number for number, _ in found], {name for _, name in found}

    def _pictures(self, condition: str, *values: str) -> set[str]:
        tables = ("shown", "seen", "measured")
        asked = " UNION ".join(f"SELECT picture FROM {table} WHERE picture {condition}" for table in tables)
        return {picture for (picture,) in self.db.execute(f"{asked} LIMIT 3", values * len(tables))}

    def _attempt(self, number: int) -> dict[str, Any]:
        name, sample, author, sampling, answer, parent, at = self.db.execute(
            "SELECT a.name, s.name, w.word, k.word, a.answer, a.parent, a.round FROM attempts a "
            "JOIN samples s ON s.id = a.sample JOIN words w ON w.id = a.author "
            "JOIN words k ON k.id = a.sampling WHERE a.id = ?", (number,),
        ).fetchone()  # fmt: skip
        question = self.db.execute(
            "SELECT question, reference FROM asked q JOIN attempts a ON a.round = q.round AND a.sample = q.sample "
            "WHERE a.id = ?", (number,),
        ).fetchone()  # fmt: skip
        pictures = self.db.execute(
            "SELECT p.picture FROM pictured p JOIN attempts a ON a.sample = p.sample WHERE a.id = ?", (number,)
        ).fetchall()
        knobs = json.loads(sampling)
        checkpoint = checkpoint_of(author)
        return {
            "id": name,
            "round": self.by_id[at].called,
            "sample": sample,
            "question": question[0] if question else None,
            "reference": question[1] if question else None,
            "pictures": [p for (p,) in pictures],
            "author": author,
            "checkpoint": called(checkpoint) if checkpoint else None,
            "prompt": knobs.get("prompt"),
            "seed": knobs.get("seed"),
            "sampling": knobs,
            "answer": answer,
            "parent": parent,
        }

    def _critiques(self, attempt: int, at: Round) -> list[dict[str, Any]]:
        (critics,) = self.db.execute("SELECT critics FROM rounds WHERE id = ?", (at.id,)).fetchone()
        settings = {c.get("name"): c for c in json.loads(critics) or [] if isinstance(c, dict)}
        lines = self.db.execute(
            "SELECT w.word, d.score, d.row FROM said d JOIN words w ON w.id = d.critic WHERE d.attempt = ? "
            "ORDER BY d.row",
            (attempt,),
        ).fetchall()
        found = []
        for critic, score, row in lines:
            texts = {k: _plain(v) for k, v in text_of(self.db, at.id, "critiques", row).items()}
            found.append({"critic": critic, "score": _plain(score), **texts, "settings": settings.get(critic)})
        return found

    def _seen(self, at: int, number: int) -> list[str]:
        lines = self.db.execute("SELECT picture FROM seen WHERE round = ? AND number = ?", (at, number))
        return [picture for (picture,) in lines]

    def _evaluations(self, pictures: set[str], samples: set[str]) -> list[dict[str, str]]:
        """Questions of evaluations that are one of the samples or show one of the pictures."""
        found = self.db.execute(
            f"SELECT DISTINCT evaluation, sample FROM measured WHERE sample IN ({','.join('?' * len(samples))}) "
            f"OR picture IN ({','.join('?' * len(pictures))}) ORDER BY 1, 2", (*samples, *pictures),
        )  # fmt: skip
        return [{"evaluation": evaluation, "sample": sample} for evaluation, sample in found]


def _plain(value: Any) -> Any:
    """JSON has no NaN: a step without a label has None."""
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
