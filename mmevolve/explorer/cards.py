"""A run as JSON for the page: an index of all attempts, their cards in chunks, and their words for the search."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmevolve.explorer.book import Book, Entry
from mmevolve.explorer.facts import FILTERS
from mmevolve.explorer.why import reasons
from mmevolve.report.groups import Attempt
from mmevolve.report.marks import step_marks
from mmevolve.report.markup import clean
from mmevolve.types import Critique, ImageRef, Sample

CARDS = 200  # attempts of one chunk of cards
WORDS = 5000  # attempts of one chunk of words
UNKNOWN = 255  # in the index, where no step was scored


class Pictures:
    """Every picture of a run under the name that the page asks for it by."""

    def __init__(self, book: Book):
        self.names: dict[ImageRef, str] = {}
        self.refs: dict[str, ImageRef] = {}
        for sample in book.samples:
            for ref in sample.images:
                if ref not in self.names:
                    ending = Path(ref).suffix.lower() if isinstance(ref, str) else ""
                    name = f"p{len(self.names)}{ending if ending in ENDINGS else '.png'}"
                    self.names[ref], self.refs[name] = name, ref


ENDINGS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}


def index(book: Book) -> dict[str, Any]:
    """Everything that the list and its filters need, a column a fact."""
    loose = [_line(warning) for warning in book.damaged]
    return {
        "run": _line(book.name),
        "places": [[_line(p.name), _line(p.label), bool(p.evaluation)] for p in book.places],
        "critics": [_line(c) for c in book.critics],
        "steps": [book.critics.index(c) for c in _step_critics(book)],
        "filters": [list(f) for f in FILTERS],
        "damaged": loose,
        "cards": CARDS,
        "words": WORDS,
        "n": len(book.entries),
        "ids": [_line(e.trajectory.id) for e in book.entries],
        "place": [e.place for e in book.entries],
        "sample": [e.sample for e in book.entries],
        "parent": [e.parent for e in book.entries],
        "flags": [e.facts.bits(trained=bool(e.rows), revision=e.trajectory.parent is not None) for e in book.entries],
        "low": [UNKNOWN if e.facts.low is None else round(100 * min(1.0, max(0.0, e.facts.low))) for e in book.entries],
        "gap": [round(100 * e.facts.gap) for e in book.entries],
    }


def chunk(book: Book, pictures: Pictures, number: int) -> dict[str, Any]:
    """Cards of `CARDS` attempts, and the questions that they answer."""
    part = range(number * CARDS, min(len(book.entries), (number + 1) * CARDS))
    asked = {book.entries[i].sample for i in part}
    return {
        "samples": {str(s): _sample(book.samples[s], pictures) for s in sorted(asked)},
        "cards": [_card(book, i) for i in part],
    }


def words(book: Book, number: int) -> list[str]:
    """What the search looks through, in small letters: ids, question, steps, answers and critiques."""
    return [_words(book, e) for e in book.entries[number * WORDS : (number + 1) * WORDS]]


def chunks(book: Book) -> Iterator[tuple[str, int]]:
    """Kind and number of every chunk."""
    for kind, size in (("c", CARDS), ("w", WORDS)):
        yield from ((kind, i) for i in range(math.ceil(len(book.entries) / size)))


def dumps(value: Any) -> str:
    """JSON that can stand in a script element: no `<`, no line separators, nothing but ASCII, no NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _step_critics(book: Book) -> list[str]:
    """Critics that score steps: the learned ones first, and of these the ones that judged most."""
    verdicts: dict[str, bool] = {}
    judged: dict[str, int] = {}
    for entry in book.entries:
        for c in entry.critiques:
            if c.step_scores:
                verdicts[c.critic] = verdicts.get(c.critic, True) and set(c.step_scores) <= {0.0, 1.0}
                judged[c.critic] = judged.get(c.critic, 0) + 1
    return sorted(verdicts, key=lambda name: (verdicts[name], -judged[name]))


def _sample(sample: Sample, pictures: Pictures) -> dict[str, Any]:
    return {
        "id": _line(sample.id),
        "q": _line(sample.question),
        "a": None if sample.answer is None else _line(sample.answer),
        "o": [_line(c) for c in sample.choices],
        "p": [pictures.names[ref] for ref in sample.images],
        "src": _line(sample.meta.get("family") or sample.source),
    }


def _card(book: Book, number: int) -> dict[str, Any]:
    entry = book.entries[number]
    t = entry.trajectory
    reasons_of = _reasons(entry)
    mean = sum(t.logprobs) / len(t.logprobs) if t.logprobs else None
    made = [["written by", t.author], *([k, v if isinstance(v, str) else json.dumps(v)] for k, v in t.sampling.items())]
    made += [["tokens", str(len(t.token_ids))]] if t.token_ids else []
    made += [["mean log-probability", f"{mean:.3f}"]] if mean is not None else []
    return {
        "a": None if t.answer is None else _line(t.answer),
        "s": [[_line(s.text), s.kind, s.image, [_box(b) for b in s.region]] for s in t.steps],
        "c": [_critique(book, entry, c, reasons_of.get(c.critic)) for c in entry.critiques],
        "up": _line(t.parent) if t.parent else None,
        "alarms": [_line(a) for a in entry.facts.alarms],
        "why": [_line(w) for w in reasons(book, number)],
        "rows": [row.number for row in entry.rows],
        "made": [[_line(k), _line(v)] for k, v in made],
    }


def _reasons(entry: Entry) -> dict[str, list[str]]:
    """Critic -> a word for each step, of critics that write one line a step."""
    steps = step_marks(Attempt("", entry.trajectory, entry.critiques, entry.facts.right))
    lines = {c.critic: len(c.text.splitlines()) for c in entry.critiques if c.text}
    found: dict[str, list[str]] = {}
    for marks in steps:
        for mark in marks:
            if lines.get(mark.critic) == len(steps):
                found.setdefault(mark.critic, []).append(mark.words)
    return found


def _critique(book: Book, entry: Entry, c: Critique, said: list[str] | None) -> list[Any]:
    n = len(entry.trajectory.steps)
    fits = bool(n) and len(c.step_scores) == n
    return [
        book.critics.index(c.critic),
        _number(c.score),
        [_number(s) for s in c.step_scores] if fits else [],
        [_line(word) for word in said or ()],
        "" if said else _line(c.text),
        bool(c.sees_image),
        None if c.error is None else _line(c.error),
    ]


def _box(box: tuple[float, ...]) -> list[float]:
    """A box held within the picture; corners may come in any order."""
    x0, y0, x1, y1 = (min(1.0, max(0.0, v)) if math.isfinite(v) else 0.0 for v in box)
    return [round(v, 4) for v in (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _line(text: object) -> str:
    text = str(text)
    return text if text.isprintable() else clean(text)


def _words(book: Book, entry: Entry) -> str:
    t, s = entry.trajectory, book.samples[entry.sample]
    critiques = dict.fromkeys(c.error or c.text for c in entry.critiques if c.error or c.text)
    parts = [t.id, s.question, *s.choices, *(step.text for step in t.steps), t.answer or "", *critiques]
    return "\n".join(_line(part) for part in parts).lower()
