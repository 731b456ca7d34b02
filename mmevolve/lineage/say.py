"""`mmevolve trace` and `mmevolve forget`: the answers in words, or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from json import dumps
from typing import Any

from mmevolve.lineage.query import Lineage
from mmevolve.report.markup import clean
from mmevolve.report.words import several
from mmevolve.store import StoreError

SHOWN = 20  # rows and samples named one by one


def trace(run: str, what: str, *, json: bool = False) -> int:
    """Print what made a row, or what a checkpoint was trained on.

    Raises:
        ConfigError: when the run has no such thing; it names the nearest.
    """
    return _print(run, lambda lineage: lineage.trace(what), json)


def forget(run: str, image: str, *, json: bool = False) -> int:
    """Print what would have to be redone without a picture; nothing is changed.

    Raises:
        ConfigError: when the run never saw it; it names the nearest.
    """
    return _print(run, lambda lineage: lineage.forget(image), json)


def _print(run: str, ask: Any, json: bool) -> int:
    try:
        answer = ask(Lineage(run))
    except StoreError as error:
        print(error, file=sys.stderr)
        return 2
    lines = {"row": row_lines, "attempt": attempt_lines, "checkpoint": checkpoint_lines, "forget": forget_lines}
    print(dumps(answer, indent=1) if json else "\n".join(clean(line) for line in lines[answer["what"]](answer)))
    return 0


def row_lines(found: dict[str, Any]) -> Iterator[str]:
    """A training row in words."""
    yield f"row         {found['row']} ({found['kind']})"
    for name, value in found["text"].items():
        first, *rest = str(value).split("\n")
        yield f"{name:<11} {first}"
        yield from (f"            {line}" for line in rest)
    made = found["attempt"]
    if made is None:
        yield "attempt     none: this row was given, not sampled"
    elif made.get("missing"):
        yield f"attempt     {made['id']}, which this round's tables do not hold"
    else:
        yield from _attempt(made, found["critiques"])
    yield from (f"picture     {p} (in the row alone)" for p in found["pictures_of_row"])
    yield (
        f"selected by {_settings(found['selector'])}"
        if found["selector"]
        else "selected by a selector that is not known"
    )
    yield "trained     " + (", ".join(found["trained"]) if found["trained"] else "no checkpoint yet")


def attempt_lines(found: dict[str, Any]) -> Iterator[str]:
    """An attempt with its rows, or why it has none."""
    if not found["rows"]:
        for made in found["attempts"]:
            yield from _attempt(made, made["critiques"])
        yield "row         none: no training row was made of this attempt"
    for i, row in enumerate(found["rows"]):
        yield from [""] * (i > 0)
        yield from row_lines(row)


def checkpoint_lines(found: dict[str, Any]) -> Iterator[str]:
    """A checkpoint in words."""
    name = found["checkpoint"]
    if not found["trained"]:
        yield f"{name} has no checkpoint yet"
    yield f"checkpoint   {name}: {several(found['n'], 'row')}"
    for part in found["rows"]:
        where = f"{part['first']} to {part['last'].rpartition('/')[2]}"
        rows = f"{part['n']:,} {part['kind']} rows of {several(part['questions'], 'question')}"
        yield f"trained on   {where}: {rows}"
    yield f"goes on from {found['goes_on_from'] or 'the base model'}"
    yield f"attempts by  {', '.join(found['attempts_by']) or 'the base model'}"
    if found["judged_with"]:
        yield f"judged with  {', '.join(found['judged_with'])}"
    yield f"used by      {', '.join(found['used_by']) or 'no later round'}"


def forget_lines(found: dict[str, Any]) -> Iterator[str]:
    """What would be redone, in words."""
    for picture in found["pictures"]:
        yield f"picture     {picture}"
    yield f"samples     {_some(found['samples'])}"
    yield f"attempts    {found['attempts']:,}"
    yield f"rows        {len(found['rows']):,}" + (f": {_some(found['rows'])}" if found["rows"] else "")
    yield f"checkpoints {', '.join(found['checkpoints']) or 'none'}"
    for r in found["rounds"]:
        yield f"redo        {r['round']}: {r['action']} ({r['why']})"
    for e in found["evaluations"][:SHOWN]:
        yield f"measured    {e['sample']} is a question of '{e['evaluation']}': leave it out there too"
    if not found["rounds"] and not found["evaluations"]:
        yield "redo        nothing"
    yield "Nothing was changed: `forget` only says what rests on it."


def _attempt(made: dict[str, Any], critiques: list[dict[str, Any]]) -> Iterator[str]:
    yield f"attempt     {made['id']} in {made['round']}" + (f", revises {made['parent']}" if made["parent"] else "")
    yield f"question    {made['sample']}: {made['question'] or 'not kept'}"
    yield from (f"picture     {p}" for p in made["pictures"])
    yield f"answer      {made['answer'] or 'none'} (reference {made['reference'] or 'none'})"
    yield f"checkpoint  {made['checkpoint'] or 'the base model'}, as {made['author']}"
    knobs = ", ".join(f"{k} {v}" for k, v in made["sampling"].items() if k not in ("prompt", "seed"))
    yield f"drawn with  prompt '{made['prompt'] or 'not noted'}', seed {made['seed']}" + (f", {knobs}" if knobs else "")
    for c in critiques:
        steps = f", steps {' '.join(f'{s:.2f}' for s in c['step_scores'])}" if c.get("step_scores") else ""
        score = "no score" if c["score"] is None else f"{c['score']:.4g}"
        why = f" ({c['error']})" if c.get("error") else ""
        settings = f" — {_settings(c['settings'])}" if c["settings"] else ""
        yield f"critique    {c['critic']} {score}{why}{steps}{settings}"
        yield from (f"            {line}" for line in (c.get("text") or "").splitlines())


def _settings(part: dict[str, Any]) -> str:
    """A part with its plain settings."""
    name = str(part.get("_target_", "a part"))
    plain = [f"{k} {v}" for k, v in part.items() if k not in ("_target_", "name") and isinstance(v, str | int | float)]
    return f"{name.rpartition('.')[2]}({', '.join(plain)})"


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "") if names else "none"
