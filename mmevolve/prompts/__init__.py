"""Prompt templates: text files with named fields; a file's name is a setting."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def template(name: str) -> str:
    """The text of a template: `name` of a packaged one, or a path ending in .txt.

    Raises:
        ValueError: when there is none, naming those there are.
    """
    path = Path(name) if name.endswith(".txt") else FOLDER / f"{name}.txt"
    if not path.is_file():
        raise ValueError(f"no prompt '{name}': packaged are {', '.join(sorted(p.stem for p in FOLDER.glob('*.txt')))}")
    return path.read_text(encoding="utf-8").rstrip("\n")
