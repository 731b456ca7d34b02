"""`$name`s: who refers to whom, in which order to build, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from mmevolve.config.errors import ConfigError, Problem
from mmevolve.config.nearest import hint, nearest
from mmevolve.config.tree import Keyed, Leaf, Node, reference, walk

LOOP = "loop"
RESERVED = (LOOP, "seed")  # top-level names that the engine reads itself


def references(node: Node) -> list[tuple[str, Leaf]]:
    """Every `$name` in a value, with its place."""
    found = [(reference(inner), inner) for inner in walk(node)]
    return [(name, leaf) for name, leaf in found if name is not None and isinstance(leaf, Leaf)]


def reference_problems(nodes: Keyed) -> Iterator[Problem]:
    """Dangling names, circles, a missing loop, and (as warnings) objects that nothing uses."""
    names = [str(entry.key) for entry in nodes.entries]
    used = {name for entry in nodes.entries for name, _ in references(entry.value)}
    spare = {name: entry.place for name, entry in zip(names, nodes.entries, strict=True) if name not in used}
    misspelt: set[str] = set()
    for entry in nodes.entries:
        for name, leaf in references(entry.value):
            if name == LOOP:
                yield Problem("$loop cannot be used: the loop is the last thing that happens", leaf.place)
            elif name not in names:
                near = nearest(name, set(spare) - {LOOP, str(entry.key)})
                if near is not None:
                    misspelt.add(near)
                    more = f": the nearest is '{near}' ({spare[near]}), which nothing uses: one of the two is misspelt"
                else:
                    more = hint(name, {*names} - {LOOP, str(entry.key)})
                yield Problem(f"${name} names no top-level object{more}", leaf.place)
    circle = _circle(nodes)
    if circle:
        place = next(entry.place for entry in nodes.entries if entry.key == circle[0])
        yield Problem(f"these objects need each other in a circle: {' -> '.join(f'${name}' for name in circle)}", place)
    for name, place in spare.items():
        if name in RESERVED or name in misspelt:
            continue
        meant = nearest(name, [word for word in RESERVED if word not in names])
        if meant is not None:
            yield Problem(f"nothing uses the object '{name}': the nearest is '{meant}'", place)
        else:
            yield Problem(f"nothing uses the object '{name}'", place, "warning")
    if LOOP not in names and nearest(LOOP, [name for name in names if name not in used]) is None:
        yield Problem("the recipe has no 'loop': a call, or a list of calls, that says what is run", nodes.place)


def build_order(nodes: Keyed) -> list[str]:
    """Top-level names so that each comes after what it refers to; the loop last.

    Raises:
        ConfigError: when objects need each other in a circle, or a `$name` names nothing.
    """
    for problem in reference_problems(nodes):
        if "circle" in problem.what or "names no top-level" in problem.what:
            raise ConfigError(problem.what, problem.place.file, problem.place.line, problem.place.column)
    order: list[str] = []
    for entry in sorted(nodes.entries, key=lambda entry: entry.key == LOOP):
        _place_after(str(entry.key), nodes, order)
    return order


def _place_after(name: str, nodes: Keyed, order: list[str]) -> None:
    if name in order:
        return
    node = nodes.get(name)
    for other, _ in references(node) if node is not None else ():
        _place_after(other, nodes, order)
    order.append(name)


def _circle(nodes: Keyed) -> list[str]:
    """The names along the first circle of references, its first name again at the end; empty when there is none."""
    graph = {str(entry.key): [name for name, _ in references(entry.value)] for entry in nodes.entries}
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        found = next((circle for other in graph.get(name, ()) if (circle := visit(other, [*trail, name]))), [])
        done.add(name)
        return found

    return next((circle for name in graph if (circle := visit(name, []))), [])
