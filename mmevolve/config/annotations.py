"""Annotations as data: what a setting may hold, read from source without importing it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path

from mmevolve.config.ranges import Range
from mmevolve.config.source import PACKAGE, constant, definitions, imports, module_file

# The protocols, and the room in which each kind of part lives.
ROOMS: dict[str, str] = {
    "VLM": "models",
    "Sampler": "samplers",
    "Critic": "critics",
    "Selector": "selectors",
    "Loss": "losses",
    "Schedule": "schedules",
    "Metric": "metrics",
    "TrainStep": "training",
}
_SIMPLE = {"int", "float", "str", "bool"}
_TEXT = {"Path", "PathLike", "PurePath"}
_LISTS = {"list", "List", "set", "Set", "MutableSequence"}
_TUPLES = {"Sequence", "Iterable", "Collection", "Iterator", "frozenset", "FrozenSet", "AbstractSet", "Container"}
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict"}
_CLASSES = {
    "torch",
    "lightning",
    "peft",
    "transformers",
}  # `peft.LoraConfig`: a class by its spelling, never a plain value
_WRAPPERS = {"Final", "Required", "NotRequired", "ReadOnly", "InitVar"}


@dataclass(frozen=True)
class Type:
    """What a setting may hold.

    Attributes:
        kind: any, int, float, str, bool, none, literal, list, tuple, fixed (a tuple of given length), mapping, union,
            part (one of the protocols), instance (some class: never a plain value) or callable.
        args: element types of list, tuple, fixed and mapping; members of union.
        values: the choices of a literal.
        range: bounds of a number.
        name: the class or protocol, for messages.
    """

    kind: str
    args: tuple[Type, ...] = ()
    values: tuple[object, ...] = ()
    range: Range | None = None
    name: str = ""


ANY = Type("any")


def parse_annotation(text: str | None, path: Path | None = None) -> Type:
    """The type an annotation's text means; what is not understood is `any`. `path` is the source it stands in."""
    if not text:
        return ANY
    try:
        return read_annotation(ast.parse(text.strip(), mode="eval").body, path)
    except (SyntaxError, ValueError):
        return ANY


def read_annotation(node: ast.expr | None, path: Path | None = None, depth: int = 0) -> Type:
    """The type an annotation means; names are looked up in the source at `path` and in what it imports from here."""
    if node is None or depth > 12:
        return ANY
    if isinstance(node, ast.Constant):
        if node.value is None:
            return Type("none")
        return parse_annotation(node.value, path) if isinstance(node.value, str) else ANY
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([read_annotation(side, path, depth + 1) for side in (node.left, node.right)])
    if isinstance(node, ast.Subscript):
        return _subscript(node, path, depth)
    name = last_word(node)
    if (
        isinstance(node, ast.Attribute)
        and ast.unparse(node).partition(".")[0] in _CLASSES
        and re.match("[A-Z].*[a-z]", name)
    ):
        return Type("instance", name=name)
    return _named(name, path, depth) if name else ANY


def last_word(node: ast.expr) -> str:
    """`Sampler` for `Sampler` and for `protocols.Sampler`."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _subscript(node: ast.Subscript, path: Path | None, depth: int) -> Type:
    name = last_word(node.value)
    inside = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return _literal(inside)
    if name == "Annotated":
        return _annotated(read_annotation(inside[0], path, depth + 1), inside[1:])
    if name == "Callable":
        return Type("callable")
    if name == "type" or name == "Type":
        return ANY
    ends = isinstance(inside[-1], ast.Constant) and inside[-1].value is Ellipsis
    args = tuple(read_annotation(item, path, depth + 1) for item in (inside[:-1] if ends else inside))
    if name == "Optional":
        return _union([*args, Type("none")])
    if name == "Union":
        return _union(list(args))
    if name in _WRAPPERS:
        return args[0]
    if name in ("tuple", "Tuple"):
        return Type("tuple", args) if ends else Type("fixed", args)
    if name in _LISTS | _TUPLES:
        return Type("list" if name in _LISTS else "tuple", args)
    return Type("mapping", args) if name in _MAPPINGS else _named(name, path, depth)


def _named(name: str, path: Path | None, depth: int) -> Type:
    if name in _SIMPLE:
        return Type(name)
    if name in _TEXT:
        return Type("str")
    if name in ("None", "NoneType"):
        return Type("none")
    if name in _LISTS | _TUPLES | {"tuple", "Tuple"}:
        return Type("list" if name in _LISTS else "tuple", (ANY,))
    if name in _MAPPINGS:
        return Type("mapping", (ANY, ANY))
    if name in ("Callable", "partial"):
        return Type("callable")
    if path is None:
        return Type("instance", name=name) if name == "Tensor" else ANY
    return _looked_up(name, path, depth)


def _looked_up(name: str, path: Path, depth: int) -> Type:
    """A name of the package's own source: a class, an alias, or an import of one."""
    node = definitions(path).get(name)
    if isinstance(node, ast.ClassDef):
        bases = {last_word(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases}
        if bases & {"Enum", "StrEnum", "IntEnum", "NamedTuple", "TypedDict"}:
            return ANY
        return Type("part", name=name) if name in ROOMS else Type("instance", name=name)
    alias = constant(path, name)
    if alias is not None:
        return read_annotation(alias, path, depth + 1)
    for local, module, inner in imports(path):
        if local == name and inner and module.split(".")[0] == PACKAGE:
            file = module_file(module)
            if file is not None and depth < 12:
                return _looked_up(inner, file, depth + 1)
            return Type("part", name=inner) if inner in ROOMS else ANY
    return Type("part", name=name) if name in ROOMS else ANY


def _literal(nodes: list[ast.expr]) -> Type:
    try:
        return Type("literal", values=tuple(ast.literal_eval(node) for node in nodes))
    except ValueError:
        return ANY


def _annotated(inner: Type, notes: list[ast.expr]) -> Type:
    for note in notes:
        bounds = _range(note)
        if bounds is not None:
            members = tuple(replace(member, range=bounds) for member in inner.args)
            return replace(inner, args=members) if inner.args else replace(inner, range=bounds)
    return inner


def _range(node: ast.expr) -> Range | None:
    if not isinstance(node, ast.Call) or last_word(node.func) != "Range":
        return None
    try:
        bounds = [ast.literal_eval(argument) for argument in node.args]
        named = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
    except ValueError:
        return None
    return Range(*bounds, **named) if len(bounds) <= 2 and set(named) <= {"low", "high"} else None


def _union(members: list[Type]) -> Type:
    flat = tuple(inner for member in members for inner in (member.args if member.kind == "union" else (member,)))
    if any(member.kind == "any" for member in flat):
        return ANY
    choices = tuple(value for member in flat if member.kind == "literal" for value in member.values)
    others = tuple(dict.fromkeys(member for member in flat if member.kind != "literal"))
    return Type("union", (Type("literal", values=choices), *others) if choices else others)
