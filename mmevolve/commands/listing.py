"""`mmevolve ls`: recipes, parts and benchmarks, read from their sources."""

from __future__ import annotations

from pathlib import Path

from mmevolve.config.errors import ConfigError
from mmevolve.config.parts import PART_ROOMS, parts
from mmevolve.config.source import package_root


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


def benchmarks(data: str | None = None) -> list[tuple[str, str]]:
    """Every benchmark's name, and whether it can run here or what it needs; a broken spec says its first mistake."""
    from mmevolve.benchmarks.load import here
    from mmevolve.benchmarks.spec import load_spec, spec_files

    found = []
    for file in spec_files():
        try:
            spec = load_spec(file)
        except ConfigError as error:
            more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
            found.append((file.stem, f"broken: {error.problems[0]}{more}"))
            continue
        runs, place = here(spec, data)
        found.append((spec.name, f"runs here from {place}" if runs else place))
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
        _rows("benchmarks", benchmarks(data))
    return 0


def _title(title: str, asked: str) -> None:
    if asked == "all":
        print(f"{title}:")


def _rows(title: str, rows: list[tuple[str, str]]) -> None:
    print(f"{title}:" if rows else f"{title}: none")
    width = max((len(name) for name, _ in rows), default=0)
    for name, line in rows:
        print(f"  {name:<{width}}  {line}".rstrip())
