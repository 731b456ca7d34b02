"""Strict recipes: every key misspelt by every kind of edit, every value of a wrong type or out of range.

    python eval/performance/strict_recipes.py [--letters 4] [--whole 600] [--seed 0]

Each key of each recipe under recipes/ is misspelt: every deletion, every swap of neighbours, and at every position
`--letters` seeded letters put in and as many in place of the one that stands there (all 38 would be two million). The
answer of `mmevolve check` must be an error at the key's line and column that names the key. Names of top-level objects
are told by those who miss them. A call with the same settings is asked once, however many recipes hold it. An edit that
makes another valid key is counted by itself.

To be quick, a recipe is read once and a misspelt word is put into its tree, and only the mappings around it are checked
again, by the functions that `mmevolve check` runs; `--whole` of the cases are also written to a file and checked whole,
and both must say the same.

Values: what fits is told by a second, small reader of the annotations, not by the one under test. Renamed: each setting
is said to have had another name, and that name is written.
"""

from __future__ import annotations

import argparse
import ast
import re
import string
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from mmevolve.config.calls import call_problems
from mmevolve.config.check import check, check_recipe, mapping_problems, top_problems
from mmevolve.config.errors import Problem
from mmevolve.config.load import Recipe, load
from mmevolve.config.survey import Survey, survey
from mmevolve.config.tree import PARTIAL, TARGET, Entry, Items, Keyed, Leaf, Node, children, target_text

LETTERS = string.ascii_lowercase + string.digits + "_-"
HEAVY = ("torch", "transformers", "lightning", "peft", "open_clip")


@dataclass(frozen=True)
class Spot:
    """A key of a recipe.

    Attributes:
        recipe: the recipe, with the survey of it.
        above: the mappings from the top level down to the one that holds the key.
        entry: the key with its value.
    """

    recipe: Recipe
    seen: Survey
    above: tuple[Keyed, ...]
    entry: Entry

    @property
    def owner(self) -> Keyed:
        return self.above[-1]

    @property
    def top(self) -> bool:
        return len(self.above) == 1

    @property
    def kind(self) -> str:
        """setting, rule (`_target_`, `_partial_`), name (of a top-level object) or own (a key of the user's)."""
        if self.top:
            return "name"
        return "rule" if self.entry.key in (TARGET, PARTIAL) else "setting" if target_text(self.owner) else "own"

    def alike(self) -> tuple[Any, ...]:
        """What decides how this key's misspellings are answered: equal for spots that need no second look."""
        if self.kind == "name":
            return (self.recipe.path, self.entry.key)
        over = tuple((target_text(node), frozenset(map(str, node.written()))) for node in self.above[1:][-2:])
        return (self.entry.key, over if self.kind != "setting" else over[-1], len(self.above) == 2)

    def others(self) -> set[str]:
        """The other words that would be right in its place."""
        signature = self.seen.signature(self.owner)
        taken = {str(key) for key in self.owner.written()}
        return ({*signature.names()} if signature and self.kind != "own" else set()) | taken | {TARGET, PARTIAL}


def spots(path: str) -> list[Spot]:
    """Every key of a recipe, in the order of the file.

    Raises:
        ValueError: when the recipe is not right as it stands.
    """
    recipe = load(path)
    wrong = [str(problem) for problem in check_recipe(recipe) if not problem.warning]
    if wrong:
        raise ValueError(f"{path} is not right as it stands: {wrong[0]}")
    seen = survey(recipe.nodes)
    return [Spot(recipe, seen, above, entry) for above in _mappings(recipe.nodes, ()) for entry in above[-1].entries]


def _mappings(node: Node, above: tuple[Keyed, ...]) -> Iterator[tuple[Keyed, ...]]:
    here = (*above, node) if isinstance(node, Keyed) else above
    if isinstance(node, Keyed):
        yield here
    for child in children(node):
        yield from _mappings(child, here)


def once_each(all_spots: Sequence[Spot]) -> list[Spot]:
    """The first of all spots that are answered alike."""
    return list({spot.alike(): spot for spot in reversed(all_spots)}.values())[::-1]


def edits(word: str, letters: int, draw: Random) -> dict[str, str]:
    """Misspellings by one edit, each with its kind; `letters` a position of those that put one in or replace one."""
    found: dict[str, str] = {}
    for i in range(len(word) + 1):
        if i < len(word):
            found.setdefault(word[:i] + word[i + 1 :], "deletion")
            found.setdefault(word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :], "transposition")
            for letter in draw.sample(LETTERS, letters):
                found.setdefault(word[:i] + letter + word[i + 1 :], "substitution")
        for letter in draw.sample(LETTERS, letters):
            found.setdefault(word[:i] + letter + word[i:], "insertion")
    found.pop(word, None)
    return found


@contextmanager
def put(entry: Entry, field: str, value: object) -> Iterator[None]:
    """An entry with another key or value for a moment: a tree is not copied a hundred thousand times."""
    before = getattr(entry, field)
    object.__setattr__(entry, field, value)
    try:
        yield
    finally:
        object.__setattr__(entry, field, before)


def misspelt(spot: Spot, wrong: str) -> list[Problem]:
    """The errors of a recipe with one key misspelt, of the mappings around it."""
    if _odd(wrong):
        with tempfile.TemporaryDirectory() as folder:
            return check_whole(spot, wrong, Path(folder))
    if wrong in spot.owner.written():
        return [Problem(f"the key '{wrong}' stands twice", spot.entry.place)]
    lost = (spot.seen.targets, spot.seen.signatures) if spot.entry.key == TARGET else ()
    gone = [table.pop(id(spot.owner), None) for table in lost]
    try:
        with put(spot.entry, "key", wrong):
            nearby = [problem for node in spot.above[:0:-1] for problem in mapping_problems(node, spot.seen)]
            if spot.top or (spot.entry.key == TARGET and len(spot.above) == 2):
                nearby += top_problems(spot.recipe.nodes)
    finally:
        for table, value in zip(lost, gone, strict=True):
            if value is not None:
                table[id(spot.owner)] = value
    return [problem for problem in nearby if not problem.warning]


def _odd(word: str) -> bool:
    """Whether YAML may read a word as something else than text, or not at all."""
    return not re.search("[a-df-z_]", word) or word in ("null", "true", "false")


def check_whole(spot: Spot, wrong: str, folder: Path) -> list[Problem]:
    """The errors of `mmevolve check` of the recipe's text with one key misspelt."""
    key, place = str(spot.entry.key), spot.entry.place
    rows = spot.recipe.text.split("\n")
    line, start = rows[place.line - 1], place.column - 1
    assert line[start:].startswith(key)
    rows[place.line - 1] = line[:start] + wrong + line[start + len(key) :]
    file = folder / "misspelt.yaml"
    file.write_text("\n".join(rows), encoding="utf-8")
    return [problem for problem in check(file) if not problem.warning]


@dataclass(frozen=True)
class Verdict:
    """What was said of one misspelling.

    Attributes:
        caught: whether there is an error.
        placed: whether one stands at the key's line and column, or names them.
        named: whether one names the word that was meant.
    """

    caught: bool
    placed: bool
    named: bool


def verdict(spot: Spot, wrong: str, problems: Sequence[Problem]) -> Verdict:
    """Whether the errors say where the misspelling is and what was meant."""
    key, place = str(spot.entry.key), spot.entry.place
    where = f":{place.line}:{place.column}"
    placed = any(
        (p.place.line, p.place.column) == (place.line, place.column) or f"{where})" in p.what for p in problems
    )
    named = any(
        f"nearest is '{key}'" in p.what
        or (spot.top and f"${key} names no" in p.what and f"nearest is '{wrong}'" in p.what)
        for p in problems
    )
    return Verdict(bool(problems), placed, named)


# --- values ----------------------------------------------------------------------------------------------------------

PALETTE: dict[str, Any] = {
    "text": "abc",
    "whole number": 7,
    "fraction": 0.5,
    "true": True,
    "null": None,
    "list": ["abc", [7]],
    "mapping": {"abc": 7},
    "NaN": float("nan"),
}
PLAIN = {"int", "float", "str", "bool", "None", "NoneType"}
LISTS = {"Sequence", "list", "tuple", "Iterable"}
OPEN = {"Any", "object", "Mapping", "dict", "Path"}


def accepts(annotation: str, value: Any) -> bool | None:
    """Whether an annotation takes a plain value, read by itself; None where that cannot be told."""
    text = annotation.strip()
    inside = re.fullmatch(r"Annotated\[(.*), Range\(.*\)\]", text)
    if inside:
        text = inside[1]
    members = _split(text, "|")
    if len(members) > 1:
        said = [accepts(member, value) for member in members]
        return True if True in said else None if None in said else False
    name, _, rest = text.partition("[")
    name = name.rpartition(".")[2]
    if name in ("Optional", "Union"):
        more = ["None"] if name == "Optional" else []
        return accepts(" | ".join([*_split(rest[:-1], ","), *more]), value)
    if name == "Literal":
        return any(value == choice and type(value) is type(choice) for choice in ast.literal_eval(f"({rest[:-1]},)"))
    if name in PLAIN:
        kinds: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool}
        if name in ("None", "NoneType"):
            return value is None
        right = isinstance(value, kinds[name]) and (name == "bool" or not isinstance(value, bool))
        return right and value == value
    if name in LISTS:
        return None if isinstance(value, list) else False
    if name in OPEN or not name[:1].isupper():
        return None
    return False if isinstance(value, str | int | float | bool) and name in NAMED else None


# Protocols and classes of which a plain value is none; other names may be aliases of one.
NAMED = {
    *("Sampler", "Critic", "Selector", "Loss", "Schedule", "Metric", "TrainStep", "VLM", "Sample", "RunStore"),
    *("HeldOut", "Callable", "Tensor", "LoraConfig", "Evaluation", "Passes"),
}


def _split(text: str, mark: str) -> list[str]:
    """Parts between marks that stand outside brackets."""
    parts, depth, last = [], 0, 0
    for i, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == mark and not depth:
            parts, last = [*parts, text[last:i].strip()], i + 1
    return [*parts, text[last:].strip()]


def bounds(annotation: str) -> list[float]:
    """Numbers just outside the `Range` that an annotation holds."""
    found = re.search(r"Range\((?:low=)?([-\d.]+)?(?:, )?(?:high=)?([-\d.]+)?\)", annotation)
    low, high = found.groups() if found else (None, None)
    return [*([float(low) - 1] if low else []), *([float(high) + 1] if high else [])]


def node_of(value: Any, like: Node) -> Node:
    """A plain value as a node at another node's place."""
    if isinstance(value, list):
        return Items(tuple(node_of(item, like) for item in value), like.place)
    if isinstance(value, dict):
        return Keyed(tuple(Entry(key, node_of(item, like), like.place) for key, item in value.items()), like.place)
    return Leaf(value, like.place)


@dataclass(frozen=True)
class Values:
    """Counts of wrong values: tried, caught at the value's place with the setting's name, and what went unseen."""

    tried: int
    caught: int
    unseen: tuple[str, ...]
    untyped: tuple[str, ...]
    unbounded: tuple[str, ...]


def wrong_values(some: Sequence[Spot]) -> Values:
    """Every setting of own and foreign calls given every plain value that its annotation does not take."""
    tried = caught = 0
    unseen, untyped, unbounded = [], set(), set()
    for spot in (spot for spot in some if spot.kind == "setting"):
        signature, target = spot.seen.signature(spot.owner), spot.seen.target(spot.owner)
        parameter = signature.get(spot.entry.key) if signature else None
        if parameter is None or target is None:
            continue
        name = f"{target.text}.{parameter.name}"
        said = {kind: accepts(parameter.annotation, value) for kind, value in PALETTE.items()}
        untyped |= {name} if parameter.type.kind == "any" else set()
        numbers = [m for m in (parameter.type, *parameter.type.args) if m.kind in ("int", "float")]
        unbounded |= {name} if numbers and all(m.range is None for m in numbers) else set()
        bad = {kind: PALETTE[kind] for kind, answer in said.items() if answer is False}
        bad |= {f"{number:g}": int(number) for number in bounds(parameter.annotation)}
        for member in numbers if not target.room else ():
            if member.range is not None and member.range.low is not None:
                bad["too low"] = member.range.low - 1
        for kind, value in bad.items():
            tried += 1
            with put(spot.entry, "value", node_of(value, spot.entry.value)):
                problems = list(call_problems(spot.owner, target, signature, spot.seen.surroundings()))
            place = spot.entry.value.place
            right = any(
                p.place == place and f"'{parameter.name}' of {target.text}: expected" in p.what for p in problems
            )
            caught += right
            unseen += [] if right else [f"{name} ({parameter.annotation}): {kind}"]
    return Values(tried, caught, tuple(unseen), tuple(sorted(untyped)), tuple(sorted(unbounded)))


def renamed(some: Sequence[Spot]) -> tuple[int, int]:
    """Settings of own parts written by a former name: tried, and told the new one at the key's place."""
    tried = told = 0
    for spot in (spot for spot in some if spot.kind == "setting"):
        signature, target = spot.seen.signature(spot.owner), spot.seen.target(spot.owner)
        if signature is None or target is None or not target.room or signature.get(spot.entry.key) is None:
            continue
        key, former = str(spot.entry.key), f"old_{spot.entry.key}"
        tried += 1
        with put(spot.entry, "key", former):
            known = replace(signature, renamed={former: key})
            problems = list(call_problems(spot.owner, target, known, spot.seen.surroundings()))
        wanted = f"'{former}' of {target.text} is now called '{key}'"
        told += [(p.what, p.place) for p in problems] == [(wanted, spot.entry.place)]
    return tried, told


# --- the figures -----------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """Counts of misspellings by kind of key."""

    tried: int = 0
    caught: int = 0
    placed: int = 0
    named: int = 0

    def add(self, said: Verdict) -> None:
        self.tried += 1
        self.caught += said.caught
        self.placed += said.placed
        self.named += said.named


def misspellings(
    some: Sequence[Spot], letters: int, seed: int
) -> tuple[dict[str, Tally], Counter[str], list[tuple[Spot, str, Verdict]]]:
    """Counts by kind of key, other valid keys that came out (caught or not), and every case that was judged."""
    tallies: dict[str, Tally] = {}
    valid: Counter[str] = Counter()
    cases = []
    for spot in some:
        draw = Random(f"{seed} {spot.alike()!r}" if spot.kind == "name" else f"{seed} {spot.entry.key}")
        others = spot.others()
        for wrong in edits(str(spot.entry.key), letters, draw):
            said = verdict(spot, wrong, misspelt(spot, wrong))
            if wrong in others:
                valid["caught" if said.caught else "not caught"] += 1
                continue
            tallies.setdefault(spot.kind, Tally()).add(said)
            cases.append((spot, wrong, said))
    return tallies, valid, cases


Case = tuple[Spot, str, Verdict]


def whole_verdicts(cases: Sequence[Case], many: int, seed: int) -> list[tuple[Case, Verdict]]:
    """A sample of cases put to `mmevolve check` as files, with what was said of each."""
    some = Random(seed).sample(list(cases), min(many, len(cases)))
    with tempfile.TemporaryDirectory() as folder:
        return [(case, verdict(*case[:2], check_whole(*case[:2], Path(folder)))) for case in some]


def same_as_whole(cases: Sequence[Case], many: int, seed: int) -> list[str]:
    """Where the whole check says something else of a sample of cases."""
    found = whole_verdicts(cases, many, seed)
    return [f"{c[0].entry.place}: '{c[1]}': {c[2]} nearby, {whole} whole" for c, whole in found if whole != c[2]]


def main() -> None:
    words = argparse.ArgumentParser(description="Misspelt keys and wrong values of every recipe.")
    words.add_argument("--letters", type=int, default=4)
    words.add_argument("--whole", type=int, default=600)
    words.add_argument("--seed", type=int, default=0)
    given = words.parse_args()
    start = time.process_time()
    paths = sorted(map(str, Path("recipes").rglob("*.yaml")))
    everywhere = [spot for path in paths for spot in spots(path)]
    some = once_each(everywhere)
    tallies, valid, cases = misspellings(some, given.letters, given.seed)
    lines = [
        f"{len(everywhere):,} keys of {len(paths)} recipes, {len(some):,} of them in different company; every deletion "
        f"and swap, {given.letters} seeded letters of {len(LETTERS)} at each position put in or replaced:",
        "",
        "| key | misspellings | caught | at its line and column | the right word named |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, name in (("setting", "setting of a call"), ("rule", "_target_, _partial_"), ("name", "top-level name")):
        t = tallies[kind]
        lines.append(
            f"| {name} | {t.tried:,} | {t.caught / t.tried:.2%} | {t.placed / t.tried:.2%} | {t.named / t.tried:.2%} |"
        )
    ours = [tally for kind, tally in tallies.items() if kind != "own"]
    total = sum(t.tried for t in ours)
    shares = [sum(getattr(t, field) for t in ours) / total for field in ("caught", "placed", "named")]
    lines.append(f"| together | {total:,} | {' | '.join(f'{share:.2%}' for share in shares)} |")
    free = tallies.get("own", Tally())
    seen = [whole for _, whole in whole_verdicts([case for case in cases if case[0].kind == "own"], 60, given.seed)]
    missed = [f"{s.entry.place} '{s.entry.key}' as '{w}'" for s, w, v in cases if s.kind != "own" and not v.caught]
    unnamed = Counter(f"{s.kind} '{s.entry.key}'" for s, w, v in cases if s.kind != "own" and v.caught and not v.named)
    lines += [
        "",
        f"Edits that give another valid key: {valid.total()}, {valid['caught']} of them caught (the key stands twice, "
        f"or its value does not fit). Keys of a mapping that is itself a value, whose words only its reader knows: of "
        f"{free.tried:,} edits {len(seen)} were put to the whole check, {sum(v.caught for v in seen)} caught, "
        f"{sum(v.named for v in seen)} with the right word.",
        f"Missed: {', '.join(missed[:8]) or 'none'}. Caught without the right word, most often: "
        f"{', '.join(f'{key} ({n})' for key, n in unnamed.most_common(8)) or 'none'}.",
    ]
    other = same_as_whole([case for case in cases if case[0].kind != "own"], given.whole, given.seed)
    values = wrong_values(some)
    tried, told = renamed(some)
    lines += [
        f"{given.whole} of the cases as files through the whole check: {len(other)} are answered otherwise.",
        "",
        f"Wrong types and numbers out of range: {values.tried:,} tried, {values.caught:,} caught at the value's line "
        f"and column with what is expected ({values.caught / values.tried:.2%}). Settings that take "
        f"anything: {', '.join(values.untyped) or 'none'}. "
        f"Numbers without bounds: {', '.join(values.unbounded) or 'none'}.",
        f"Former names: {tried:,} settings of own parts written by one, {told:,} told the new name at line and column.",
        f"No model library was imported before this line: {not set(HEAVY) & set(sys.modules)}. "
        f"{time.process_time() - start:.0f} s of processor time.",
    ]
    print("\n".join(lines))
    for said in (*other[:20], *values.unseen[:40]):
        print("!", said)
    from mmevolve.results import record  # imports torch

    record("Strict recipes", lines, command="python eval/performance/strict_recipes.py")


if __name__ == "__main__":
    main()
