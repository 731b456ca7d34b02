"""Where a recipe is wrong, and in one sentence why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, order=True)
class Place:
    """A spot in a recipe: `recipes/x.yaml:12:5`, or the override that put a value there.

    Attributes:
        file: path of the recipe as the user wrote it, or the override itself.
        line: from 1; 0 when there is no line.
        column: from 1; 0 when there is no column.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One mistake, as one sentence with its place.

    Attributes:
        what: the sentence: what, got, expected, nearest.
        place: where it stands.
        severity: an error stops a run; a warning does not.
    """

    what: str
    place: Place
    severity: Literal["error", "warning"] = "error"

    @property
    def warning(self) -> bool:
        return self.severity == "warning"

    def __str__(self) -> str:
        mark = "warning: " if self.warning else ""
        return f"{self.place}: {mark}{self.what}"


class ConfigError(ValueError):
    """A recipe that cannot be read or built.

    Attributes:
        problems: everything found wrong, in the order of the file.
    """

    def __init__(
        self, what: str, file: str = "", line: int = 0, column: int = 0, *, problems: Sequence[Problem] = ()
    ) -> None:
        self.what, self.file, self.line, self.column = what, file, line, column
        self.problems = tuple(problems) or (Problem(what, Place(file, line, column)),)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def config_error(problems: Sequence[Problem]) -> ConfigError:
    """The error that carries all of `problems`; its own place is the first one's."""
    first = problems[0]
    return ConfigError(first.what, first.place.file, first.place.line, first.place.column, problems=problems)
