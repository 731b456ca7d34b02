"""A recipe made into objects: targets imported and called, `$name`s shared."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from mmevolve.config.annotations import Type
from mmevolve.config.errors import ConfigError
from mmevolve.config.load import Recipe
from mmevolve.config.references import LOOP, build_order
from mmevolve.config.signatures import Signature, source_signature
from mmevolve.config.targets import ALLOWED, Target, UnknownTarget, resolve
from mmevolve.config.tree import Items, Keyed, Leaf, Node, is_partial, reference, settings, target_text
from mmevolve.config.vision import prepare_import

# What a wrong setting makes a constructor raise; anything else is a fault of the code and keeps its traceback.
_USER_ERRORS = (ValueError, TypeError, OSError, ImportError)


def build(
    recipe: Recipe,
    *,
    allow: Collection[str] = (),
    given: Mapping[str, object] | None = None,
    skip: Collection[str] = (),
) -> dict[str, object]:
    """Make the top-level objects in the order of their need, the loop last: calling it is running the recipe.

    Args:
        recipe: as loaded.
        allow: packages that may be called beside torch, lightning and peft.
        given: objects that stand in for top-level nodes (a scripted model for a rehearsal).
        skip: top-level names that are not made, such as `loop`.

    Raises:
        ConfigError: for a target that is unknown or refuses its settings; what the loop itself raises passes through.
    """
    made: dict[str, object] = dict(given or {})
    work = _Work(frozenset(allow), made)
    for name in build_order(recipe.nodes):
        node = recipe.nodes.get(name)
        if node is None or name in made or name in skip:
            continue
        if name == LOOP:
            calls = node.items if isinstance(node, Items) else (node,)
            results = [work.make(call, running=True) for call in calls]
            made[name] = results if isinstance(node, Items) else results[0]
        else:
            made[name] = work.make(node)
    return made


@dataclass(frozen=True)
class _Work:
    allow: frozenset[str]
    made: dict[str, object]

    def make(self, node: Node, kind: Type | None = None, *, running: bool = False) -> object:
        name = reference(node)
        if name is not None:
            if name not in self.made:
                raise _wrong(f"${name} is not there: it was left out of this build", node)
            return self.made[name]
        if isinstance(node, Leaf):
            return node.value
        if isinstance(node, Items):
            items = [self.make(item) for item in node.items]
            return tuple(items) if _is_tuple(kind) else items
        if target_text(node) is None:
            return {entry.key: self.make(entry.value) for entry in node.entries}
        return self.call(node, running)

    def call(self, node: Keyed, running: bool) -> object:
        try:
            target = resolve(str(target_text(node)), self.allow)
        except UnknownTarget as error:
            raise _wrong(str(error), node) from error
        signature = source_signature(target)
        function = self.imported(target, node)
        words = {str(entry.key): self.make(entry.value, _type(signature, entry.key)) for entry in settings(node)}
        if is_partial(node):
            return functools.partial(function, **words)
        if running:
            return function(**words)
        try:
            return function(**words)
        except ConfigError:
            raise
        except _USER_ERRORS as error:
            raise _wrong(f"{target.text} refused its settings: {type(error).__name__}: {error}", node) from error

    def imported(self, target: Target, node: Node) -> Callable[..., object]:
        try:
            found = _import(target)
        except (ImportError, AttributeError) as error:
            raise _wrong(f"{target.text} cannot be imported: {error}", node) from error
        home = found.__module__ if hasattr(found, "__module__") else None
        packages = ("mmevolve", *ALLOWED, *(name.split(".")[0] for name in self.allow), *_FAMILY)
        if isinstance(home, str) and home.split(".")[0] not in packages:
            raise _wrong(f"{target.text} is really {home}.{target.attribute}, from a package not allowed", node)
        if not callable(found):
            raise _wrong(f"{target.text} cannot be called: it is a {type(found).__name__}", node)
        return found


# What `lightning` hands out under its own name.
_FAMILY = ("lightning_fabric", "pytorch_lightning", "lightning_utilities", "torchmetrics")


def _import(target: Target) -> object:
    if not target.room:
        prepare_import(target.dotted.split(".")[0])
    if target.module:
        return functools.reduce(getattr, target.attribute.split("."), importlib.import_module(target.module))
    words = target.attribute.split(".")
    found: object = importlib.import_module(words[0])
    for index, word in enumerate(words[1:], start=2):
        if inspect.ismodule(found) and not hasattr(found, word):
            importlib.import_module(".".join(words[:index]))
        found = getattr(found, word)
    return found


def _type(signature: Signature | None, key: object) -> Type | None:
    parameter = signature.get(key) if signature is not None else None
    return parameter.type if parameter is not None else None


def _is_tuple(kind: Type | None) -> bool:
    """Own parts are hashable, so a list becomes a tuple where the annotation allows one."""
    if kind is None:
        return False
    members = kind.args if kind.kind == "union" else (kind,)
    kinds = {member.kind for member in members}
    return bool(kinds & {"tuple", "fixed"}) and "list" not in kinds


def _wrong(what: str, node: Node) -> ConfigError:
    return ConfigError(what, node.place.file, node.place.line, node.place.column)
