"""What an evaluation's page shows, taken from what was scored; `report` draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmevolve.benchmarks.controlled import Controlled, asked, heading, readings, verdict
from mmevolve.benchmarks.figures import Figure, chance, shares
from mmevolve.benchmarks.load import Loaded
from mmevolve.benchmarks.read import shown
from mmevolve.benchmarks.rows import value_of
from mmevolve.benchmarks.score import Scored, judge
from mmevolve.benchmarks.spans import Span, spans
from mmevolve.benchmarks.spec import Benchmark
from mmevolve.durable import put_text
from mmevolve.report.evaluation_page import Attempt, Card, Measure, Question, page
from mmevolve.report.evaluation_page import Step as PageStep
from mmevolve.types import ImageRef


@dataclass(frozen=True)
class Done:
    """One benchmark, measured.

    Attributes:
        loaded: its questions.
        author: who answered.
        scored: every response.
        found: the figures.
        controls: the controls that were asked beside it.
        earlier: rows of an earlier evaluation by question and attempt; None when there is nothing to compare with.
        said: the comparison in words.
        pictures: images by question, also of those that were scored without.
    """

    loaded: Loaded
    author: str
    scored: Sequence[Scored]
    found: Sequence[Figure]
    controls: Sequence[Controlled] = ()
    earlier: Mapping[tuple[str, int], Mapping[str, Any]] | None = None
    said: str = ""
    pictures: Mapping[str, tuple[ImageRef, ...]] = field(default_factory=dict)


def write_page(path: Path, done: Sequence[Done]) -> Path:
    """Write the page, whole or not at all; the same results give the same bytes."""
    return put_text(path, page([(_card(d), _questions(d)) for d in done]))


def _card(done: Done) -> Card:
    spec, share = done.loaded.spec, shares(done.scored)
    guess = chance(spec, done.scored)
    facts = [f"{len(done.scored):,} responses"]
    facts += [f"{name} {share[name]:.1%}" for name in ("unparsed", "error")]
    facts += ["chance " + ("not defined" if guess is None else f"{guess:.3f}")]
    notes = [f"Licence {spec.licence}; version {spec.version}; data {done.loaded.place}.", *spec.notes]
    return Card(
        title=done.loaded.label,
        author=done.author,
        facts=tuple(facts),
        measures=tuple(
            Measure(f.name, f.value, f.low, f.high, (f.floor, f.ceiling), f.n, f.clusters) for f in done.found
        ),
        comparison=done.said,
        controls=tuple(
            (
                heading(c),
                tuple(
                    Measure(_spaced(r.name), r.value, r.low, r.high, count=r.count, mean=r.resampled)
                    for r in readings(c)
                ),
                "; ".join((asked(c), *c.notes, *verdict(c))),
            )
            for c in done.controls
        ),
        notes=tuple(notes),
        columns=tuple(spec.by),
    )


def _spaced(name: str) -> str:
    """`accuracy: also blind` for `accuracy/also_blind`, so that it folds in a narrow column."""
    return name.replace("/", ": ").replace("_", " ").replace(": constant", ": always the commonest answer")


def _questions(done: Done) -> list[Question]:
    spec = done.loaded.spec
    beside: dict[str, list[tuple[str, str]]] = {}
    for control in done.controls:
        for s in control.scored:
            link = s.sample.meta["control"]
            name = control.control.name + s.sample.id.removeprefix(f"{link['of']}@{link['name']}")
            beside.setdefault(link["of"], []).append((f"{name}: {shown(s.read) or 'nothing read'}", s.outcome))
    by_question: dict[str, list[Scored]] = {}
    for s in done.scored:
        by_question.setdefault(s.sample.id, []).append(s)
    made = []
    for name, attempts in by_question.items():
        sample = attempts[0].sample
        made.append(
            Question(
                id=name,
                text=sample.question,
                images=sample.images or done.pictures.get(name, ()),
                choices=sample.choices if spec.show_choices or spec.kind != "answer" else (),
                reference=sample.answer,
                labels=tuple(str(value_of(sample, column)) for column in spec.by),
                steps=_steps(done, attempts[0]),
                attempts=tuple(_attempt(spec, s, done.earlier) for s in attempts),
                beside=tuple(beside.get(name, ())),
            )
        )
    return made


def _steps(done: Done, scored: Scored) -> tuple[PageStep, ...]:
    """The steps of a solution that was to be criticised, with what is said of each."""
    if done.loaded.spec.kind != "critique":
        return ()
    meta = scored.sample.meta
    said = scored.read if isinstance(scored.read, tuple) else (None,) * len(meta["steps"])
    return tuple(
        PageStep(text, bool(gold), None if wrong is None else not wrong)
        for text, gold, wrong in zip(meta["steps"], meta["step_labels"], said, strict=True)
    )


def _attempt(spec: Benchmark, s: Scored, earlier: Mapping[tuple[str, int], Mapping[str, Any]] | None) -> Attempt:
    was = earlier.get((s.sample.id, s.index)) if earlier is not None else None
    now = Attempt(s.index, s.response, lambda: spans(s), shown(s.read), s.rule, s.outcome)
    if was is None:
        return now
    before, after = was["outcome"] == "correct", s.outcome == "correct"
    response, read = _text(was, "response"), _text(was, "read")

    def marked() -> Sequence[Span]:
        again = judge(spec, s.sample, response, s.index)
        return spans(again) if shown(again.read) == read else ()  # read by other rules then

    return replace(
        now,
        change=("kept right" if after else "broken") if before else ("fixed" if after else "kept wrong"),
        before=response,
        before_read=read,
        before_outcome=str(was["outcome"]),
        before_marked=marked,
    )


def _text(row: Mapping[str, Any], key: str) -> str | None:
    return None if row.get(key) is None else str(row[key])
