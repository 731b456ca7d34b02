"""The story of a run in pictures: what was gained, how the loop works, what changed from round to round."""

from __future__ import annotations

from mmevolve.report import svg
from mmevolve.report.folder import RunFolder
from mmevolve.report.markup import esc, figure, legend, section, table
from mmevolve.report.numbers import Flow, Point, changed, charted, families, flows, gain_of, held_out, held_out_verdicts
from mmevolve.report.words import duration, in_points, memory, percent, several
from mmevolve.statistics import mcnemar, wilson


def headline(folder: RunFolder, points: list[Point]) -> str:
    """Before, after, the gain in plain words, and what it cost."""
    measured = [p for p in points if p.number("accuracy") is not None]
    gain = gain_of(folder)
    if not measured:
        return (
            '<p class="lead">This run has no held-out accuracy: nothing was set aside to be measured, or the run stopped '
            f"before the first measurement. So the page cannot say whether the model got better.</p>{_cost(folder)}"
        )
    first, last = measured[0].numbers["accuracy"], measured[-1].numbers["accuracy"]
    if gain is None:
        return (
            f'<p class="big"><span>{percent(first)}</span></p><p class="lead">Held-out accuracy ({esc(measured[0].where)}). '
            f"It was measured only once, so there is nothing to compare it with yet.</p>{_cost(folder)}"
        )
    fixed, broken = changed(folder)
    verdict = "The interval leaves out zero." if gain.low > 0 else (
        "The interval leaves out zero, on the wrong side: the model got worse."
        if gain.high < 0
        else "The interval includes zero: this run alone does not show that training changed the accuracy."
    )  # fmt: skip
    return (
        f'<p class="big"><span>{percent(first)}</span><i aria-label="to">→</i><span class="now">{percent(last)}</span></p>'
        f'<p class="lead">Share of {several(gain.n, "question")} answered rightly, before and after the model learned from '
        "its own judged answers. None of these questions was used in training.</p>"
        f'<p class="lead">Change: <b>{in_points(gain.mean)} points</b>, 95 % interval {in_points(gain.low)} to '
        f"{in_points(gain.high)}. {verdict} {several(fixed, 'question')} went from wrong to right, {broken:,} from right to "
        f"wrong (if both were equally likely, a split this uneven would come up with probability {_chance(mcnemar(fixed, broken))})."
        f"</p>{_cost(folder)}"
    )


def _chance(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _cost(folder: RunFolder) -> str:
    summary = folder.json("summary.json")
    facts = []
    if isinstance(summary.get("seconds"), int | float):
        facts.append(("time", duration(summary["seconds"])))
    if isinstance(summary.get("peak_rss_bytes"), int):
        facts.append(("memory at most", memory(summary["peak_rss_bytes"])))
    rounds = [f for f in flows(folder)]
    facts.append(("rounds trained", f"{len(rounds)}"))
    facts.append(("attempts judged", f"{sum(f.attempts for f in rounds):,}"))
    return '<dl class="facts">' + "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in facts) + "</dl>"


def the_loop(folder: RunFolder) -> str:
    """How a round works, as a picture with this run's numbers."""
    found = flows(folder)
    last: Flow | None = found[-1] if found else None
    numbers = {
        "questions": f"{last.samples:,}" if last else "",
        "attempts": f"{last.attempts:,}" if last else "",
        "judge": f"{last.right:,} right" if last and last.right is not None else "",
        "choose": f"{last.kept:,} kept" if last else "",
        "train": f"on {last.kept:,} rows" if last else "",
        "measure": "held-out questions",
    }
    whose = f" The numbers are those of {esc(last.loop)} round {last.round}, the last one." if last else ""
    words = (
        "<p>The model answers questions about pictures, several times each, writing its reasoning step by step. "
        "<b>Critics</b> judge the attempts: one compares the answer with the reference answer, others may score every step. "
        "The attempts that pass become <b>training rows</b>, the model learns from them, and the next round starts "
        f"from the model that came out.{whose}</p>"
    )
    return section("How a round works", words + figure(svg.loop(numbers), "One round of the loop."))


def accuracy(folder: RunFolder, points: list[Point]) -> str:
    """Accuracy on the held-out questions, point by point, with Wilson intervals, and all numbers as a table."""
    shown = charted(points, "accuracy")
    counts = {place: len(held_out_verdicts(folder, *place)) for place in held_out(folder)}
    bands = [wilson(round(p.numbers["accuracy"] * n), n) if (n := counts.get((p.loop, p.at))) else None for p in shown]
    body = ""
    if shown:
        line = svg.Series(
            "accuracy",
            [p.numbers["accuracy"] for p in shown],
            [b.low if b else None for b in bands],
            [b.high if b else None for b in bands],
        )
        n = max(counts.values(), default=0)
        body = figure(
            svg.lines([line], [p.where for p in shown], title="Held-out accuracy at each measured point"),
            f"Share of held-out questions answered rightly, one attempt a question. The band is the 95 % interval of each "
            f"share by itself (Wilson, {several(n, 'question')}); the change from first to last, given above, compares "
            "question by question and is more exact. Rounds are counted from 0, as in the run's folders.",
        )
    return section("Accuracy, round by round", (body or _nothing("held-out accuracy")) + _all_numbers(points))


def _all_numbers(points: list[Point]) -> str:
    names = ["accuracy", "pass@1", "pass@8", "right_answer_wrong_step"]
    rows = [
        [esc(p.where), *(percent(v) if (v := p.number(n)) is not None else "–" for n in names), _rows(p)]
        for p in points
    ]
    if not rows:
        return ""
    heads = ["measured", "accuracy", "pass@1", "pass@8", "right answer, wrong step", "rows trained on"]
    others = sorted({n for p in points for n in p.numbers if n not in names and n != "rows"})
    more = [[esc(p.where), *(_plain(p.number(n)) for n in others)] for p in points]
    extra = f"<details><summary>Every other number</summary>{table(['measured', *map(esc, others)], more)}</details>"
    return table(heads, rows) + (extra if others else "")


def _rows(point: Point) -> str:
    return f"{rows:,.0f}" if (rows := point.number("rows")) else "–"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"


def chances(points: list[Point]) -> str:
    """pass@1 and pass@8: what one attempt and the best of eight can do."""
    shown = [p for p in charted(points, "pass@1") if p.number("pass@8") is not None]
    if not shown:
        return section("One attempt, eight attempts", _nothing("pass@1 and pass@8"))
    names = ["pass@8: at least one of eight is right", "pass@1: a single attempt is right"]
    lines = [svg.Series(n, [p.numbers[k] for p in shown]) for n, k in zip(names, ("pass@8", "pass@1"), strict=True)]
    return section(
        "One attempt, eight attempts",
        legend(names)
        + figure(
            svg.lines(lines, [p.where for p in shown], title="pass@1 and pass@8 at each measured point"),
            "Eight attempts are drawn at each held-out question. The space between the lines is what the model can do but "
            "does not do reliably: self-training lives on it. If the upper line falls, the model is losing variety.",
        ),
    )


def wrong_steps(points: list[Point]) -> str:
    """Right answers that rest on a wrong step."""
    name = "right_answer_wrong_step"
    shown = charted(points, name)
    if not shown:
        return section("Right answers for a wrong reason", _nothing("the share of right answers with a wrong step"))
    line = svg.Series("share", [p.numbers[name] for p in shown])
    return section(
        "Right answers for a wrong reason",
        figure(
            svg.lines([line], [p.where for p in shown], title="Share of right answers with a wrong step"),
            "Of the held-out attempts with a right answer, the share in which some step is wrong, by a judge that knows "
            "the picture exactly. Lower is better: a model that is paid for answers alone tends to drift upwards.",
        ),
    )


def where_rows_went(folder: RunFolder) -> str:
    """A funnel a round, from questions to training rows."""
    found = flows(folder)
    if not found:
        return section("Where the attempts went", _nothing("a round with training rows"))
    pictures = []
    for f in found:
        steps = [("questions", f.samples), ("attempts", f.attempts)]
        steps += [("right answer", f.right)] if f.right is not None else []
        steps.append(("training rows", f.kept))
        share = f"{percent(f.kept / f.attempts)} of the attempts were trained on." if f.attempts else "No attempts."
        name = f"{f.loop} round {f.round}"
        pictures.append(
            figure(svg.funnel(steps, title=f"Where the attempts of {name} went"), f"<b>{esc(name)}</b>. {share}")
        )
    return section("Where the attempts went", f'<div class="grid">{"".join(pictures)}</div>')


def by_family(folder: RunFolder) -> str:
    """Before and after by kind of question."""
    found = families(folder)
    if not found:
        return ""
    rows = [(f.name.replace("_", " "), f.before, f.after) for f in found]
    counts = [
        [esc(f.name), f"{f.n:,}", percent(f.before), percent(f.after), in_points(f.after - f.before)] for f in found
    ]
    picture = figure(
        svg.pairs(rows, title="Accuracy by kind of question, before and after"),
        "Share of right answers by kind of question, first and last measured point. Few questions a kind: read small "
        "differences as noise.",
    )
    heads = ["kind", "questions", "before", "after", "points"]
    return section("By kind of question", legend(["before", "after"]).replace("s0", "before").replace("s1", "after") + picture
                   + f"<details><summary>As a table</summary>{table(heads, counts)}</details>", kind="families")  # fmt: skip


def _nothing(what: str) -> str:
    return f'<p class="note">This run holds no {esc(what)}: it was not measured, or the run stopped before.</p>'
