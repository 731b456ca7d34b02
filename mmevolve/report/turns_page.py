"""The correction page: what a second turn fixed and harmed, as one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from mmevolve.report.markup import esc, figure, legend, section, table
from mmevolve.report.page import POLICY
from mmevolve.report.turns_flow import flow

WAYS = {
    "kept": ("right_both", "right both times"),
    "broken": ("delta_c_to_i", "right, then wrong"),
    "fixed": ("delta_i_to_c", "wrong, then right"),
    "stuck": ("wrong_both", "wrong both times"),
}
FIGURES = {
    "acc_t1": "accuracy, first turn",
    "acc_t2": "accuracy, second turn",
    "delta": "change",
    "delta_i_to_c": "fixed, of all",
    "delta_c_to_i": "broken, of all",
    "cl": "CL: right stays right",
    "cs": "CS: wrong becomes right",
    "rss": "RSS (above 0.5 it helps)",
    "visco_gain": "VISCO gain, CL + CS - 1",
}
ARMS = ("resample", "binary", "first_wrong", "all_wrong", "shuffled")


@dataclass(frozen=True)
class Place:
    """One set of reviewed answers.

    Attributes:
        label: loop, round and evaluation.
        numbers: what the correction metrics count of it, under their own names.
        notes: sentences on what could not be counted.
    """

    label: str
    numbers: Mapping[str, float]
    notes: tuple[str, ...] = ()


def page(name: str, places: Sequence[Place], left_out: Sequence[str] = ()) -> str:
    """The page as HTML text; the same numbers give the same text."""
    style = "".join(
        files("mmevolve.report").joinpath(f).read_text(encoding="utf-8") for f in ("report.css", "turns.css")
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="color-scheme" content="light dark">'
        f"<title>correction {esc(name)} · mmevolve</title><style>{style}</style>"
    )
    about = (
        "What a second turn did to the answers. Brackets hold 95 % intervals; whole questions are resampled, so before "
        "and after stay paired. A dash is a number that is undefined: CL where nothing was right at first, CS where "
        "nothing was wrong."
    )
    title = f"<p class=kicker>mmevolve correction</p><h1>{esc(name)}</h1><p class=about>{about}</p>"
    notes = "".join(f'<p class="alert">Left out: {esc(what)}.</p>' for what in left_out)
    body = "".join(section(place.label, "".join(_parts(place))) for place in places)
    end = "<footer>Written by <code>mmevolve correct</code> from the tables in the run's folder.</footer>"
    inside = f"<head>{head}</head><body><main><header class=top>{title}</header>{notes}{body}{end}</main></body>"
    return f'<!doctype html>\n<html lang="en">{inside}</html>\n'


def _parts(place: Place) -> Iterator[str]:
    n = place.numbers
    if "two_turns/acc_t1" in n:
        first, second = (f"{100 * n[f'two_turns/acc_t{i}']:.1f} %" for i in (1, 2))
        yield f'<p class="big">{first}<i>→</i><span class="now">{second}</span></p>'
        shares = [n[f"two_turns/{key}"] for key, _ in WAYS.values()]
        keys = [f"{kind} {100 * share:.1f} %" for kind, share in zip(WAYS, shares, strict=True)]
        words = (
            f"{n['two_turns/pairs']:.0f} reviewed answers to {n['two_turns/questions']:.0f} questions: "
            + ", ".join(f"{kind} is {means}" for kind, (_, means) in WAYS.items())
        )
        marks = legend(keys, kinds=[f"way-{kind}" for kind in WAYS])
        yield f'<div class="grid"><div>{marks}{figure(flow(*shares), esc(words) + ".")}</div>'
        yield f"<div>{table(['', 'soft', 'interval', 'hard'], list(_figures(n)))}</div></div>"
        yield from _by_part(n)
    yield from _arms(n)
    yield from _lucky(n)
    yield from _gate(n)
    yield from (f'<p class="note">{esc(note)}</p>' for note in place.notes)


def _figures(n: Mapping[str, float]) -> Iterator[list[str]]:
    for key, means in FIGURES.items():
        yield [esc(means), shown(n[f"two_turns/{key}"]), ends(n, f"two_turns/{key}"), shown(n[f"two_turns/hard/{key}"])]


def _by_part(n: Mapping[str, float]) -> Iterator[str]:
    names = [key.split("/")[1] for key in n if key.startswith("two_turns/") and key.endswith("/pairs")]
    for prefix, title in (("", "By kind of question"), ("first_wrong=", "By the kind of the first wrong step")):
        own = [x for x in names if "=" in x and x.startswith(prefix) and (prefix or not x.startswith("first_wrong="))]
        if own:
            rows = [
                [
                    esc(x.partition("=")[2]), f"{n[f'two_turns/{x}/pairs']:.0f}",
                    *(shown(n[f"two_turns/{x}/{key}"]) for key in ("acc_t1", "acc_t2", "delta")),
                    ends(n, f"two_turns/{x}/delta"), *(shown(n[f"two_turns/{x}/{key}"]) for key in ("cl", "cs")),
                ]
                for x in own
            ]  # fmt: skip
            yield f"<h3>{title}</h3>" + table(
                ["", "answers", "first", "second", "change", "interval", "CL", "CS"], rows
            )


def _arms(n: Mapping[str, float]) -> Iterator[str]:
    arms = [arm for arm in ARMS if f"feedback/acc_{arm}" in n]
    if not arms:
        return
    rows = [["first attempt", shown(n["feedback/acc_first"]), "1.00", "-"]]
    rows += [
        [arm.replace("_", " "), *(shown(n[f"feedback/{key}_{arm}"]) for key in ("acc", "attempts", "told"))]
        for arm in arms
    ]
    yield "<h3>What feedback is worth</h3>" + table(["arm", "right", "attempts", "told of steps"], rows)
    for key, words in (("effect", "all wrong steps - resample"), ("content_effect", "all wrong steps - shuffled")):
        name = "feedback effect" if key == "effect" else "content effect"
        yield f"<p>{name} ({words}): {shown(n[f'feedback/{key}'])} {ends(n, f'feedback/{key}')}.</p>"


def _lucky(n: Mapping[str, float]) -> Iterator[str]:
    if not n.get("lucky/corrections") or math.isnan(n["lucky/expected"]):
        return
    yield (
        f"<h3>Lucky guesses</h3><p>Of {n['lucky/corrections']:.0f} corrections one plain attempt each would have got "
        f"{shown(n['lucky/expected'])} {ends(n, 'lucky/expected')}; {shown(n['lucky/as_often'])} are of questions that "
        f"plain attempts get as often. {n['lucky/unaudited']:.0f} have no plain attempts.</p>"
    )


def _gate(n: Mapping[str, float]) -> Iterator[str]:
    if n.get("gate/unusable", 1.0):
        return
    yield (
        f"<h3>Leaving answers alone</h3><p>A gate fitted on other questions leaves {shown(n['gate/left_alone'])} of "
        f"the answers alone: change {shown(n['gate/gain'])} with it, {shown(n['gate/gain_without'])} without, "
        f"{shown(n['gate/saved'])} {ends(n, 'gate/saved')} saved. It avoids {shown(n['gate/harm_avoided'])} of the "
        f"harm and loses {shown(n['gate/fixes_lost'])} of the fixes; AUROC {shown(n['gate/auroc'])}.</p>"
    )


def lines(places: Sequence[Place]) -> Iterator[str]:
    """The pages' main numbers as lines of text."""
    for place in places:
        n = place.numbers
        yield f"\n{place.label}"
        if "two_turns/acc_t1" in n:
            yield f"  {n['two_turns/pairs']:.0f} reviewed answers to {n['two_turns/questions']:.0f} questions"
            for key, means in FIGURES.items():
                yield f"  {means:<28}{shown(n[f'two_turns/{key}']):>7}  {ends(n, f'two_turns/{key}')}"
        for arm in ("first", *ARMS):
            if f"feedback/acc_{arm}" in n:
                yield f"  {f'right, {arm}':<28}{shown(n[f'feedback/acc_{arm}']):>7}"
        for key, means in (
            ("feedback/effect", "feedback effect"), ("feedback/content_effect", "content effect"),
            ("lucky/expected", "lucky, expected share"), ("gate/saved", "saved by leaving alone"),
        ):  # fmt: skip
            if not math.isnan(n.get(key, math.nan)):
                yield f"  {means:<28}{shown(n[key]):>7}  {ends(n, key)}"
        yield from (f"  {note}" for note in place.notes)


def shown(value: float) -> str:
    """A number with three digits, or a dash."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def ends(numbers: Mapping[str, float], key: str) -> str:
    """The interval of a number; empty where there is none."""
    low, high = (numbers.get(f"{key}_{end}", math.nan) for end in ("low", "high"))
    return "" if not (math.isfinite(low) and math.isfinite(high)) else f"[{low:.3f}, {high:.3f}]"
