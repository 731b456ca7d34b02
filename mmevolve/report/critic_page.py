"""A critic's evaluation page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from mmevolve.metrics.by_kind import KINDS
from mmevolve.report import svg
from mmevolve.report.markup import esc, figure, section, table
from mmevolve.report.page import POLICY

CURVE = (1, 2, 4, 8, 16, 32, 64)  # attempts to choose from
STEPS = (
    "AUROC: the chance that a right step scores above a wrong one; 0.5 is guessing. AUPRC: of finding wrong steps, "
    "beside what guessing gets. First error: F1 of finding the first wrong step, and none where there is none, at a "
    "threshold of 0.5, and at one tuned on every second question. False alarm: right chains of which a step is called "
    "wrong."
)
KIND = (
    "Steps that say what is seen, that work on it, and that answer; beside each the share of such steps that is wrong."
)
PROBABLE = (
    "ECE: how far scores are from the shares that are true. Overrating: the mean score less the share that is true."
)
JUDGED = "Attempts that the critic gave no score are left out of the numbers above."


@dataclass(frozen=True)
class Block:
    """A table of numbers, one row a place.

    Attributes:
        title: what it is about.
        about: how to read it.
        heads: of the columns.
        rows: place, and a number a column; None where there is none.
    """

    title: str
    about: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


@dataclass(frozen=True)
class Curve:
    """Accuracy of one answer out of k attempts.

    Attributes:
        place: where the attempts are from.
        ks: attempts looked at.
        lines: name -> accuracy at each k.
    """

    place: str
    ks: tuple[int, ...]
    lines: dict[str, tuple[float | None, ...]]


def blocks(name: str, numbers: Mapping[str, Mapping[str, float]]) -> Iterator[Block]:
    """The page's tables: reading of steps, by type of step, scores as probabilities; one row a place that has one."""
    kinds = [(kind, f"step_auroc_{name}_{kind}") for kind in KINDS]
    wanted: dict[tuple[str, str], list[tuple[str, str]]] = {
        ("steps against the oracle", STEPS): [
            ("AUROC", f"step_auroc_{name}"),
            ("AUPRC wrong", f"step_auprc_wrong_{name}"),
            ("(guessing)", f"step_auprc_wrong_{name}_base"),
            ("first error", f"first_error_{name}_f1"),
            ("tuned", f"first_error_{name}_tuned_f1"),
            ("false alarm", f"false_alarm_{name}"),
        ],
        ("AUROC by type of step", KIND): [
            pair for kind, key in kinds for pair in ((kind, key), ("(wrong)", f"{key}_wrong"))
        ],
        ("scores as probabilities", PROBABLE): [
            ("ECE answers", f"ece_{name}_attempts"),
            ("Brier", f"brier_{name}_attempts"),
            ("overrating", f"overrating_{name}_attempts"),
            ("ECE steps", f"ece_{name}_steps"),
            ("Brier steps", f"brier_{name}_steps"),
        ],
        ("what was judged", JUDGED): [("attempts", "attempts"), ("judged", "judged")],
    }
    for (title, about), columns in wanted.items():
        rows = [
            (place, tuple(own.get(key) for _, key in columns))
            for place, own in numbers.items()
            if any(key in own for _, key in columns)
        ]
        if rows:
            yield Block(title, about, tuple(head for head, _ in columns), tuple(rows))


def curves(name: str, numbers: Mapping[str, Mapping[str, float]]) -> Iterator[Curve]:
    """Best-of-N, weighted vote, majority and oracle of each place with several attempts, one column a k."""
    keys = {
        "best of k": f"best_of@{{}}_{name}",
        "weighted vote": f"weighted_vote@{{}}_{name}",
        "majority": "majority@{}",
        "oracle": "oracle@{}",
    }
    for place, own in numbers.items():
        ks = tuple(k for k in CURVE if f"majority@{k}" in own)
        if ks:
            yield Curve(place, ks, {title: tuple(own.get(key.format(k)) for k in ks) for title, key in keys.items()})


def page_lines(name: str, tables: Sequence[Block], curves: Sequence[Curve]) -> list[str]:
    """The critic's evaluation page as lines of text."""
    lines = [f"critic '{name}'"]
    for block in tables:
        wide = max(len(place) for place, _ in block.rows)
        lines += ["", f"{block.title:<{wide}}  " + "  ".join(f"{head:>11}" for head in block.heads)]
        lines += [f"{p:<{wide}}  " + "  ".join(f"{shown(v):>11}" for v in values) for p, values in block.rows]
    for c in curves:
        lines += [
            "",
            f"{c.place}, accuracy of one answer from k",
            f"{'':<14}" + "".join(f"{f'k={k}':>8}" for k in c.ks),
        ]
        lines += [f"{title:<14}" + "".join(f"{shown(v):>8}" for v in values) for title, values in c.lines.items()]
    return lines


def page(name: str, about: Sequence[str], blocks: Sequence[Block], curves: Sequence[Curve]) -> str:
    """The page as HTML text; the same numbers give the same text."""
    style = files("mmevolve.report").joinpath("report.css").read_text(encoding="utf-8")
    parts = [section(b.title, f"<p>{esc(b.about)}</p>" + table(["", *map(esc, b.heads)], _rows(b))) for b in blocks]
    if curves:
        words = (
            "<p>What the critic is worth when one answer is to be chosen out of k attempts: the one that it ranks "
            "highest, and the answer with the most weight. Majority is the vote without it; the oracle knows.</p>"
        )
        parts.append(section("Best of k and weighted vote", words + "".join(map(_curve, curves))))
    if not parts:
        parts = ['<p class="note">There is no number that this critic and these attempts allow.</p>']
    lines = "".join(f"<p class=about>{esc(line)}</p>" for line in about)
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="color-scheme" content="light dark">'
        f"<title>critic {esc(name)} · mmevolve</title><style>{style}</style>"
    )
    top = f"<header class=top><p class=kicker>mmevolve critic evaluation</p><h1>{esc(name)}</h1>{lines}</header>"
    page = f"<head>{head}</head><body><main>{top}{''.join(parts)}</main></body>"
    return f'<!doctype html>\n<html lang="en">{page}</html>\n'


def _rows(block: Block) -> list[list[str]]:
    return [[esc(place), *(esc(shown(value)) for value in values)] for place, values in block.rows]


def _curve(curve: Curve) -> str:
    two = [svg.Series(n, v) for n, v in curve.lines.items() if n in ("best of k", "weighted vote")]
    picture = svg.lines(two, [f"k={k}" for k in curve.ks], title=f"{curve.place}: best of k and weighted vote")
    rows = [[esc(n), *(esc(shown(v)) for v in values)] for n, values in curve.lines.items()]
    numbers = table(["", *(f"k={k}" for k in curve.ks)], rows)
    names = " and ".join(s.name for s in two)
    return figure(picture, f"<b>{esc(curve.place)}</b>: {esc(names)}.") + numbers


def shown(value: float | None) -> str:
    """A number with three digits, or a dash."""
    return "-" if value is None or value != value else f"{value:.3f}"
