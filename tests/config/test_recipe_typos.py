"""Every key of a recipe, misspelt by one edit: is it caught, and is the right word named?"""

from __future__ import annotations

import importlib
import random
import string
import sys
import time
from pathlib import Path

import pytest

from mmevolve.config import check, load
from mmevolve.config.foreign import foreign_signatures
from mmevolve.config.signatures import Signature, own_signature
from mmevolve.config.tree import Entry, Keyed, target_text, walk

EDITS_A_KEY = 4
KEYS = 60  # of the shipped recipes
ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def one_edit(word: str, draw: random.Random) -> str:
    """A letter left out, put in, replaced, or swapped with the next."""
    kind, at = draw.choice(("out", "in", "other", "swap")), draw.randrange(len(word))
    letter = draw.choice(string.ascii_lowercase + "_")
    if kind == "out" and len(word) > 1:
        return word[:at] + word[at + 1 :]
    if kind == "in":
        return word[:at] + letter + word[at:]
    if kind == "swap" and at + 1 < len(word):
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + letter + word[at + 1 :]


def keys_with_owners(path: str) -> list[tuple[Entry, list[str]]]:
    """Every key with the other words that would be right in its place."""
    nodes = load(path).nodes
    pairs = []
    for node in (node for node in walk(nodes) if isinstance(node, Keyed)):
        target = target_text(node)
        signature = own_signature(target) if target else None
        if target and signature is None:
            signature = foreign_signatures([target])[target]
        valid = signature.names() if isinstance(signature, Signature) else []
        pairs += [(entry, [*valid, *map(str, node.written())]) for entry in node.entries]
    return pairs


def typos(text: str, path: str, seed: int) -> list[tuple[str, str, str]]:
    """`(key, its misspelling, the recipe with it)`, some a key."""
    draw, found = random.Random(seed), []
    for entry, valid in keys_with_owners(path):
        key = str(entry.key)
        for _ in range(EDITS_A_KEY):
            wrong = one_edit(key, draw)
            while wrong in (key, "", *valid):
                wrong = one_edit(key, draw)
            rows = text.split("\n")
            line, start = rows[entry.place.line - 1], entry.place.column - 1
            assert line[start:].startswith(key)
            rows[entry.place.line - 1] = line[:start] + wrong + line[start + len(key) :]
            found.append((key, wrong, "\n".join(rows)))
    return found


def says(key: str, wrong: str, line: str) -> bool:
    """Whether a line names the word that was meant; a misspelt object is named by those who miss it."""
    return f"nearest is '{key}'" in line or (f"${key} names no" in line and f"nearest is '{wrong}'" in line)


def tally(
    cases: list[tuple[str, str, str]], path: Path
) -> tuple[list[tuple[str, str]], list[tuple[str, str, list[str]]]]:
    """The misspellings that go unnoticed, and those that are noticed without the right word."""
    missed, unnamed = [], []
    for key, wrong, text in cases:
        path.write_text(text, encoding="utf-8")
        lines = [str(problem) for problem in check(path) if not problem.warning]
        if not lines:
            missed.append((key, wrong))
        elif not any(says(key, wrong, line) for line in lines):
            unnamed.append((key, wrong, lines))
    return missed, unnamed


def test_a_misspelt_key_is_caught_and_the_right_word_named(write, house, recipe_text, tmp_path, capsys):
    path, started = write(recipe_text), time.perf_counter()
    cases = typos(recipe_text, path, seed=7)
    missed, unnamed = tally(cases, tmp_path / "typo.yaml")
    right = 1 - (len(missed) + len(unnamed)) / len(cases)
    with capsys.disabled():
        seconds = time.perf_counter() - started
        print(f"\n{len(cases)} misspelt keys: {len(missed)} missed, {right:.1%} with the right word, {seconds:.1f} s")
    assert missed == []
    assert right >= 0.95, unnamed


@pytest.fixture(scope="module")
def strict():
    """The script that does this at length: eval/performance/strict_recipes.py."""
    folder = str(ROOT / "eval" / "performance")
    sys.path.insert(0, folder)
    yield importlib.import_module("strict_recipes")
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def keys_of_recipes(strict):
    """One key of every kind of company in which keys stand in the shipped recipes."""
    return strict.once_each([spot for path in RECIPES for spot in strict.spots(str(path))])


def test_a_misspelt_key_of_a_shipped_recipe_is_caught(strict, keys_of_recipes):
    some = random.Random(1).sample(keys_of_recipes, KEYS)
    tallies, _, cases = strict.misspellings(some, letters=1, seed=1)
    missed = [(str(spot.entry.place), wrong) for spot, wrong, said in cases if not said.caught and spot.kind != "own"]
    assert missed == []
    ours = [tally for kind, tally in tallies.items() if kind != "own"]
    tried = sum(tally.tried for tally in ours)
    assert tried > 10 * KEYS
    assert sum(tally.placed for tally in ours) >= 0.95 * tried
    assert sum(tally.named for tally in ours) >= 0.95 * tried
    # Words that only their reader knows are not judged nearby.
    known = [case for case in cases if case[0].kind != "own"]
    assert strict.same_as_whole(known, many=12, seed=1) == []


def test_values_of_the_wrong_type_or_out_of_range_are_caught_where_they_stand(strict, keys_of_recipes):
    found = strict.wrong_values(keys_of_recipes)
    assert found.unseen == () and found.tried > 2 * len(keys_of_recipes)


def test_a_former_name_of_a_setting_says_the_new_one(strict, keys_of_recipes):
    tried, told = strict.renamed(keys_of_recipes)
    assert tried == told > 100
