"""What a run was made of and what it cost: stages, recipe, environment, words."""

from __future__ import annotations

import re

from mmevolve.report.folder import RunFolder
from mmevolve.report.markup import esc, section, table
from mmevolve.report.words import duration

STAGE = re.compile(r"(?P<loop>.*) (?P<at>before|round=\d+) (?P<table>\S+)")
KINDS = {
    "trajectories": "sampling",
    "critiques": "judging",
    "train": "training",
    "samples": "choosing",
    "examples": "choosing",
    "knobs": "choosing",
    "monitors": "choosing",
}
ORDER = ("sampling", "judging", "choosing", "training", "measuring", "other")
WORDS = {
    "attempt": "one answer that the model wrote, with its steps",
    "critic": "anything that judges an attempt: a rule, a learned model, or an oracle",
    "oracle": "a judge that knows the picture exactly; it measures, and trains only where the recipe says so",
    "held-out": "set aside for measuring, never trained on",
    "pass@1, pass@8": "the chance that one attempt, or at least one of eight, has the right answer",
    "point": "a percentage point: from 40 % to 45 % is 5 points",
    "95 % interval": "the range in which the true value lies, by a method that is right 19 times in 20",
    "round": "one pass of sampling, judging, choosing and training, counted from 0",
    "training row": "an attempt that the model was trained to repeat",
}


def cost(folder: RunFolder) -> str:
    """Seconds by loop and kind of work."""
    spent, total = seconds(folder)
    if not spent:
        return section("What it cost", '<p class="note">The run has not noted how long its stages took.</p>')
    order = [k for k in ORDER if any(k in s for s in spent.values())]
    rows = [
        [esc(loop), *(duration(by[k]) if k in by else "–" for k in order), duration(sum(by.values()))]
        for loop, by in spent.items()
    ]
    stages = sum(sum(by.values()) for by in spent.values())
    note = f'<p class="caption">All stages together {duration(stages)}'
    note += f"; the whole run {duration(total)}, the rest being start-up and loading." if total else "."
    return section("What it cost", table(["", *order, "together"], rows) + note + "</p>")


def seconds(folder: RunFolder) -> tuple[dict[str, dict[str, float]], float | None]:
    """Seconds by loop and kind of work, and of the whole run where it was noted."""
    timings = {k: v for k, v in folder.json("timings.json").items() if isinstance(v, int | float)}
    total = timings.pop("total", None)
    spent: dict[str, dict[str, float]] = {}
    for name, took in timings.items():
        match = STAGE.fullmatch(name)
        loop, kind = (match["loop"], _kind(match["table"])) if match else ("other", "other")
        of_loop = spent.setdefault(loop, {})
        of_loop[kind] = of_loop.get(kind, 0.0) + took
    return spent, total


def _kind(name: str) -> str:
    return KINDS.get(name, "measuring")


def made_of(folder: RunFolder) -> str:
    """Recipe, environment and the words used here."""
    recipe, environment = folder.text("recipe.yaml"), folder.json("environment.json")
    body = section(
        "The recipe", f"<pre>{esc(recipe)}</pre>" if recipe else '<p class="note">No recipe in the folder.</p>'
    )
    rows = [[esc(k), esc(v)] for k, v in environment.items()]
    body += section(
        "The environment", table(["", ""], rows) if rows else '<p class="note">No environment.json in the folder.</p>',
        kind="environment",
    )  # fmt: skip
    words = "".join(f"<dt>{esc(k)}</dt><dd>{esc(v)}</dd>" for k, v in WORDS.items())
    return body + section("Words used here", f'<dl class="words">{words}</dl>')
