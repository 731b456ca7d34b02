"""The run report: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from mmevolve.config.errors import ConfigError
from mmevolve.durable import put_text
from mmevolve.report import appendix, reading, story
from mmevolve.report.alarms import alarms
from mmevolve.report.folder import RunFolder, is_run, open_run
from mmevolve.report.groups import worth_reading
from mmevolve.report.markup import esc
from mmevolve.report.numbers import flows, points

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # a browser then loads nothing and runs nothing


def write(run: str) -> Path:
    """Write `report.html` into a run folder, finished or not, and give its path.

    Raises:
        ConfigError: when the folder holds no run.
    """
    if not is_run(run):
        raise ConfigError(f"'{run}' is not a run folder: it has no recipe.yaml and no rounds", "report")
    return put_text(Path(run) / "report.html", page(open_run(run)))


def page(folder: RunFolder) -> str:
    """The report as HTML text."""
    name = Path(folder.path).resolve().name
    found, rounds = points(folder), flows(folder)
    first = folder.text("recipe.yaml").partition("\n")[0]
    about = first.lstrip("# ").strip() if first.startswith("#") else ""
    body = [
        f"<header class=top><p class=kicker>mmevolve run report</p><h1>{esc(name)}</h1>",
        f"<p class=about>{esc(about)}</p>" if about else "",
        unfinished(folder),
        damaged(folder),
        story.headline(folder, found, rounds),
        "</header>",
        story.the_loop(rounds),
        '<div class="grid">',
        story.accuracy(folder, found),
        story.chances(found),
        story.wrong_steps(found),
        story.by_family(folder),
        "</div>",
        alarms(folder),
        story.all_numbers(found),
        story.where_rows_went(rounds),
        reading.honesty(folder, found),
        reading.groups(worth_reading(folder)),
        appendix.cost(folder),
        appendix.made_of(folder),
        "<footer>Written by mmevolve from the tables in this run's folder. Look further: "
        f"<code>mmevolve show {esc(folder.path)}</code></footer>",
    ]
    return whole(name, body)


def whole(title: str, body: Sequence[str]) -> str:
    """A page with the report's head and style around its sections."""
    style = files("mmevolve.report").joinpath("report.css").read_text(encoding="utf-8")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="color-scheme" content="light dark">'
        f"<title>{esc(title)} · mmevolve</title><style>{style}</style>"
    )
    page = f"<head>{head}</head><body><main>{''.join(body)}</main></body>"
    return f'<!doctype html>\n<html lang="en">{page}</html>\n'


def unfinished(folder: RunFolder) -> str:
    """A sentence for a run that has not ended: what it was doing."""
    if (Path(folder.path) / "summary.json").exists():
        return ""
    doing = [
        f"{loop} {at if isinstance(at, str) else f'round {at}'}"
        for loop in folder.loops
        for at in folder.points(loop)
        if not folder.has(loop, at, "metrics")
    ]
    where = f" It got as far as {doing[-1]}." if doing else ""
    return (
        f'<p class="alert">This run has not finished, or was stopped early.{esc(where)} The page shows what there is. '
        "The same <code>mmevolve run</code> command goes on where it stopped.</p>"
    )


def damaged(folder: RunFolder) -> str:
    """A sentence for every table that could not be read."""
    return "".join(f'<p class="alert">Left out: {esc(what)}.</p>' for what in dict.fromkeys(folder.damaged))
