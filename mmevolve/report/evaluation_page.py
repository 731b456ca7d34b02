"""The page of an evaluation or a comparison: its figures, and every response with the place of the answer marked.

One HTML file without a network: pictures stand in it, and the one script that filters is allowed by its digest, so that
nothing that a model wrote can run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from mmevolve.report.evaluation_cards import Card, Measure, card_section
from mmevolve.report.markup import esc, section
from mmevolve.report.thumbnail import Album
from mmevolve.report.words import several
from mmevolve.types import ImageRef

__all__ = ["Attempt", "Card", "Measure", "Question", "Step", "page"]
PICTURES = 8_000_000  # bytes of pictures in one page
WORDS = 8_000_000  # characters of questions and responses in one page
LONGEST = 8_000  # characters of one response
KEPT = 3_000  # of a longer one, at both ends; around the answer, a sixth of it
FIRST = ("fixed", "broken", "error", "unparsed", "wrong", "correct")  # what is shown first where not all fits
SIGNS = {"correct": ("✓ correct", "good"), "wrong": ("✗ wrong", "bad"), "unparsed": ("? unparsed", "odd")}
SIGNS["error"] = ("! error", "odd")
Span = tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One step of a given solution.

    Attributes:
        text: the step.
        right: what the reference says of it.
        said: what the response says of it; None when it could not be read.
    """

    text: str
    right: bool
    said: bool | None


@dataclass(frozen=True)
class Attempt:
    """One response.

    Attributes:
        index: number of the attempt.
        response: the text; None when there is none.
        marked: gives the character spans in which the answer stands; asked only of responses that are shown.
        read: what was read in it; None when nothing was.
        rule: the rule that read it.
        outcome: correct, wrong, unparsed or error.
        change: fixed, broken, kept right or kept wrong since an earlier evaluation; empty without one.
        before: the earlier response.
        before_read: what was read in that.
        before_outcome: its outcome; empty without one.
        before_marked: as `marked`, of the earlier response.
    """

    index: int
    response: str | None
    marked: Callable[[], Sequence[Span]]
    read: str | None
    rule: str
    outcome: str
    change: str = ""
    before: str | None = None
    before_read: str | None = None
    before_outcome: str = ""
    before_marked: Callable[[], Sequence[Span]] = tuple


@dataclass(frozen=True)
class Question:
    """One question with its responses.

    Attributes:
        id: its name.
        text: the question.
        images: its pictures.
        choices: its options; empty where the question holds them.
        reference: the reference answer.
        labels: values of the card's columns.
        steps: of a solution that was to be criticised.
        attempts: the responses.
        beside: what was read under controls, with the outcome.
    """

    id: str
    text: str
    images: tuple[ImageRef, ...]
    choices: tuple[str, ...]
    reference: str | None
    labels: tuple[str, ...]
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...]
    beside: tuple[tuple[str, str], ...] = ()


def page(
    evaluations: Sequence[tuple[Card, Sequence[Question]]], *, pictures: int = PICTURES, words: int = WORDS
) -> str:
    """The page as HTML text; the same evaluations give the same text.

    Args:
        evaluations: each benchmark's figures and questions.
        pictures: bytes of pictures at most.
        words: characters of questions and responses at most.
    """
    title = ", ".join(card.title for card, _ in evaluations)
    compared = any(card.comparison for card, _ in evaluations)
    every = [(at, question) for at, (_, asked) in enumerate(evaluations) for question in asked]
    shown, album = _chosen(every, words), Album(pictures)
    drawn = {i: _pictures(every[i][1], album) for i in shown}  # those that matter most are first to have a picture
    columns = list(dict.fromkeys(column for card, _ in evaluations for column in card.columns))
    articles = "".join(_article(i, *every[i], evaluations[every[i][0]][0], columns, drawn[i]) for i in sorted(shown))
    kind = "comparison" if compared else "evaluation"
    body = [
        f"<header class=top><p class=kicker>mmevolve {kind}</p><h1>{esc(title)}</h1></header>",
        *(card_section(card, alone=len(evaluations) == 1) for card, _ in evaluations),
        section(
            "Responses",
            f"{_left_out(len(every), len(shown), album)}{_filters(evaluations, columns)}{articles}",
            kind="responses",
        ),
        "<footer>Written by mmevolve eval. Every response, whether shown or not, is in results.jsonl.</footer>",
    ]
    room = files("mmevolve.report")
    style = "".join(room.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "evaluation.css"))
    script = room.joinpath("evaluation.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="color-scheme" content="light dark">'
        f"<title>{esc(title)} · mmevolve</title><style>{style}</style>"
    )
    whole = f"<head>{head}</head><body><main>{''.join(body)}</main><script>{script}</script></body>"
    return f'<!doctype html>\n<html lang="en">{whole}</html>\n'


def _chosen(every: Sequence[tuple[int, Question]], words: int) -> list[int]:
    """Places of the questions that fit, what changed and what went wrong first."""

    def urgency(i: int) -> int:
        said = {a.outcome for a in every[i][1].attempts} | {a.change for a in every[i][1].attempts}
        return next((rank for rank, word in enumerate(FIRST) if word in said), len(FIRST))

    chosen, left = [], words
    for i in sorted(range(len(every)), key=urgency):
        question = every[i][1]
        texts = [text for a in question.attempts for text in (a.response, a.before) if text]
        left -= len(question.text) + sum(min(len(text), LONGEST) for text in texts)
        if left < 0:
            break
        chosen.append(i)
    return chosen


def _left_out(there: int, shown: int, album: Album) -> str:
    said = []
    if shown < there:
        said.append(
            f"{shown:,} of {there:,} questions are shown, those first that changed, could not be read or are wrong; "
            "the rest would make the page too long."
        )
    if album.omitted:
        said.append(f"{several(album.omitted, 'picture')} would make the page too large and are left out.")
    return f'<p class="note">{" ".join(said)}</p>' if said else ""


def _pictures(question: Question, album: Album) -> str:
    return "".join(album.show(ref) for ref in question.images)


def _filters(evaluations: Sequence[tuple[Card, Sequence[Question]]], columns: Sequence[str]) -> str:
    """Menus of what there is; hidden until the script is there to serve them."""
    attempts = [a for _, asked in evaluations for question in asked for a in question.attempts]
    menus = [("outcome", "outcome", sorted({a.outcome for a in attempts}, key=list(SIGNS).index))]
    menus.append(("change", "change", sorted({a.change for a in attempts if a.change})))
    menus.append(("benchmark", "benchmark", [card.title for card, _ in evaluations]))
    for number, column in enumerate(columns):
        values = {
            question.labels[card.columns.index(column)]
            for card, asked in evaluations
            if column in card.columns
            for question in asked
        }
        menus.append((f"column{number}", column, sorted(values)))
    found = ""
    for name, label, values in menus:
        if len(values) > 1:
            options = "".join(f'<option value="{esc(value)}">{esc(value)}</option>' for value in values)
            found += (
                f'<label>{esc(label)} <select name="{name}"><option value="">all</option>{options}</select></label>'
            )
    return (
        f'<form id="filters" hidden>{found}<label>search <input type="search" placeholder="in all that is shown" />'
        '</label><button type="reset">clear</button><output></output></form>'
    )


def _article(number: int, at: int, question: Question, card: Card, columns: Sequence[str], pictures: str) -> str:
    q = question
    options = "".join(f"<li>{esc(choice)}</li>" for choice in q.choices)
    labels = dict(zip(card.columns, q.labels, strict=True))
    facts: dict[str, list[str]] = {
        "outcome": [a.outcome for a in q.attempts],
        "change": [a.change for a in q.attempts if a.change],
        "benchmark": [card.title],
    }
    facts |= {f"column{i}": [labels[column]] for i, column in enumerate(columns) if column in labels}
    data = "".join(f' data-{name}="{esc(json.dumps(values))}"' for name, values in facts.items())
    reference = f'<p>Reference answer: <b class="answer">{esc(q.reference)}</b></p>' if q.reference is not None else ""
    where = " · ".join([q.id, *(f"{column} {value}" for column, value in labels.items())])
    beside = "".join(
        f'<span class="mark {SIGNS[outcome][1]}">{esc(said)} <b>{SIGNS[outcome][0][0]}</b></span> '
        for said, outcome in q.beside
    )
    attempts = "".join(_attempt(a, numbered=len(q.attempts) > 1) for a in q.attempts)
    return (
        f'<article id="q{number}"{data}><header>{f"<div class=pictures>{pictures}</div>" if pictures else ""}'
        f'<div><p class="question">{esc(q.text)}</p>{f"<ol type=A>{options}</ol>" if options else ""}{reference}'
        f'<p class="where">{esc(where)}</p></div></header>{_steps(q.steps)}{attempts}'
        f"{f'<p class=whole>under controls {beside}</p>' if beside else ''}</article>"
    )


def _steps(steps: Sequence[Step]) -> str:
    """A given solution: of each step whether it is right, and whether the response says so."""
    if not steps:
        return ""
    sign = {True: "✓", False: "✗", None: "?"}
    rows = "".join(
        f'<li><span class="step">{esc(s.text)}</span><span class="marks">'
        f'<span class="mark {"good" if s.right else "bad"}">reference <b>{sign[s.right]}</b></span>'
        f'<span class="mark {"good" if s.said else "bad"}">response <b>{sign[s.said]}</b></span></span></li>'
        for s in steps
    )
    return f'<ol class="steps">{rows}</ol>'


def _attempt(a: Attempt, *, numbered: bool) -> str:
    """A response, beside the earlier one where there is one."""
    name = f"attempt {a.index + 1}" if numbered else "response"
    tag = f' <span class="kept">{esc(a.change)}</span>' if a.change else ""
    by = f' <span class="where">read by {esc(a.rule)}</span>' if a.rule else ""
    now = _said(f"{name}{' now' if a.change else ''}", a.response, a.marked(), a.read, a.outcome, f"{by}{tag}")
    if not a.before_outcome:
        return f'<div class="attempt">{now}</div>'
    before = _said(f"{name} before", a.before, a.before_marked(), a.before_read, a.before_outcome, "")
    return f'<div class="attempt pair"><div>{before}</div><div>{now}</div></div>'


def _said(name: str, text: str | None, spans: Sequence[Span], read: str | None, outcome: str, more: str) -> str:
    sign, tone = SIGNS.get(outcome, (outcome, ""))
    answer = "no answer read" if read is None else f"read <b>{esc(read)}</b>"
    verdict = f'<span class="{tone}">{esc(sign)}</span><span>{answer}</span>'
    head = f'<p class="head"><span>{esc(name)}</span>{verdict}{more}</p>'
    words = (
        '<p class="note">There is no text.</p>' if not text else f'<div class="response">{marked(text, spans)}</div>'
    )
    return head + words


def marked(text: str, spans: Sequence[Span], *, longest: int = LONGEST, kept: int = KEPT) -> str:
    """A response with the spans marked; of a long one both ends and what stands around the spans."""
    around = kept // 6
    parts = [(0, len(text))]
    if len(text) > longest:
        parts = [(0, kept), (len(text) - kept, len(text))]
        parts = _merged([*parts, *((max(0, s - around), min(len(text), e + around)) for s, e in spans)])
    out, last = "", 0
    for start, end in parts:
        if start > last:
            out += f'<span class="cut"> … {start - last:,} characters … </span>'
        at = start
        for s, e in sorted(spans):
            if at <= s and e <= end:
                out += f"{esc(text[at:s])}<mark>{esc(text[s:e])}</mark>"
                at = e
        out, last = out + esc(text[at:end]), end
    return out


def _merged(parts: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(parts):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
