"""The run report: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from mmevolve.config.errors import ConfigError
from mmevolve.report import appendix, reading, story
from mmevolve.report.folder import RunFolder, is_run, open_run
from mmevolve.report.groups import examples_worth_reading
from mmevolve.report.markup import esc
from mmevolve.report.numbers import points

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # a browser then loads nothing and runs nothing


def write(run: str) -> Path:
    """Write `report.html` into a run folder, finished or not, and give its path.

    Raises:
        ConfigError: when the folder holds no run.
    """
    if not is_run(run):
        raise ConfigError(f"'{run}' is not a run folder: it has no recipe.yaml and no rounds", "report")
    file = Path(run) / "report.html"
    aside = file.with_suffix(".html.tmp")
    aside.write_text(page(open_run(run)), encoding="utf-8")
    os.replace(aside, file)
    return file


def page(folder: RunFolder) -> str:
    """The report as HTML text."""
    name = Path(folder.path).resolve().name
    found = points(folder)
    style = files("mmevolve.report").joinpath("report.css").read_text(encoding="utf-8")
    about = next(
        (line.lstrip("# ").strip() for line in folder.text("recipe.yaml").splitlines() if line.startswith("#")), ""
    )
    body = [
        f"<header class=top><p class=kicker>mmevolve run report</p><h1>{esc(name)}</h1>",
        f"<p class=about>{esc(about)}</p>" if about else "",
        unfinished(folder),
        story.headline(folder, found),
        "</header>",
        story.the_loop(folder),
        '<div class="grid">',
        story.accuracy(folder, found),
        story.chances(found),
        story.wrong_steps(found),
        story.by_family(folder),
        "</div>",
        story.where_rows_went(folder),
        reading.honesty(folder, found),
        reading.worth_reading(examples_worth_reading(folder.path, folder.loops)),
        appendix.cost(folder),
        appendix.made_of(folder),
        f"<footer>Written by mmevolve from the tables in this run's folder. Look further: <code>mmevolve show {esc(folder.path)}"
        "</code></footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{esc(name)} · mmevolve</title><style>{style}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


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
        f'<p class="alert">This run has not finished, or was stopped early.{esc(where)} The page shows what there is; the same '
        "<code>mmevolve run</code> command goes on where it stopped.</p>"
    )
