"""What a `_target_` names: a part of this package by its short name, or code from an allowed package."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mmevolve.config.nearest import hint, nearest
from mmevolve.config.parts import parts
from mmevolve.config.source import (
    PACKAGE,
    Module,
    constant,
    definitions,
    is_installed,
    is_room,
    module_file,
    modules_in,
    package_root,
    rooms,
)

ALLOWED: tuple[str, ...] = ("torch", "lightning", "peft")
# Inside an allowed package, and still able to run code that a recipe brings along.
REFUSED: tuple[str, ...] = (
    "torch.hub",
    "torch.load",
    "torch.jit",
    "torch.package",
    "torch.serialization",
    "torch.utils.cpp_extension",
    "torch.utils.model_zoo",
    "torch.distributed.run",
    "torch.distributed.launcher",
    "torch.multiprocessing",
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\Z", re.ASCII)


class UnknownTarget(ValueError):
    """A `_target_` that names nothing a recipe may call."""


@dataclass(frozen=True)
class Target:
    """A resolved `_target_`.

    Attributes:
        text: as the recipe writes it.
        module: the module to import; empty when only importing can tell (foreign code).
        attribute: the name inside the module, or the full dotted path of foreign code.
        path: the source that defines it; None for foreign code.
        room: `samplers` for `samplers.Independent`; empty outside this package.
    """

    text: str
    module: str
    attribute: str
    path: Path | None
    room: str = ""

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.attribute}" if self.module else self.attribute


def resolve(text: str, allow: Collection[str] = ()) -> Target:
    """The target a text names, without importing anything.

    Raises:
        UnknownTarget: with one sentence: no such name (and the nearest), two of that name, or a package not allowed.
    """
    if not _DOTTED.match(text) or len(text) > 200:
        rule = "a target is written 'samplers.Independent', or with its full dotted path outside this package"
        raise UnknownTarget(f"'{text[:80]}' is not a target: {rule}")
    first = text.split(".")[0]
    if is_room(first) or first == PACKAGE:
        return _own(text)
    if any(text == name or text.startswith(f"{name}.") for name in (*ALLOWED, *allow)):
        return _foreign(text)
    close = nearest(first, [*rooms(), *ALLOWED, *allow])
    if is_installed(first):
        allowed = ", ".join([*ALLOWED, *allow])
        raise UnknownTarget(
            f"'{text}' is outside the packages a recipe may call ({allowed}): add --allow {first} if you trust it"
        )
    if close is not None:
        inside = _own_or_none(".".join([close, *text.split(".")[1:]]))
        full = f"{close}.{'.'.join(text.split('.')[1:])}" if inside or not is_room(close) else close
        raise UnknownTarget(f"unknown target '{text}': the nearest is '{full}'")
    raise UnknownTarget(f"unknown target '{text}': neither a room of this package nor an installed package")


def public_names(room: str) -> list[str]:
    """The names a recipe can write after `room.`."""
    modules = modules_in(f"{PACKAGE}.{room}")
    named = {name for module in modules for name in definitions(module.path) if not name.startswith("_")}
    loaders = {module.name.rsplit(".", 1)[1] for module in modules if "load" in definitions(module.path)}
    return sorted(named | loaders)


def _own(text: str) -> Target:
    *inner, name = text.removeprefix(f"{PACKAGE}.").split(".")
    room = ".".join(inner)
    if not inner:
        raise UnknownTarget(f"'{text}' is a room, not a target: name something in it, such as '{name}.…'")
    found = _defining(room, name)
    if found is not None:
        return Target(text, found[0].name, found[1], found[0].path, inner[0])
    method = _method(inner, name)
    if method is not None:
        return Target(text, method[0].name, method[1], method[0].path, inner[0])
    renamed = _renamed(room, name)
    if renamed is not None:
        raise UnknownTarget(f"'{text}' is now called '{room}.{renamed}'")
    known = [f"{room}.{other}" for other in public_names(room)]
    if not modules_in(f"{PACKAGE}.{room}"):
        raise UnknownTarget(f"unknown target '{text}': there is no '{room}'{hint(inner[-1], {*rooms()} - {room})}")
    raise UnknownTarget(f"unknown target '{text}'{_near_target(text.removeprefix(f'{PACKAGE}.'), name, room, known)}")


def _near_target(text: str, name: str, room: str, known: list[str]) -> str:
    within = nearest(name, [other.removeprefix(f"{room}.") for other in known])
    if within is not None:
        return f": the nearest is '{room}.{within}'"
    elsewhere = [f"{other}.{name}" for other in rooms() if other != room and name in public_names(other)]
    if elsewhere:
        return f": it is '{elsewhere[0]}'"
    return hint(text, [part for part, _ in parts(room)]) or f": nothing of that name is in '{room}'"


def _own_or_none(text: str) -> Target | None:
    try:
        return _own(text)
    except UnknownTarget:
        return None


def _defining(room: str, name: str) -> tuple[Module, str] | None:
    """The one module in a room that defines `name`; or `room/name.py` with its `load`."""
    modules = modules_in(f"{PACKAGE}.{room}")
    found = [module for module in modules if name in definitions(module.path)]
    if found:
        depth = min(len(module.path.parts) for module in found)
        nearer = [module for module in found if len(module.path.parts) == depth]
        if len(nearer) > 1:
            places = " and ".join(module.name for module in nearer)
            raise UnknownTarget(f"'{room}.{name}' is ambiguous: it is defined in {places}; write the full dotted path")
        return nearer[0], name
    file = module_file(f"{PACKAGE}.{room}.{name}")
    if file is not None and "load" in definitions(file):
        return Module(f"{PACKAGE}.{room}.{name}", file), "load"
    return None


def _method(inner: list[str], name: str) -> tuple[Module, str] | None:
    """`models.TransformersVLM.load`: a class method or static method."""
    owner = _defining(".".join(inner[:-1]), inner[-1]) if len(inner) > 1 else None
    if owner is None or owner[1] != inner[-1]:
        return None
    node = definitions(owner[0].path)[owner[1]]
    body = node.body if isinstance(node, ast.ClassDef) else []
    methods = [member for member in body if isinstance(member, ast.FunctionDef) and member.name == name]
    marks = {mark.id for member in methods for mark in member.decorator_list if isinstance(mark, ast.Name)}
    return (owner[0], f"{inner[-1]}.{name}") if marks & {"classmethod", "staticmethod"} else None


def _renamed(room: str, name: str) -> str | None:
    for module in modules_in(f"{PACKAGE}.{room}"):
        new = renamed(module.path).get(name)
        if new is not None:
            return new
    return None


def renamed(path: Path) -> dict[str, str]:
    """A module's `RENAMED = {"OldPart": "NewPart", "Part.old_key": "new_key"}`, read without importing."""
    node = constant(path, "RENAMED")
    if node is None:
        return {}
    try:
        table = ast.literal_eval(node)
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}


def _foreign(text: str) -> Target:
    barred = next((name for name in REFUSED if text == name or text.startswith(f"{name}.")), None)
    if barred is not None:
        raise UnknownTarget(f"'{text}' is refused: {barred} can run code that a recipe brings along")
    module, _, name = text.rpartition(".")
    first = text.split(".")[0]
    file = module_file(module) if first not in ALLOWED else None
    if file is not None and name in definitions(file):
        return Target(text, module, name, file)
    if not is_installed(first):
        raise UnknownTarget(f"'{text}' cannot be called: the package '{first}' is not installed")
    if file is not None and file.name != "__init__.py" and file == package_root(first):
        names = [other for other in definitions(file) if not other.startswith("_")]
        raise UnknownTarget(f"unknown target '{text}'{hint(name, names)}")
    return Target(text, "", text, None)
