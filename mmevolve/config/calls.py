"""Problems inside one call: keys it does not take, keys it lacks, values that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from mmevolve.config.accept import Surroundings, mismatches
from mmevolve.config.errors import Problem
from mmevolve.config.nearest import edits, hint, nearest
from mmevolve.config.signatures import Signature
from mmevolve.config.targets import Target
from mmevolve.config.tree import PARTIAL, TARGET, Entry, Keyed, Leaf, is_partial, settings


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
        elif not signature.open or _slip_of_rule(str(entry.key)):
            problem, name = _unknown_key(entry, target, signature, left)
            meant.add(name or "")
            yield problem
    if not is_partial(node):
        for parameter in signature.parameters:
            if parameter.required and parameter.name not in taken | meant:
                what = f"{target.text} needs '{parameter.name}'"
                near = f" ({parameter.annotation})" if parameter.annotation else ""
                yield Problem(what + near, node.place)


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


def rule_problems(node: Keyed) -> Iterator[Problem]:
    """Misuse of `_target_` and `_partial_` in any mapping."""
    named, partial = node.get(TARGET), node.get(PARTIAL)
    if named is not None and not (isinstance(named, Leaf) and isinstance(named.value, str)):
        yield Problem("'_target_' is the name of what to call, as text", named.place)
    if partial is not None and named is None and not any(_slip(str(key), TARGET) for key in node.written()):
        yield Problem("'_partial_' stands beside a '_target_', and here is none", partial.place)
    if partial is not None and not (isinstance(partial, Leaf) and isinstance(partial.value, bool)):
        yield Problem("'_partial_' is true or false", partial.place)
    if named is None:
        for entry in node.entries:
            rule = _slip_of_rule(str(entry.key))
            if rule is not None and entry.key != PARTIAL:
                yield Problem(f"unknown key '{entry.key}': the nearest is '{rule}'", entry.place)


def _slip_of_rule(key: str) -> str | None:
    """`_target_` for `_traget_` and `target_`; None for a key of the user's own."""
    wrapped = len(key) > 2 and key.startswith("_") and key.endswith("_")
    close = [rule for rule in (TARGET, PARTIAL) if _slip(key, rule)]
    return close[0] if close else (nearest(key, [TARGET, PARTIAL]) or TARGET) if wrapped else None


def _slip(key: str, rule: str) -> bool:
    return edits(key.lower(), rule) <= 1 or (key.startswith("_") and edits(key.lower(), rule) <= 2)
