"""Problems inside one call: keys it does not take, keys it lacks, values that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from mmevolve.config.accept import Surroundings, describe, mismatches
from mmevolve.config.errors import Problem
from mmevolve.config.nearest import hint, nearest
from mmevolve.config.rules import slip_of_rule
from mmevolve.config.signatures import Signature
from mmevolve.config.targets import Target
from mmevolve.config.tree import PARTIAL, Entry, Keyed, is_partial, settings


def call_problems(node: Keyed, target: Target, signature: Signature, around: Surroundings) -> Iterator[Problem]:
    """Everything wrong with the settings of one call, in the order of the file."""
    taken = set(node.written())
    left = [name for name in signature.names() if name not in taken]
    meant: set[str] = set()  # settings that a misspelt key stands for: not said to be missing as well
    for entry in settings(node):
        parameter = signature.get(entry.key)
        if parameter is not None:
            for wrong in mismatches(parameter.type, entry.value, around):
                what = f"'{entry.key}' of {target.text}: expected {wrong.expected}, got {wrong.got}{wrong.near}"
                yield Problem(what, wrong.node.place)
        elif not signature.open or slip_of_rule(str(entry.key)):
            problem, name = _unknown_key(entry, target, signature, left)
            meant.add(name or "")
            yield problem
    if not is_partial(node) and PARTIAL not in meant:
        for parameter in signature.parameters:
            if parameter.required and parameter.name not in taken | meant:
                kind = "" if parameter.type.kind == "any" or not target.room else f": {describe(parameter.type)}"
                held = "" if target.room else ", or to be held back by `_partial_: true`"
                yield Problem(f"{target.text} needs '{parameter.name}'{kind}{held}", node.place)


def _unknown_key(entry: Entry, target: Target, signature: Signature, left: list[str]) -> tuple[Problem, str | None]:
    key = str(entry.key)
    new = signature.renamed.get(key)
    if new is not None:
        return Problem(f"'{key}' of {target.text} is now called '{new}'", entry.place), new
    # A slip stands most likely for a setting that is not given yet.
    near = nearest(key, [*left, PARTIAL]) or nearest(key, signature.names())
    if near is not None:
        return Problem(f"{target.text} has no setting '{key}': the nearest is '{near}'", entry.place), near
    return Problem(f"{target.text} has no setting '{key}'{hint(key, signature.names())}", entry.place), None
