"""Data and models looked at before a run, by checks that their own modules bring along and that load no torch."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mmevolve.config.errors import Place, Problem
from mmevolve.config.signatures import Signature
from mmevolve.config.source import definitions, imports, module_file
from mmevolve.config.survey import Survey
from mmevolve.config.targets import Target
from mmevolve.config.tree import Items, Keyed, Leaf, Node, plain, reference, settings, target_text, walk

HEAVY = frozenset({"torch", "transformers", "lightning", "peft", "open_clip", "torchvision", "accelerate"})
_MODELS = "mmevolve.models.preflight"


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
    if "preflight" in definitions(target.path) and not is_heavy(target.path):
        module, words = target.module, given
    elif target.room == "models" and _light_models():
        module, words = _MODELS, given
    else:
        return
    function: Callable[..., Iterator[str]] = importlib.import_module(module).preflight
    # A setting the recipe misspells, or one the function does not look at, is not its business.
    if module == _MODELS:
        arguments: tuple[str, ...] = (target.attribute,)
    else:
        arguments, words = (), _accepted(definitions(target.path)["preflight"], given, signature)
    try:
        yield from function(*arguments, **words)
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


def _light_models() -> bool:
    room, module = module_file("mmevolve.models"), module_file(_MODELS)
    return module is not None and "preflight" in definitions(module) and not (room is not None and is_heavy(room))


def _accepted(node: ast.stmt, given: dict[str, object], signature: Signature | None) -> dict[str, object]:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    if node.args.kwarg is not None:
        return {key: value for key, value in given.items() if signature is None or signature.open or signature.get(key)}
    names = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
    return {key: value for key, value in given.items() if key in names}


def _literals(node: Keyed, seen: Survey) -> dict[str, object]:
    """The settings that are plain values, or `$name`s of plain values: no calls anywhere inside."""
    found = {str(entry.key): seen.follow(entry.value) for entry in settings(node)}
    return {key: plain(value) for key, value in found.items() if value is not None and _is_literal(value)}


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
