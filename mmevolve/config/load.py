"""A recipe read from its file, with the command line's overrides applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmevolve.config.errors import ConfigError, Problem, config_error
from mmevolve.config.overrides import override
from mmevolve.config.read_yaml import dump, parse
from mmevolve.config.tree import Keyed, plain


@dataclass(frozen=True)
class Recipe:
    """A recipe as read: its text, and its tree with the overrides applied.

    Attributes:
        path: the file, as the user wrote it.
        text: the file's text, untouched.
        nodes: the top-level mapping.
        overrides: the `a.b=value` that were applied.
    """

    path: str
    text: str
    nodes: Keyed
    overrides: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The tree as dicts, lists and values, `$name`s kept as text."""
        return {str(entry.key): plain(entry.value) for entry in self.nodes.entries}


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply command-line overrides.

    Raises:
        ConfigError: with every problem found: no such file, broken YAML, a key twice, an override that fits nowhere.
    """
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the recipe cannot be read: {error.strerror or error}", file) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the recipe is not UTF-8 text: byte {error.start} is wrong", file) from error
    nodes = parse(text, file)
    if not isinstance(nodes, Keyed):
        raise ConfigError("a recipe is a mapping of named objects, but this file holds none", file, 1, 1)
    problems: list[Problem] = []
    for text_override in overrides:
        try:
            nodes = override(nodes, text_override)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise config_error(problems)
    return Recipe(file, text, nodes, tuple(overrides))


def resolved(recipe: Recipe) -> str:
    """The recipe as YAML with its overrides applied and its `$name`s kept."""
    return dump(recipe.nodes)
