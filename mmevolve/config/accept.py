"""Does a value fit its annotation? What is expected, what was found, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mmevolve.config.annotations import ROOMS, Type
from mmevolve.config.nearest import nearest
from mmevolve.config.rules import slip_of_rule
from mmevolve.config.signatures import Signature
from mmevolve.config.targets import Target
from mmevolve.config.tree import Items, Keyed, Leaf, Node, is_partial, reference, settings, target_text


@dataclass(frozen=True)
class Surroundings:
    """What a value's meaning depends on.

    Attributes:
        follow: the node that a `$name` stands for; None when there is none.
        target: what a call names; None when it is unknown.
        signature: the signature of what a call names; None when it could not be read.
    """

    follow: Callable[[str], Node | None]
    target: Callable[[Keyed], Target | None]
    signature: Callable[[Keyed], Signature | None]


@dataclass(frozen=True)
class Mismatch:
    """A value that does not fit.

    Attributes:
        node: the value.
        expected: what should stand there, in words.
        got: what stands there, in words.
        near: `: the nearest is 'x'`, or nothing.
    """

    node: Node
    expected: str
    got: str
    near: str = ""


def mismatches(kind: Type, node: Node, around: Surroundings) -> Iterator[Mismatch]:
    """Everything in a value that does not fit its type; nothing when it fits."""
    name = reference(node)
    if name is not None:
        meant = around.follow(name)
        inner = next(mismatches(kind, meant, around), None) if meant is not None and reference(meant) is None else None
        if inner is not None:
            yield Mismatch(node, inner.expected, f"${name}, which is {inner.got}", inner.near)
        return
    if kind.kind == "any":
        return
    if kind.kind == "union":
        yield from _union(kind, node, around)
    elif target_text(node) is not None:
        assert isinstance(node, Keyed)
        yield from _call(kind, node, around)
    elif isinstance(node, Leaf):
        if not _leaf_fits(kind, node):
            near = nearest(str(node.value), [str(value) for value in kind.values]) if kind.values else None
            yield Mismatch(node, describe(kind), got(node), f": the nearest is '{near}'" if near else "")
    elif isinstance(node, Items):
        yield from _items(kind, node, around)
    elif kind.kind != "mapping":
        if not any(slip_of_rule(str(key)) for key in node.written()):  # said where the slip stands
            yield Mismatch(node, describe(kind), "a mapping without _target_")
    elif len(kind.args) == 2:
        for entry in node.entries:
            yield from mismatches(kind.args[1], entry.value, around)


def _union(kind: Type, node: Node, around: Surroundings) -> Iterator[Mismatch]:
    found = [list(mismatches(member, node, around)) for member in kind.args]
    if not all(found):
        return
    # Where one member is of the right shape (a list with one bad item), its finer complaint is the useful one.
    inner = next((wrong for wrong in found if wrong[0].node is not node), None)
    near = next((wrong[0].near for wrong in found if wrong[0].near), "")
    yield from inner or [Mismatch(node, describe(kind), found[0][0].got, near)]


def _items(kind: Type, node: Items, around: Surroundings) -> Iterator[Mismatch]:
    if kind.kind in ("list", "tuple"):
        for item in node.items:
            yield from mismatches(kind.args[0], item, around) if kind.args else ()
    elif kind.kind == "fixed":
        if len(node.items) != len(kind.args):
            yield Mismatch(node, f"a list of {len(kind.args)}", f"a list of {len(node.items)}")
            return
        for member, item in zip(kind.args, node.items, strict=True):
            yield from mismatches(member, item, around)
    else:
        yield Mismatch(node, describe(kind), "a list")


def _call(kind: Type, node: Keyed, around: Surroundings) -> Iterator[Mismatch]:
    target, signature = around.target(node), around.signature(node)
    if target is None:
        return
    if kind.kind == "callable":
        if signature is not None and not signature.calls and _is_meant_to_be_called(node, signature):
            yield Mismatch(node, "a call held back by `_partial_: true`", f"{target.text}, called at once")
    elif is_partial(node):
        if kind.kind != "mapping":
            yield Mismatch(node, describe(kind), f"{target.text}, held back by _partial_")
    elif kind.kind == "part":
        if target.room and target.room != ROOMS[kind.name] and (signature is None or signature.is_class):
            yield Mismatch(node, describe(kind), target.text)
    elif target.room and signature is not None and signature.is_class and kind.kind in _PLAIN:
        yield Mismatch(node, describe(kind), f"the part {target.text}")


def _is_meant_to_be_called(node: Keyed, signature: Signature) -> bool:
    """Whether a call is made now and can be: a misspelt `_partial_` or a missing setting is said by itself."""
    misspelt = any(slip_of_rule(str(entry.key)) for entry in settings(node))
    missing = any(parameter.required and node.get(parameter.name) is None for parameter in signature.parameters)
    return not (is_partial(node) or misspelt or missing)


_PLAIN = ("int", "float", "str", "bool", "none", "literal", "fixed")


def _leaf_fits(kind: Type, leaf: Leaf) -> bool:
    value = leaf.value
    if kind.kind in ("int", "float"):
        numbers = (int,) if kind.kind == "int" else (int, float)
        right = isinstance(value, numbers) and not isinstance(value, bool) and value == value  # NaN is never meant
        return right and (kind.range is None or value in kind.range)  # type: ignore[operator]
    if kind.kind == "bool":
        return isinstance(value, bool)
    if kind.kind == "str":
        return isinstance(value, str)
    if kind.kind == "none":
        return value is None
    if kind.kind == "literal":
        return any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in kind.values)
    return False


def describe(kind: Type) -> str:
    """A type in words."""
    bounds = f" {kind.range}" if kind.range is not None else ""
    words = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "none": "null"}
    if kind.kind in words:
        return words[kind.kind] + bounds
    if kind.kind == "literal":
        choices = [f"'{value}'" if isinstance(value, str) else _word(value) for value in kind.values]
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    if kind.kind in ("list", "tuple"):
        if not kind.args or kind.args[0].kind == "any":
            return "a list"
        return f"a list of {_each(kind.args[0])}"
    if kind.kind == "fixed":
        return f"a list of {len(kind.args)}"
    if kind.kind == "part":
        return f"a {kind.name} ({ROOMS[kind.name]}.…)"
    if kind.kind == "union":
        return " or ".join(dict.fromkeys(describe(member) for member in kind.args))
    names = {"mapping": "a mapping", "callable": "a call (with _target_)", "instance": f"a {kind.name} (with _target_)"}
    return names.get(kind.kind, "anything")


def _each(kind: Type) -> str:
    """The members of a list in words."""
    plural = {"int": "whole numbers", "float": "numbers", "str": "texts", "bool": "true or false"}
    if kind.kind in plural and kind.range is None:
        return plural[kind.kind]
    return f"{kind.name}s" if kind.kind == "instance" else f"({describe(kind)})"


def got(node: Node) -> str:
    """A value in words."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Keyed):
        return target_text(node) or "a mapping"
    return f"the text '{node.value[:60]}'" if isinstance(node.value, str) else _word(node.value)


def _word(value: object) -> str:
    """A number, true, false or null as YAML writes it."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
