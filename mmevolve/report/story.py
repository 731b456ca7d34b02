"""The story of a run in pictures: what was gained, how the loop works, what changed from round to round."""

from __future__ import annotations

from mmevolve.report import svg
from mmevolve.report.folder import RunFolder
from mmevolve.report.markup import esc, figure, legend, section, table
from mmevolve.report.numbers import (
    HELD_OUT,
    Flow,
    Point,
    changed,
    charted,
    families,
    gain_of,
    held_out,
    held_out_verdicts,
    main_evaluation,
)
from mmevolve.report.words import duration, in_points, memory, percent, several
from mmevolve.statistics import mcnemar, wilson

NONE = "–"  # where there is no number


def headline(folder: RunFolder, points: list[Point], rounds: list[Flow]) -> str:
    """Before, after, the gain in plain words, and what it cost."""
    shares = [p.numbers["accuracy"] for p in points if p.number("accuracy") is not None and not p.undone]
    gain, cost = gain_of(folder), _cost(folder, rounds)
    if not shares:
        return (
            '<p class="lead">This run has no held-out accuracy: nothing was set aside to be measured, or the run '
            f"stopped before the first measurement. So this page cannot say whether the model got better.</p>{cost}"
        )
    if gain is None:
        return (
            f'<p class="big"><span>{percent(shares[0])}</span></p><p class="lead">Share of held-out questions answered '
            f"rightly. It was measured only once, so there is nothing to compare it with yet.</p>{cost}"
        )
    fixed, broken = changed(folder)
    name = main_evaluation(folder)
    whose = "" if name == HELD_OUT else f" of <code>{esc(name)}</code>"
    if gain.low <= 0 <= gain.high:
        verdict = "The interval includes zero: this run alone does not show that training changed the accuracy."
    else:
        verdict = (
            "The interval leaves out zero." if gain.low > 0 else "The model got worse: the interval is below zero."
        )
    return (
        f'<p class="big"><span>{percent(shares[0])}</span><i aria-label="to">→</i>'
        f'<span class="now">{percent(shares[-1])}</span></p>'
        f'<p class="lead">Share of {several(gain.n, "question")}{whose} answered rightly, before and after the model '
        "learned from its own judged answers. None of these questions was used in training.</p>"
        f'<p class="lead">Change: <b>{in_points(gain.mean)} points</b>, 95 % interval {in_points(gain.low)} to '
        f"{in_points(gain.high)}. {verdict}</p>"
        f"<p>{several(fixed, 'question')} went from wrong to right and {broken:,} from right to wrong. If training "
        f"only shuffled the answers, a split at least as uneven would come up with probability "
        f"{chance(mcnemar(fixed, broken))}.</p>{cost}"
    )


def chance(p: float) -> str:
    """A probability as it is said."""
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _cost(folder: RunFolder, rounds: list[Flow]) -> str:
    summary = folder.json("summary.json")
    facts = []
    if isinstance(summary.get("seconds"), int | float):
        facts.append(("time", duration(summary["seconds"])))
    if isinstance(summary.get("peak_rss_bytes"), int):
        facts.append(("memory at most", memory(summary["peak_rss_bytes"])))
    facts.append(("rounds trained", f"{len(rounds)}"))
    facts.append(("attempts judged", f"{sum(f.attempts for f in rounds):,}"))
    cells = "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in facts)
    return f'<dl class="facts">{cells}</dl>'


def the_loop(rounds: list[Flow]) -> str:
    """How a round works, as a picture with the numbers of the last round that taught the policy."""
    last = next((f for f in reversed(rounds) if not f.labels), None)
    numbers, whose = {"measure": "held-out set"}, ""
    if last is not None:
        numbers |= {"questions": f"{last.samples:,}", "attempts": f"{last.attempts:,}", "choose": f"{last.kept:,} kept"}
        numbers |= {"train": f"{last.kept:,} rows", "judge": f"{last.right:,} right" if last.right is not None else ""}
        whose = f" The numbers are those of {esc(last.loop)} round {last.round}."
    words = (
        "<p>The model answers questions about pictures, several times each, and writes its reasoning step by step. "
        "<b>Critics</b> judge the attempts: one compares the answer with the reference answer, others may score every "
        "step. The attempts that are chosen become <b>training rows</b>. The model learns from them, and the next "
        f"round starts from the model that came out.{whose}</p>"
    )
    picture = figure(svg.loop(numbers), "One round. Measuring uses questions that are never trained on.")
    return section("How a round works", f'<div class="grid"><div>{words}</div>{picture}</div>')


def accuracy(folder: RunFolder, points: list[Point]) -> str:
    """Accuracy on the held-out questions, point by point, with Wilson intervals."""
    shown = charted(points, "accuracy")
    if not shown:
        return section("Accuracy, round by round", _nothing("held-out accuracy"))
    places = held_out(folder)
    n = len(held_out_verdicts(folder, *places[0])) if places else 0
    shares = [p.numbers["accuracy"] for p in shown]
    bands = [wilson(round(share * n), n) for share in shares] if n else []
    line = svg.Series("accuracy", shares, [b.low for b in bands], [b.high for b in bands])
    about = (
        f"The band is the 95 % interval of each share by itself (Wilson, {several(n, 'question')}). The change given "
        "at the top compares question by question, and is more exact."
    )
    return section(
        "Accuracy, round by round",
        figure(
            svg.lines([line], [p.where for p in shown], title="Held-out accuracy at each measured point"),
            f"Share of held-out questions answered rightly, one attempt a question. {about if n else ''} Rounds are "
            "counted from 0, as in the run's folders.",
        ),
    )


def all_numbers(points: list[Point]) -> str:
    """Every measured point as a table, without empty columns; the numbers that few people need are folded away."""
    names = ["accuracy", "pass@1", "pass@8", "right_answer_wrong_step"]
    points = [p for p in points if any(v is not None for v in p.numbers.values())]
    if not points:
        return ""
    rows = [[esc(p.where), *(_share(p.number(n)) for n in names), _rows(p)] for p in points]
    rows = [row for row in rows if set(row[1:]) != {NONE}]
    heads = ["percent", "accuracy", "pass@1", "pass@8", "right answer, wrong step", "rows trained on"]
    used = [i for i in range(len(heads)) if any(row[i] != NONE for row in rows)]
    others = sorted(
        {n for p in points for n, v in p.numbers.items() if n not in names and n != "rows" and v is not None}
    )
    more = [[esc(n), *(_plain(p.number(n)) for p in points)] for n in others]
    wide = table(["", *(esc(p.where) for p in points)], more)
    extra = f"<details><summary>Every other number that was measured</summary>{wide}</details>" if others else ""
    shown = table([heads[i] for i in used], [[row[i] for i in used] for row in rows]) if rows else ""
    return section("Every measured point", shown + extra) if shown or extra else ""


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f}"


def _rows(point: Point) -> str:
    return f"{rows:,.0f}" if (rows := point.number("rows")) else NONE


def _plain(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"


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
            "Several attempts are drawn at each of a set of held-out questions. The space between the lines is what "
            "the model can do but does not do reliably: self-training lives on it. If the upper line falls, the model "
            "loses variety.",
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
            "Of the held-out attempts with a right answer, the share in which some step is wrong, by a judge that "
            "knows the picture exactly. Lower is better. Training on answers alone tends to push it up.",
        ),
    )


def where_rows_went(rounds: list[Flow]) -> str:
    """A funnel a round, from questions to training rows."""
    if not rounds:
        return section("Where the attempts went", _nothing("a round with training rows"))
    pictures = []
    for f in rounds:
        steps = [("questions", f.samples), ("attempts", f.attempts)]
        steps += [("right answer", f.right)] if f.right is not None else []
        steps.append(("labelled rows" if f.labels else "training rows", f.kept))
        name = f"{f.loop} round {f.round}"
        share = f"{percent(f.kept / max(1, f.attempts))} of the attempts were trained on."
        share = "These rows teach a critic to score steps, so wrong attempts are needed too." if f.labels else share
        pictures.append(
            figure(svg.funnel(steps, title=f"Where the attempts of {name} went"), f"<b>{esc(name)}</b>. {share}")
        )
    return section("Where the attempts went", f'<div class="grid">{"".join(pictures)}</div>')


def by_family(folder: RunFolder) -> str:
    """Before and after by kind of question."""
    found = families(folder)
    if not found:
        return ""
    picture = svg.pairs(
        [(f.name.replace("_", " "), f.before, f.after) for f in found],
        title="Accuracy by kind of question, before and after",
    )
    fewest = min(f.n for f in found)
    caption = (
        f"Share of right answers at the first and the last measured point; {fewest} questions or more of each kind."
    )
    rows = [
        [esc(f.name), f"{f.n:,}", percent(f.before), percent(f.after), in_points(f.after - f.before)] for f in found
    ]
    numbers = table(["kind", "questions", "before", "after", "points"], rows)
    return section(
        "By kind of question",
        legend(["before", "after"], kinds=("before", "after"))
        + figure(picture, caption)
        + f"<details><summary>As a table</summary>{numbers}</details>",
    )


def _nothing(what: str) -> str:
    return f'<p class="note">Not in this run: {esc(what)}. It was not measured, or the run stopped before.</p>'
