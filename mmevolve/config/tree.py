"""The recipe as a tree of values that remember where they were written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mmevolve.config.errors import Place

Scalar = str | int | float | bool | None
TARGET, PARTIAL = "_target_", "_partial_"
_REFERENCE = re.compile(r"\$([A-Za-z_]\S*)\Z")


@dataclass(frozen=True)
class Leaf:
    """One value: text, number, true/false or null."""

    value: Scalar
    place: Place


@dataclass(frozen=True)
class Items:
    """A YAML list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True)
class Entry:
    """One `key: value` line; `place` is the key's."""

    key: Scalar
    value: Node
    place: Place


@dataclass(frozen=True)
class Keyed:
    """A YAML mapping: plain, or a call when it has a `_target_`."""

    entries: tuple[Entry, ...]
    place: Place

    def get(self, key: Scalar) -> Node | None:
        return next((entry.value for entry in self.entries if entry.key == key), None)

    def written(self) -> tuple[Scalar, ...]:
        return tuple(entry.key for entry in self.entries)


Node = Leaf | Items | Keyed


def reference(node: Node | None) -> str | None:
    """`store` for `$store`, None for anything else."""
    if isinstance(node, Leaf) and isinstance(node.value, str):
        found = _REFERENCE.match(node.value)
        return found[1] if found else None
    return None


def target_text(node: Node | None) -> str | None:
    """What a call names: the text of its `_target_`."""
    value = node.get(TARGET) if isinstance(node, Keyed) else None
    return value.value if isinstance(value, Leaf) and isinstance(value.value, str) else None


def is_partial(node: Keyed) -> bool:
    """Whether a call is held back by `_partial_: true`."""
    value = node.get(PARTIAL)
    return isinstance(value, Leaf) and value.value is True


def settings(node: Keyed) -> tuple[Entry, ...]:
    """The entries of a call that are its arguments."""
    return tuple(entry for entry in node.entries if entry.key not in (TARGET, PARTIAL))


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, in the order of the file."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes one level down."""
    if isinstance(node, Keyed):
        return tuple(entry.value for entry in node.entries)
    return node.items if isinstance(node, Items) else ()


def plain(node: Node) -> object:
    """The tree as dicts, lists and values, `$name`s kept as text."""
    if isinstance(node, Keyed):
        return {entry.key: plain(entry.value) for entry in node.entries}
    return [plain(item) for item in node.items] if isinstance(node, Items) else node.value
