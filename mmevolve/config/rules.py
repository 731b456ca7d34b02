"""The two words of the recipe language, `_target_` and `_partial_`, and slips of them."""

from __future__ import annotations

from collections.abc import Iterator

from mmevolve.config.errors import Problem
from mmevolve.config.nearest import edits, nearest
from mmevolve.config.tree import PARTIAL, TARGET, Keyed, Leaf


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
            rule = slip_of_rule(str(entry.key))
            if rule is not None and entry.key != PARTIAL:
                yield Problem(f"unknown key '{entry.key}': the nearest is '{rule}'", entry.place)


def slip_of_rule(key: str) -> str | None:
    """`_target_` for `_traget_` and `target_`; None for a key of the user's own."""
    wrapped = len(key) > 2 and key.startswith("_") and key.endswith("_")
    close = [rule for rule in (TARGET, PARTIAL) if _slip(key, rule)]
    return close[0] if close else (nearest(key, [TARGET, PARTIAL]) or TARGET) if wrapped else None


def _slip(key: str, rule: str) -> bool:
    return edits(key.lower(), rule) <= 1 or (key.startswith("_") and edits(key.lower(), rule) <= 2)
