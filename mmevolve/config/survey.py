"""Every call of a recipe with what it names and what that takes, found without importing any of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from mmevolve.config.accept import Surroundings
from mmevolve.config.errors import Problem
from mmevolve.config.foreign import foreign_signatures
from mmevolve.config.signatures import Signature, source_signature
from mmevolve.config.targets import Target, UnknownTarget, resolve
from mmevolve.config.tree import TARGET, Keyed, Leaf, Node, reference, walk


@dataclass(frozen=True)
class Survey:
    """What is known of a recipe's calls.

    Attributes:
        nodes: the recipe's top-level mapping.
        targets: what each call names, by the identity of its node.
        signatures: what each call takes, likewise.
        problems: calls that name nothing.
    """

    nodes: Keyed
    targets: dict[int, Target] = field(default_factory=dict)
    signatures: dict[int, Signature] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def target(self, node: Node | None) -> Target | None:
        return self.targets.get(id(node))

    def signature(self, node: Node | None) -> Signature | None:
        return self.signatures.get(id(node))

    def follow(self, node: Node | None) -> Node | None:
        """The node itself, or the top-level one a `$name` stands for (through names of names)."""
        for _ in range(len(self.nodes.entries) + 1):
            name = reference(node)
            if name is None:
                return node
            node = self.nodes.get(name)
        return None

    def surroundings(self) -> Surroundings:
        return Surroundings(lambda name: self.follow(self.nodes.get(name)), self.target, self.signature)


def survey(nodes: Keyed, allow: Collection[str] = ()) -> Survey:
    """Resolve every call and read its signature; foreign ones all at once."""
    seen = Survey(nodes)
    known: dict[str, tuple[Target, Signature | None] | UnknownTarget] = {}  # parts are named many times over
    foreign: dict[int, Keyed] = {}
    for node in walk(nodes):
        named = node.get(TARGET) if isinstance(node, Keyed) else None
        if not isinstance(node, Keyed) or not isinstance(named, Leaf) or not isinstance(named.value, str):
            continue
        if named.value not in known:
            known[named.value] = _look_up(named.value, allow)
        found = known[named.value]
        if isinstance(found, UnknownTarget):
            seen.problems.append(Problem(str(found), named.place))
            continue
        seen.targets[id(node)], signature = found
        if signature is None:
            foreign[id(node)] = node
        else:
            seen.signatures[id(node)] = signature
    read = foreign_signatures(seen.targets[key].text for key in foreign)
    for key, node in foreign.items():
        answer = read[seen.targets[key].text]
        if isinstance(answer, Signature):
            seen.signatures[key] = answer
        else:
            named = node.get(TARGET)
            seen.problems.append(Problem(str(answer), named.place if named is not None else node.place))
            del seen.targets[key]
    return seen


def _look_up(text: str, allow: Collection[str]) -> tuple[Target, Signature | None] | UnknownTarget:
    try:
        target = resolve(text, allow)
    except UnknownTarget as error:
        return error
    return target, source_signature(target)
