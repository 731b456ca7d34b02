"""Which names of the package are parts, told by what they can do."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mmevolve.config.source import PACKAGE, Definition, definitions, docline, modules_in

PART_ROOMS = (
    "loops",
    "data",
    "samplers",
    "critics",
    "selectors",
    "losses",
    "schedules",
    "metrics",
    "models",
    "training",
)
OTHER_ROOMS = ("store", "evaluation")  # named by every recipe, listed nowhere
_WORK = frozenset({"__call__", "generate", "score_steps", "once"})  # what a part can be asked to do


def parts(room: str) -> list[tuple[str, str]]:
    """`samplers.Independent` and its first docstring line, for every part of a room."""
    found: dict[str, str] = {}
    for module in modules_in(f"{PACKAGE}.{room}"):
        for name, node in definitions(module.path).items():
            if not name.startswith("_") and _is_part(node, room):
                found.setdefault(f"{room}.{name}", docline(node))
        loader = definitions(module.path).get("load")
        if loader is not None:
            found.setdefault(f"{room}.{module.name.rsplit('.', 1)[1]}", docline(loader))
    return sorted(found.items())


def part_names() -> Iterator[str]:
    """Every short target that a recipe has reason to name."""
    for room in (*PART_ROOMS, *OTHER_ROOMS):
        yield from (name for name, _ in parts(room))


def _is_part(node: Definition, room: str) -> bool:
    if isinstance(node, ast.ClassDef):
        methods = {member.name for member in node.body if isinstance(member, ast.FunctionDef)}
        return room != "loops" and (bool(methods & _WORK) or (room == "training" and node.name.endswith("Module")))
    # A data set is a function that gives samples or rows, a loop one that takes its parts by name; others are helpers,
    # such as those that read one row's cells, or give rows in pairs.
    gives = ast.unparse(node.returns) if node.returns is not None else ""
    if room == "loops":
        return bool(node.args.kwonlyargs) and not node.args.args
    rows = gives.endswith(("[Sample]", "[Demonstration]", "[Preference]")) and "Cells" not in ast.unparse(node.args)
    return (room == "data" and rows and node.name != "load") or (room == "evaluation" and "HeldOut" in gives)
