"""The page of two runs beside each other: one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mmevolve.config.errors import ConfigError
from mmevolve.durable import put_text
from mmevolve.report import page, svg
from mmevolve.report.appendix import ORDER, seconds
from mmevolve.report.compare import Shared, Side, names_of, rows_of, shared, worth_comparing
from mmevolve.report.folder import is_run, open_run
from mmevolve.report.markup import esc, figure, legend, section, table
from mmevolve.report.numbers import charted, flows, points
from mmevolve.report.reading import articles
from mmevolve.report.recipe_difference import differences, recipe_of
from mmevolve.report.words import duration, in_points, memory, percent, several
from mmevolve.statistics import mcnemar

MAIN = {
    "accuracy": "Accuracy on held-out questions",
    "pass@1": "pass@1",
    "pass@8": "pass@8",
    "right_answer_wrong_step": "Right answer, wrong step",
}


def write(first: str, second: str) -> Path:
    """Write the page of two runs into the first one's folder, `report_against_<second>.html`, and give its path.

    Raises:
        ConfigError: when a folder holds no run, or both are the same.
    """
    for run in (first, second):
        if not is_run(run):
            raise ConfigError(f"'{run}' is not a run folder: it has no recipe.yaml and no rounds", "report")
    if Path(first).resolve() == Path(second).resolve():
        raise ConfigError(f"'{first}' and '{second}' are the same run: name two", "report")
    return put_text(Path(first) / f"report_against_{Path(second).resolve().name}.html", text(first, second))


def text(first: str, second: str) -> str:
    """The page as HTML text."""
    folders = [open_run(first), open_run(second)]
    sides = [
        Side(name, folder, points(folder)) for name, folder in zip(names_of([first, second]), folders, strict=True)
    ]
    last, start = shared(sides, -1), shared(sides, 0)
    body = [
        "<header class=top><p class=kicker>mmevolve, two runs</p>"
        f"<h1>{esc(sides[0].name)} and {esc(sides[1].name)}</h1>",
        "".join(_unfinished(side) for side in sides),
        headline(sides, last, start),
        "</header>",
        by_round(sides),
        families(sides, last),
        apart(sides, last),
        recipes(sides),
        costs(sides),
        "".join(page.damaged(side.folder) for side in sides),
        "<footer>Written by mmevolve from the tables in the two folders: "
        f"<code>{esc(sides[0].folder.path)}</code> and <code>{esc(sides[1].folder.path)}</code>. Each has its own "
        "<code>report.html</code>.</footer>",
    ]
    return page.whole(f"{sides[0].name} and {sides[1].name}", body)


def _unfinished(side: Side) -> str:
    if (Path(side.folder.path) / "summary.json").exists():
        return ""
    return (
        f'<p class="alert">{esc(side.name)} has not finished, or was stopped early: the page shows what there is.</p>'
    )


def headline(sides: Sequence[Side], last: Shared | None, start: Shared | None) -> str:
    """The difference on shared questions in plain words, at the end and at the start."""
    gap = last.difference() if last is not None else None
    if last is None or gap is None:
        why = (
            "" if last is None else f" {several(last.left_out, 'question')} stood in one run only, or were other ones."
        )
        return (
            '<p class="lead">The two runs share no held-out questions, so this page cannot say which is better. '
            f"Numbers below are of different questions.{why}</p>"
        )
    shares = [sum(side.values()) / last.n for side in last.verdicts]
    ahead = [len(ids) for ids in last.apart()]
    if gap.low <= 0 <= gap.high:
        verdict = "The interval includes zero: these two runs do not show that one is better."
    else:
        verdict = f"The interval leaves out zero: {esc(sides[gap.low > 0].name)} is ahead on these questions."
    left = (
        f" {several(last.left_out, 'other question')} stood in one run only and are left out." if last.left_out else ""
    )
    return (
        f'<p class="big"><span>{percent(shares[0])}</span><i aria-label="beside">|</i>'
        f'<span class="now">{percent(shares[1])}</span></p>'
        f'<p class="lead">Share of the {several(last.n, "held-out question")} that both were asked, answered rightly '
        f"at the end: {esc(sides[0].name)}, then {esc(sides[1].name)}.{left}</p>"
        f'<p class="lead">Difference: <b>{in_points(gap.mean)} points</b>, 95 % interval {in_points(gap.low)} to '
        f"{in_points(gap.high)}, paired by question. {verdict} It is one run of each: another seed is not in it.</p>"
        f"<p>Only {esc(sides[0].name)} was right {several(ahead[0], 'time')}, only {esc(sides[1].name)} "
        f"{several(ahead[1], 'time')}. If neither were better, a split at least as uneven would come up with "
        f"probability {page.story.chance(mcnemar(*ahead))}.</p>{_start(sides, start)}"
    )


def _start(sides: Sequence[Side], start: Shared | None) -> str:
    gap = start.difference() if start is not None else None
    if start is None or gap is None:
        return ""
    shares = [percent(sum(side.values()) / start.n) for side in start.verdicts]
    if not any(start.apart()):
        return f"<p>Before the first round both answered the same questions rightly ({shares[0]}).</p>"
    return (
        f"<p>Before the first round: {shares[0]} and {shares[1]}, a difference of {in_points(gap.mean)} points "
        f"({in_points(gap.low)} to {in_points(gap.high)}).</p>"
    )


def by_round(sides: Sequence[Side]) -> str:
    """Accuracy as two lines, the main numbers side by side, and every other one folded away."""
    names = [side.name for side in sides]
    rows = rows_of([Side(s.name, s.folder, charted(s.points, "accuracy")) for s in sides], "accuracy")
    if not rows:
        return section("Round by round", '<p class="note">Neither run holds a held-out accuracy.</p>')
    lines = [svg.Series(name, [values[i] for _, values in rows]) for i, name in enumerate(names)]
    drawing = svg.lines(lines, [where for where, _ in rows], title="Held-out accuracy of both runs")
    body = legend(names) + figure(drawing, "Share of held-out questions answered rightly, at each measured point.")
    tables = [_side_by_side(sides, number, words) for number, words in MAIN.items()]
    others = sorted({n for s in sides for p in s.points for n in p.numbers} - {*MAIN, "rows"})
    more = "".join(_side_by_side(sides, number, number) for number in others)
    extra = f'<details><summary>Every other number</summary><div class="grid">{more}</div></details>' if more else ""
    return section("Round by round", f'{body}<div class="grid">{"".join(tables)}</div>{extra}')


def _side_by_side(sides: Sequence[Side], number: str, words: str) -> str:
    rows = rows_of(sides, number)
    if not rows:
        return ""
    shares = number in MAIN
    cells = [
        [esc(where), *(_cell(v, shares) for v in values), _gap(values, shares)] for where, values in rows
    ]  # fmt: skip
    heads = [f"{esc(words)}{', %' if shares else ''}", *(_head(side) for side in sides), "difference"]
    return f"<div>{table(heads, cells)}</div>"


def _head(side: Side) -> str:
    """A run's name over a column: it may break where its words meet."""
    return re.sub("([_/-])", r"\1<wbr>", esc(side.name))


def _cell(value: float | None, share: bool) -> str:
    return "–" if value is None else f"{100 * value:.1f}" if share else f"{value:,.3f}".rstrip("0").rstrip(".")


def _gap(values: Sequence[float | None], share: bool) -> str:
    first, second = values
    if first is None or second is None:
        return "–"
    return in_points(second - first) if share else f"{second - first:+,.3f}".rstrip("0").rstrip(".")


def families(sides: Sequence[Side], last: Shared | None) -> str:
    """Both runs by kind of question, at the end."""
    if last is None:
        return ""
    meta = {k: s.meta.get("family") for side in sides for k, s in side.folder.questions(last.evaluation).items()}
    names = list(dict.fromkeys(str(meta[k]) for k in last.verdicts[0] if meta.get(k) is not None))
    if not names:
        return ""
    ids = {name: [k for k in last.verdicts[0] if str(meta.get(k)) == name] for name in names}
    shares = {name: [sum(v[k] for k in alike) / len(alike) for v in last.verdicts] for name, alike in ids.items()}
    picture = svg.pairs(
        [(n.replace("_", " "), a, b) for n, (a, b) in shares.items()], title="Accuracy by kind of question"
    )
    rows = [
        [esc(n), f"{len(ids[n]):,}", percent(a), percent(b), in_points(b - a)] for n, (a, b) in shares.items()
    ]  # fmt: skip
    heads = ["kind", "questions", *(_head(side) for side in sides), "points"]
    return section(
        "By kind of question, at the end",
        legend([side.name for side in sides], kinds=("before", "after"))
        + figure(picture, "Share of right answers to the questions that both were asked.")
        + f"<details><summary>As a table</summary>{table(heads, rows)}</details>",
    )


def apart(sides: Sequence[Side], last: Shared | None) -> str:
    """Ten questions that one run answered and the other did not."""
    title = "Where one is right and the other is not"
    found = worth_comparing(sides, last) if last is not None else []
    if last is None or not found:
        return section(title, '<p class="note">There is no shared question that only one of them answered.</p>')
    all_of_them = sum(map(len, last.apart()))
    words = f"<p>{len(found)} of {several(all_of_them, 'such question')}, of every kind of question in turn.</p>"
    return section(title, words + articles(found), kind="reading")


def recipes(sides: Sequence[Side]) -> str:
    """What the recipes do not have in common."""
    first, second = (recipe_of(side.folder) for side in sides)
    if first is None or second is None:
        missing = [side.name for side, recipe in zip(sides, (first, second), strict=True) if recipe is None]
        note = f"The recipe of {' and of '.join(missing)} cannot be read."
        return section("What the recipes differ in", f'<p class="note">{esc(note)}</p>')
    found = differences(first, second)
    if not found:
        return section("What the recipes differ in", '<p class="note">Nothing: both recipes say the same.</p>')
    items = "".join(
        f"<div><dt><code>{esc(d.key)}</code></dt><dd class=s0><code>{esc(d.first)}</code></dd>"
        f"<dd class=s1><code>{esc(d.second)}</code></dd></div>"
        for d in found
    )
    words = "Comments and order aside; an item of a list goes by its name."
    return section(
        "What the recipes differ in",
        f'{legend([side.name for side in sides])}<dl class="differences">{items}</dl><p class="caption">{words}</p>',
    )


def costs(sides: Sequence[Side]) -> str:
    """Time by kind of work, memory, attempts and rows of both."""
    spent = [_by_kind(side) for side in sides]
    summaries = [side.folder.json("summary.json") for side in sides]
    rounds = [flows(side.folder) for side in sides]
    totals = [s.get("seconds") for s in summaries]
    peaks = [s.get("peak_rss_bytes") for s in summaries]
    rows = [
        [kind, *(duration(by[kind]) if kind in by else "–" for by in spent)]
        for kind in ORDER
        if any(kind in by for by in spent)
    ]
    rows += [
        ["the whole run", *(duration(t) if isinstance(t, int | float) else "–" for t in totals)],
        ["memory at most", *(memory(p) if isinstance(p, int) else "–" for p in peaks)],
        ["rounds trained", *(f"{len(r)}" for r in rounds)],
        ["attempts judged", *(f"{sum(f.attempts for f in r):,}" for r in rounds)],
        ["training rows", *(f"{sum(f.kept for f in r):,}" for r in rounds)],
    ]
    return section("What they cost", table(["", *(_head(side) for side in sides)], rows))


def _by_kind(side: Side) -> dict[str, float]:
    by: dict[str, float] = {}
    for of_loop in seconds(side.folder)[0].values():
        for kind, took in of_loop.items():
            by[kind] = by.get(kind, 0.0) + took
    return by
