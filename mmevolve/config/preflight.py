"""Data and models looked at before a run, by checks that their own modules bring along and that load no torch."""

from __future__ import annotations

import ast
import functools
import importlib
import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mmevolve.config.errors import Place, Problem
from mmevolve.config.signatures import Signature
from mmevolve.config.source import definitions, imports, module_file
from mmevolve.config.survey import Survey
from mmevolve.config.targets import Target
from mmevolve.config.tree import Items, Keyed, Leaf, Node, plain, reference, settings, target_text, walk

HEAVY = frozenset({"torch", "transformers", "lightning", "peft", "open_clip", "torchvision", "accelerate"})
_MODELS = "mmevolve.models.preflight"
DEEPEST = 20  # lists and mappings inside each other


def preflight_problems(seen: Survey) -> Iterator[Problem]:
    """What the `preflight` functions of the parts' modules say about the recipe's own settings."""
    made = _made_by_this_recipe(seen)
    for node in walk(seen.nodes):
        target = seen.target(node)
        if target is None or not target.room or not isinstance(node, Keyed):
            continue
        given = _literals(node, seen)
        if made and any(_is_inside(value, made) for value in given.values()):
            continue
        for sentence in _sentences(target, given, seen.signature(node)):
            yield Problem(f"{target.text}: {sentence}", _place_of(sentence, node))


def _sentences(target: Target, given: dict[str, object], signature: Signature | None) -> Iterator[str]:
    assert target.path is not None
    models = module_file(_MODELS)
    function: Callable[..., Iterator[str]]
    room = target.path.with_name("__init__.py")
    heavy = is_heavy(target.path) or (room.is_file() and is_heavy(room))
    if "preflight" in definitions(target.path) and not heavy:
        function = importlib.import_module(target.module).preflight
        words = _accepted(definitions(target.path)["preflight"], given, signature)
    elif target.room == "models" and models is not None and "preflight" in definitions(models) and not is_heavy(models):
        # The file by itself: the room's own __init__ may load torch.
        function = functools.partial(runpy.run_path(str(models))["preflight"], target.attribute)
        words = given
    else:
        return
    try:
        yield from function(**words)
    except (OSError, ValueError, TypeError, KeyError) as error:
        yield f"could not be looked at: {type(error).__name__}: {error}"


def is_heavy(path: Path) -> bool:
    """Whether a module, or one of ours that it imports at its top, imports torch and its kin."""
    return _heavy(path, set())


def _heavy(path: Path, seen: set[Path]) -> bool:
    if path in seen:
        return False
    seen.add(path)
    for _, module, inner in imports(path):
        if module.split(".")[0] in HEAVY:
            return True
        if module.split(".")[0] == "mmevolve":
            files = [module_file(f"{module}.{inner}") if inner else None, module_file(module)]
            if any(file is not None and _heavy(file, seen) for file in files):
                return True
    return False


def _accepted(node: ast.stmt, given: dict[str, object], signature: Signature | None) -> dict[str, object]:
    """The settings a preflight can be given: one the recipe misspells, or it does not look at, is not its business."""
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    if node.args.kwarg is not None:
        return {key: value for key, value in given.items() if signature is None or signature.open or signature.get(key)}
    names = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
    return {key: value for key, value in given.items() if key in names}


def _literals(node: Keyed, seen: Survey) -> dict[str, object]:
    """The settings that are plain values, or `$name`s of plain values: no calls anywhere inside."""
    found = {str(entry.key): _followed(entry.value, seen) for entry in settings(node)}
    return {key: plain(value) for key, value in found.items() if value is not None and _is_literal(value)}


def _followed(node: Node, seen: Survey, depth: int = 0) -> Node | None:
    """A value with every `$name` in it replaced by what it stands for; None where one stands for nothing or itself."""
    found = seen.follow(node) if depth < DEEPEST else None
    if isinstance(found, Items):
        items = [_followed(item, seen, depth + 1) for item in found.items]
        return None if None in items else replace(found, items=tuple(items))
    if isinstance(found, Keyed):
        values = [_followed(entry.value, seen, depth + 1) for entry in found.entries]
        entries = tuple(replace(e, value=v) for e, v in zip(found.entries, values, strict=True) if v is not None)
        return None if None in values else replace(found, entries=entries)
    return found


def _is_literal(node: Node) -> bool:
    return all(reference(inner) is None and target_text(inner) is None for inner in walk(node))


def _made_by_this_recipe(seen: Survey) -> str:
    """The run folder: what lies in it may not be there yet."""
    store = seen.nodes.get("store")
    path = store.get("path") if isinstance(store, Keyed) else None
    return path.value.rstrip("/") if isinstance(path, Leaf) and isinstance(path.value, str) else ""


def _is_inside(value: object, folder: str) -> bool:
    return isinstance(value, str) and (value == folder or value.startswith(f"{folder}/"))


def _place_of(sentence: str, node: Keyed) -> Place:
    """The place of the one setting whose value the sentence quotes, else the call's."""
    quoted = [
        leaf.place
        for entry in settings(node)
        for leaf in (entry.value.items if isinstance(entry.value, Items) else (entry.value,))
        if isinstance(leaf, Leaf) and isinstance(leaf.value, str) and f"'{leaf.value}'" in sentence
    ]
    return quoted[0] if len(quoted) == 1 else node.place
