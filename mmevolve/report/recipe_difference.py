"""Two recipes key by key: what stands in one and not in the other, or stands there otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmevolve.config.errors import ConfigError
from mmevolve.config.read_yaml import parse
from mmevolve.config.tree import TARGET, plain
from mmevolve.report.folder import RunFolder

ABSENT = "not there"


@dataclass(frozen=True)
class Difference:
    """One key that differs; `first` and `second` say what stands there."""

    key: str
    first: str
    second: str


def recipe_of(folder: RunFolder) -> dict[str, Any] | None:
    """A run's recipe with its overrides, `$name`s kept; None where it cannot be read."""
    for name in ("resolved.yaml", "recipe.yaml"):
        try:
            found = plain(parse(text, name)) if (text := folder.text(name)) else None
        except ConfigError:
            continue
        if isinstance(found, dict):
            return found
    return None


def differences(first: Any, second: Any) -> list[Difference]:
    """Keys that differ, in the order of the first recipe and then the second.

    Items of a list go by their `name`, else by their `_target_`, so that one that was put in does not shift the others;
    where two share it, by their number. A call in place of another is one difference.
    """
    return list(_differences(first, second, ""))


def _differences(first: Any, second: Any, key: str) -> Iterator[Difference]:
    a, b = _named(first), _named(second)
    if a is None or b is None or _other_call(first, second):
        if first != second or type(first) is not type(second):
            yield Difference(key, shown(first), shown(second))
        return
    for name in dict.fromkeys((*a, *b)):
        inner = f"{key}.{name}" if key else str(name)
        if name in a and name in b:
            yield from _differences(a[name], b[name], inner)
        else:
            yield Difference(inner, *(shown(side[name]) if name in side else ABSENT for side in (a, b)))


def _other_call(first: Any, second: Any) -> bool:
    return isinstance(first, dict) and isinstance(second, dict) and first.get(TARGET) != second.get(TARGET)


def _named(value: Any) -> dict[Any, Any] | None:
    """A mapping, or a list as one; None for a single value and a list of single values."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not any(isinstance(item, dict) for item in value):
        return None
    names = [_name(item) for item in value]
    return {n if n and names.count(n) == 1 else i: item for i, (n, item) in enumerate(zip(names, value, strict=True))}


def _name(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    found = (item.get("name") or item.get(TARGET)) if isinstance(item, dict) else None
    return found if isinstance(found, str) else None


def shown(value: Any) -> str:
    """A value on one line, much as YAML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
