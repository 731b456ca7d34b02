"""The reference as pages of reStructuredText, one a room of the package, each module found in the package itself."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mmevolve"
GENERATED = Path(__file__).parent / "reference"


def modules(package: Path = PACKAGE) -> list[str]:
    """Dotted names of all public modules, `__main__` aside."""
    names = []
    for file in sorted(package.rglob("*.py")):
        parts = (package.name, *file.relative_to(package).with_suffix("").parts)
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return sorted(names)


def pages(package: Path = PACKAGE) -> dict[str, str]:
    """Page name -> text: an index, and one page a room with its modules in order."""
    rooms: dict[str, list[str]] = {}
    for name in modules(package):
        rooms.setdefault([*name.split("."), package.name][1], []).append(name)
    single = sorted(room for room, names in rooms.items() if len(names) == 1)
    index = [*title("Reference", "="), "From the docstrings of the code.", "", *tree(sorted(set(rooms) - set(single)))]
    found = {"index": "\n".join([*index, *tree(single)])}
    for room, names in rooms.items():
        dotted = package.name if room == package.name else f"{package.name}.{room}"
        text = title(dotted, "=")
        for name in names:
            text += [
                *(title(name, "-") if name != dotted else []),
                f".. automodule:: {name}",
                "   :members:",
                "   :ignore-module-all:",
                "",
            ]
        found[room] = "\n".join(text)
    return found


def title(text: str, line: str) -> list[str]:
    """A heading."""
    return [text, line * len(text), ""]


def tree(names: list[str]) -> list[str]:
    """A table of contents."""
    return [".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in names), ""]


def write(folder: Path = GENERATED) -> None:
    """Put the pages into a folder that holds nothing else; pages of rooms that are gone go too."""
    folder.mkdir(exist_ok=True)
    wanted = pages()
    for old in folder.glob("*.rst"):
        if old.stem not in wanted:
            old.unlink()
    for name, text in wanted.items():
        file = folder / f"{name}.rst"
        if not file.is_file() or file.read_text() != text:
            file.write_text(text)
