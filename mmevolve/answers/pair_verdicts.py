"""Comparisons of one attempt with others as lines of a critique: each pair was asked in both orders.

`against s/0/3 : first won, second lost` says that the attempt won when it was shown first and lost when it was shown
second: the place decided, not the attempt. What the judge said when it was shown first stands under the line, each
line of it behind a bar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["won", "lost", "tied", "unread"]
_LINE = re.compile(r"against (.{1,2000}) : first (won|lost|tied|unread), second (won|lost|tied|unread)")
_BAR = "| "


@dataclass(frozen=True)
class Compared:
    """One attempt beside another.

    Attributes:
        other: id of the other attempt.
        first: what became of the attempt when it was shown first.
        second: and when it was shown second.
        said: the judge's reply when it was shown first.
    """

    other: str
    first: Outcome
    second: Outcome
    said: str = ""

    @property
    def agreed(self) -> Outcome | None:
        """What both orders say; None where they differ, or one could not be read."""
        return self.first if self.first == self.second != "unread" else None


def written(rows: Sequence[Compared]) -> str:
    """Comparisons as lines."""
    lines = []
    for row in rows:
        lines.append(f"against {row.other} : first {row.first}, second {row.second}")
        lines += [_BAR + line for line in row.said.splitlines()]
    return "\n".join(lines)


def parse(text: str) -> list[Compared]:
    """The comparisons of a critique; other lines are left out.

    >>> parse("against s/0/3 : first won, second won")[0].agreed
    'won'
    """
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in text.split("\n"):
        if match := _LINE.fullmatch(line):
            found.append((match, []))
        elif found and line.startswith(_BAR):
            found[-1][1].append(line.removeprefix(_BAR))
    return [Compared(m[1], m[2], m[3], "\n".join(said)) for m, said in found]  # type: ignore[arg-type]
