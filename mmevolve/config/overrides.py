"""`a.b=value` on the command line: one value of the tree replaced."""

from __future__ import annotations

from dataclasses import replace

from mmevolve.config.errors import ConfigError, Place
from mmevolve.config.nearest import hint
from mmevolve.config.read_yaml import parse
from mmevolve.config.tree import Entry, Items, Keyed, Node, reference, target_text


def override(nodes: Keyed, text: str) -> Keyed:
    """The tree with one override applied; list items are named by their index, `critics.0.name=x`.

    A setting that a call may have but the recipe does not write is added; own calls are read from their source.

    Raises:
        ConfigError: when the path fits nowhere, with the nearest key.
    """
    place = Place(f"override '{text}'")
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError("an override is written a.b=value", place.file)
    changed = _put(nodes, keys, parse(value, place.file, place), place, "")
    assert isinstance(changed, Keyed)
    return changed


def _put(node: Node, keys: list[str], value: Node, place: Place, above: str) -> Node:
    if not keys:
        return value
    key, here = keys[0], f"{above}.{keys[0]}" if above else keys[0]
    if isinstance(node, Items):
        index = _index(key, len(node.items), here, place)
        items = list(node.items)
        items[index] = _put(items[index], keys[1:], value, place, here)
        return replace(node, items=tuple(items))
    if not isinstance(node, Keyed):
        name = reference(node)
        if name is not None:
            raise ConfigError(f"'{above}' is ${name}: write {'.'.join([name, *keys])}=...", place.file)
        raise ConfigError(f"'{above}' is a single value and has no '{key}'", place.file)
    names = [entry.key for entry in node.entries]
    found = next((i for i, name in enumerate(names) if str(name) == key), None)
    if found is None:
        _may_add(node, key, keys, here, place)
        return replace(node, entries=(*node.entries, Entry(key, value, place)))
    entries = list(node.entries)
    entries[found] = replace(entries[found], value=_put(entries[found].value, keys[1:], value, place, here))
    return replace(node, entries=tuple(entries))


def _index(key: str, length: int, here: str, place: Place) -> int:
    if not key.isdecimal() or int(key) >= length:
        raise ConfigError(f"'{here}' is not there: the list has {length} items, named 0 to {length - 1}", place.file)
    return int(key)


def _may_add(node: Keyed, key: str, keys: list[str], here: str, place: Place) -> None:
    from mmevolve.config.signatures import own_signature

    written = [str(name) for name in node.written()]
    target = target_text(node)
    signature = own_signature(target) if target is not None else None
    if target is not None and len(keys) == 1 and (signature is None or signature.open or key in signature.names()):
        return  # a foreign call's keys are left to the check, which knows its signature
    known = [*written, *(signature.names() if signature is not None else ())]
    raise ConfigError(f"the recipe has no '{here}'{hint(key, known)}", place.file)
