"""`mmevolve ls`: recipes, parts and benchmarks, read from their sources."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmevolve.config.errors import ConfigError
from mmevolve.config.parts import PART_ROOMS, parts
from mmevolve.config.source import package_root

WIDTH = 110  # characters of a line that is folded


def recipe_folder() -> Path | None:
    """`./recipes`, or the one beside the package."""
    root = package_root()
    places = [Path("recipes"), *([root.parent / "recipes"] if root is not None else [])]
    return next((place for place in places if place.is_dir()), None)


def recipes() -> list[tuple[str, list[str]]]:
    """Every recipe with the comment lines it opens with."""
    folder = recipe_folder()
    files = sorted(folder.rglob("*.yaml")) if folder is not None else []
    return [(str(file), header(file)) for file in files]


def header(file: Path) -> list[str]:
    """The opening comment lines of a recipe, without their marks."""
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return lines


@dataclass(frozen=True)
class Listed:
    """A benchmark in the list.

    Attributes:
        name: as in `--benchmark`.
        state: `runs`, only `stored` answers can be scored, its data are `needed`, or its spec is `broken`.
        lines: its title and where its data lie; what it needs; or its first mistake.
    """

    name: str
    state: Literal["runs", "stored", "needed", "broken"]
    lines: tuple[str, ...]


def benchmarks(data: str | None = None) -> list[Listed]:
    """Every benchmark, and whether it can run here or what it needs; a broken spec says its first mistake."""
    from mmevolve.benchmarks.load import here, lacking
    from mmevolve.benchmarks.spec import load_spec, spec_files

    found = []
    for file in spec_files():
        try:
            spec = load_spec(file)
        except ConfigError as error:
            more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
            found.append(Listed(file.stem, "broken", (f"{error.problems[0]}{more}",)))
            continue
        runs, place = here(spec, data)
        if runs:
            found.append(Listed(file.stem, "runs", (spec.title, f"from {place}")))
        else:
            stored = place.startswith("stored")
            lines = (spec.title, *([place.partition(";")[0]] if stored else []), lacking(spec))
            found.append(Listed(file.stem, "stored" if stored else "needed", lines))
    return found


def print_listing(what: str, data: str | None = None) -> int:
    """Print one of the three lists, or all."""
    if what in ("recipes", "all"):
        _title("recipes", what)
        for name, lines in recipes():
            print(name, *(f"    {line}" for line in lines), sep="\n")
    if what in ("parts", "all"):
        for room in PART_ROOMS:
            _rows(room, parts(room))
    if what in ("benchmarks", "all"):
        _print_benchmarks(benchmarks(data))
    return 0


def _print_benchmarks(found: list[Listed]) -> None:
    """What runs here first, a line each; then what the others need, folded to the width of a terminal."""
    runs = [one for one in found if one.state == "runs"]
    print(f"benchmarks: {len(runs)} of {len(found)} run here" if found else "benchmarks: none")
    width = max((len(one.name) for one in found), default=0)
    for one in runs:
        print(f"  {one.name:<{width}}  {', '.join(one.lines)}")
    titles = {
        "stored": "without images here, for stored answers only:",
        "needed": "data are not here (mmevolve ls benchmarks --data FOLDER looks there):",
        "broken": "broken specs:",
    }
    for state, title in titles.items():
        some = [one for one in found if one.state == state]
        print(*([title] if some else []), sep="\n", end="\n" if some else "")
        for one in some:
            lead, hang = f"  {one.name:<{width}}  ", " " * (width + 4)
            for i, line in enumerate(one.lines):
                first = hang if i else lead
                print(
                    textwrap.fill(
                        line,
                        WIDTH,
                        initial_indent=first,
                        subsequent_indent=hang,
                        break_long_words=False,
                        break_on_hyphens=False,
                    )
                )


def _title(title: str, asked: str) -> None:
    if asked == "all":
        print(f"{title}:")


def _rows(title: str, rows: list[tuple[str, str]]) -> None:
    print(f"{title}:" if rows else f"{title}: none")
    width = max((len(name) for name, _ in rows), default=0)
    for name, line in rows:
        print(f"  {name:<{width}}  {line}".rstrip())
