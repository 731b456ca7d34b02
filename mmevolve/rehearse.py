"""A rehearsal: the same recipe with the shipped tiny VLM, a handful of questions and one gradient step, on the CPU.

`mmevolve run RECIPE --dry-run` takes it through every stage in seconds: a slip is found before a GPU is paid for.
What stays: the loops and their order, samplers, critics, selectors, losses, adapters, schedules. What shrinks is below.
"""

from __future__ import annotations

import ast
import json
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from mmevolve.config.load import Recipe
from mmevolve.config.signatures import Signature, source_signature
from mmevolve.config.source import definitions, package_root
from mmevolve.config.targets import Target, UnknownTarget, resolve
from mmevolve.config.tree import PARTIAL, TARGET, Entry, Items, Keyed, Leaf, Node, plain, reference, target_text
from mmevolve.text import stable_seed

QUESTIONS = 8
FRACTION = 0.5  # of them a round, at least: fewer might hold no right answer
EASY = ("place", "count")  # answered within the token limit, and mostly right, so that there is something to train on
SHIPPED = "mmevolve:tiny_vlm"
# The greatest value of a setting, by the room of the part that has it.
MOST: dict[str, dict[str, int]] = {
    "samplers": {"n": 2, "k": 2, "max_tokens": 16},
    "metrics": {"k": 2, "s": 2},
    "loops": {"rounds": 2, "passes": 1, "steps": 2},
    "training": {"steps": 1, "epochs": 1},
    "evaluation": {"limit": QUESTIONS, "n": 2, "k": 2},
    "data": {"n": QUESTIONS, "descriptions": QUESTIONS},
    "models": {"eye_steps": 1},
}
WORDS = {"reason": "question", "reason_hint": "hint"} | dict.fromkeys(  # the shipped model knows only its world's
    ("review", "review_details", "review_context", "review_scene"), "check"
)
WRITES = {"store": ("path",), "models": ("path", "folder")}  # settings that name a place to write to
ON_CPU = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}
NOT_ON_CPU = ("strategy", "num_nodes", "plugins", "logger")


def rehearsal(recipe: Recipe) -> Recipe:
    """The recipe shrunk; it runs in a temporary folder of its own. Code from outside the package is left as it is."""
    folder = Path(tempfile.mkdtemp(prefix="mmevolve-rehearsal-"))
    model = SHIPPED if _is_shipped() else _fresh(folder / "fresh_vlm")
    nodes = _Shrink(recipe.nodes, model, folder).node(recipe.nodes)
    assert isinstance(nodes, Keyed)
    note = f"# Rehearsal of {recipe.path}: what counts is that it runs, its numbers mean nothing"
    if model != SHIPPED:
        note += " (without the shipped tiny VLM: a fresh one keeps no row, so it ends at the first selection)"
    return replace(recipe, nodes=nodes, text=f"{note}\n{recipe.text}")


@dataclass(frozen=True)
class _Shrink:
    """Rewrites a tree.

    Attributes:
        top: the recipe as written, where `$name`s are looked up.
        model: stands in for every model.
        folder: where everything is written.
    """

    top: Keyed
    model: str
    folder: Path

    def node(self, node: Node) -> Node:
        if isinstance(node, Leaf):
            return node
        if isinstance(node, Items):
            return replace(node, items=_once_each(tuple(self.node(item) for item in node.items)))
        inner = replace(node, entries=tuple(replace(e, value=self.node(e.value)) for e in node.entries))
        text = target_text(inner)
        target = _resolved(text) if text is not None else None
        if target is None:
            return inner
        if not target.room:
            return _on_cpu(inner) if _is_trainer(target) else inner
        signature = source_signature(target)
        return self.part(inner, target, signature) if signature is not None else inner

    def part(self, call: Keyed, target: Target, signature: Signature) -> Keyed:
        """One call of a part of the package."""
        if target.attribute == "ServedVLM":  # no server is asked in a rehearsal
            return _call(call, "models.TransformersVLM", name=self.model, dtype="float32", device="cpu")
        names = set(signature.names())
        if target.room == "evaluation" and target.attribute == "benchmark":
            call = self.benchmark(call, signature)
        gives = _gives(target) if target.room == "data" else ""
        if "Sample]" in gives:
            return _questions(call, target)
        if "Preference]" in gives:
            return _call(call, "data.shape_pairs", n=QUESTIONS, seed=_seed(call))
        if "Demonstration]" in gives and target.attribute != "lessons":
            lessons = _call(call, "data.lessons", descriptions=QUESTIONS, seed=_seed(call))
            return _put(
                lessons, "questions", Keyed(tuple(Entry(f, Leaf(4, call.place), call.place) for f in EASY), call.place)
            )
        if target.room == "models" and {"name", "dtype", "device"} <= names:
            return _with(call, name=self.model, dtype="float32", device="cpu")
        if target.room == "training" and "trainer" in names and call.get("trainer") is None:
            call = _put(call, "trainer", _on_cpu(_call(call, "lightning.Trainer", **{PARTIAL: True})))
        for name in WRITES.get(target.room, ()):
            if name in names:
                was = self.value(call, name, signature)
                call = _with(call, **{name: str(self.folder / target.room / Path(str(was or name)).name)})
        for name, most in MOST.get(target.room, {}).items():
            was = self.value(call, name, signature)
            if isinstance(was, int) and was > most:
                call = _with(call, **{name: most})
        for name in ("number", "proxy", "truth", "monitor") if target.room == "schedules" else ():
            was = self.value(call, name, signature)
            if isinstance(was, str):  # pass@16-4 is measured as pass@2-2
                call = _with(call, **{name: re.sub(r"(?<=[@-])\d+", lambda k: str(min(2, int(k[0]))), was)})
        for name in ("prompt", "review"):
            was = self.value(call, name, signature)
            if isinstance(was, str) and was in WORDS:
                call = _with(call, **{name: WORDS[was]})
        fraction = self.value(call, "fraction", signature)
        if isinstance(fraction, float) and fraction < FRACTION:
            call = _with(call, fraction=FRACTION)
        counts = call.get("questions")  # of the tiny VLM's lessons, by family
        if target.room == "data" and isinstance(counts, Keyed):
            call = _put(call, "questions", _with(counts, **{str(e.key): 2 for e in counts.entries}))
        return call

    def benchmark(self, call: Keyed, signature: Signature) -> Keyed:
        """A few of a benchmark's questions, those of the embedded world where its data are not here; never the hub's.

        Without these words `limit` and `max_tokens` mean all questions and the spec's own length.
        """
        limit = self.value(call, "limit", signature)
        few = limit if isinstance(limit, int) and limit < QUESTIONS else QUESTIONS
        call = _with(call, limit=few, max_tokens=MOST["samplers"]["max_tokens"])
        path, data = (self.value(call, name, signature) for name in ("path", "data"))
        world = _world()
        if world is None or not isinstance(path, str) or _is_here(path, data if isinstance(data, str) else None):
            return call
        return _with(replace(call, entries=tuple(e for e in call.entries if e.key != "data")), path=str(world))

    def value(self, call: Keyed, name: str, signature: Signature) -> object:
        """What a setting is: as written, through `$name`s, or its default; None when that is no plain value."""
        node = call.get(name)
        for _ in range(len(self.top.entries)):
            node = self.top.get(reference(node)) if reference(node) is not None else node
        if node is not None:
            return node.value if isinstance(node, Leaf) else None
        parameter = signature.get(name)
        try:
            return ast.literal_eval(parameter.default) if parameter is not None and parameter.default else None
        except ValueError:
            return None


def _questions(call: Keyed, target: Target) -> Keyed:
    """A few easy questions for any data set; the same settings give the same questions, others give others."""
    if target.attribute == "shapes":
        return _put(_with(call, n=QUESTIONS), "families", _families(call))
    return _put(_call(call, "data.shapes", n=QUESTIONS, seed=_seed(call)), "families", _families(call))


def _seed(call: Keyed) -> int:
    """The same settings give the same questions, others give others."""
    return stable_seed(json.dumps(plain(call), sort_keys=True, default=str)) % 1_000_000


def _is_here(path: str, data: str | None) -> bool:
    """Whether a benchmark's data lie on this machine; a spec that cannot be read is left to say so itself."""
    from mmevolve.benchmarks.load import HUB, here
    from mmevolve.benchmarks.spec import find, load_spec
    from mmevolve.config.errors import ConfigError

    try:
        return data != HUB and here(load_spec(find(path)), data)[0]
    except ConfigError:
        return True


def _world() -> Path | None:
    """The spec of the embedded world, which needs no data; None in an installation without specs."""
    root = package_root()
    spec = root.parent / "eval" / "benchmarks" / "shapes.yaml" if root is not None else None
    return spec if spec is not None and spec.is_file() else None


def _families(call: Keyed) -> Items:
    return Items(tuple(Leaf(family, call.place) for family in EASY), call.place)


def _on_cpu(trainer: Keyed) -> Keyed:
    return _with(replace(trainer, entries=tuple(e for e in trainer.entries if e.key not in NOT_ON_CPU)), **ON_CPU)


def _once_each(items: tuple[Node, ...]) -> tuple[Node, ...]:
    """Metrics that have become the same, as pass@4 and pass@8 have, once each; anything else as it is."""
    kept: dict[str, Node] = {}
    for i, item in enumerate(items):
        target = _resolved(target_text(item) or "")
        metric = target is not None and target.room == "metrics"
        kept.setdefault(json.dumps(plain(item), sort_keys=True, default=str) if metric else str(i), item)
    return tuple(kept.values())


def _call(like: Keyed, target: str, **values: object) -> Keyed:
    """A new call at the place of another."""
    return _with(Keyed((Entry(TARGET, Leaf(target, like.place), like.place),), like.place), **values)


def _with(call: Keyed, **values: str | int | float | bool) -> Keyed:
    """The call with plain settings replaced or added."""
    for name, value in values.items():
        call = _put(call, name, Leaf(value, call.place))
    return call


def _put(call: Keyed, name: str, value: Node) -> Keyed:
    if name not in call.written():
        return replace(call, entries=(*call.entries, Entry(name, value, call.place)))
    return replace(call, entries=tuple(replace(e, value=value) if e.key == name else e for e in call.entries))


def _resolved(text: str) -> Target | None:
    """What a target names; None for code that `--allow` opens, and for slips, which the check reports."""
    try:
        return resolve(text)
    except UnknownTarget:
        return None


def _is_trainer(target: Target) -> bool:
    words = target.text.split(".")
    return words[0] == "lightning" and words[-1] == "Trainer"


def _gives(target: Target) -> str:
    """What a function says that it returns."""
    node = definitions(target.path).get(target.attribute) if target.path is not None else None
    return ast.unparse(node.returns) if isinstance(node, ast.FunctionDef) and node.returns is not None else ""


def _is_shipped() -> bool:
    root = package_root()
    return root is not None and (root / "models" / "tiny_vlm" / "config.json").is_file()


def _fresh(folder: Path) -> str:
    from mmevolve.models.tiny import make_tiny  # torch, only when it is needed

    return make_tiny(folder)
