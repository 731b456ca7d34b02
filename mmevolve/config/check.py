"""Everything that is wrong with a recipe, at once, before anything is imported or loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from mmevolve.config.calls import call_problems
from mmevolve.config.errors import ConfigError, Problem
from mmevolve.config.load import Recipe, load
from mmevolve.config.preflight import preflight_problems
from mmevolve.config.references import LOOP, reference_problems
from mmevolve.config.rows import row_problems
from mmevolve.config.rules import rule_problems
from mmevolve.config.survey import Survey, survey
from mmevolve.config.tree import TARGET, Entry, Items, Keyed, is_partial, target_text, walk


def check(path: str | Path, overrides: Sequence[str] = (), allow: Collection[str] = ()) -> list[Problem]:
    """Every problem of a recipe file, in the order of the file; warnings among them."""
    try:
        recipe = load(path, overrides)
    except ConfigError as error:
        return list(error.problems)
    return check_recipe(recipe, allow)


def check_recipe(recipe: Recipe, allow: Collection[str] = ()) -> list[Problem]:
    """Every problem of a recipe that was read; data and models are looked at only when all else is right."""
    seen = survey(recipe.nodes, allow)
    problems = [*seen.problems, *_static_problems(seen)]
    if all(problem.warning for problem in problems):
        problems += preflight_problems(seen)
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.place)


def _static_problems(seen: Survey) -> Iterator[Problem]:
    yield from top_problems(seen.nodes)
    for node in walk(seen.nodes):
        if isinstance(node, Keyed) and node is not seen.nodes:
            yield from mapping_problems(node, seen)
    yield from row_problems(seen)


def mapping_problems(node: Keyed, seen: Survey) -> Iterator[Problem]:
    """What is wrong with one mapping below the top level: its two words of the language, and its settings."""
    yield from rule_problems(node)
    target, signature = seen.target(node), seen.signature(node)
    if target is not None and signature is not None:
        yield from call_problems(node, target, signature, seen.surroundings())


def top_problems(nodes: Keyed) -> Iterator[Problem]:
    """What is wrong with the top-level names, who refers to them, and the loop."""
    yield from reference_problems(nodes)
    for entry in nodes.entries:
        if not (isinstance(entry.key, str) and entry.key.isidentifier()):
            yield Problem(f"the object '{entry.key}' needs a name of letters, digits and underscores", entry.place)
        if entry.key == LOOP:
            yield from _loop_problems(entry)


def _loop_problems(entry: Entry) -> Iterator[Problem]:
    calls = entry.value.items if isinstance(entry.value, Items) else (entry.value,)
    if not calls:
        yield Problem("the loop is empty: it is a call, or a list of calls", entry.value.place)
    for call in calls:
        if not isinstance(call, Keyed):
            yield Problem("the loop is a call (with _target_), or a list of calls", call.place)
        elif target_text(call) is None and call.get(TARGET) is None:
            if not list(rule_problems(call)):
                yield Problem("the loop is a call, but it has no _target_", call.place)
        elif is_partial(call):
            yield Problem("the loop is run, so it cannot be held back by _partial_", call.place)
