"""One row of a published set while it is read: every complaint is kept, so that all of them can be said together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmevolve.data.cells import image_cell, is_empty, text_cell
from mmevolve.data.images import verify_image
from mmevolve.data.rows import Row
from mmevolve.types import ImageRef

WithoutImage = Literal["error", "keep", "drop"]


@dataclass
class Cells:
    """One row being read: it keeps every complaint instead of ending at the first.

    Attributes:
        row: as the table has it.
        root: folder of the pictures.
        verify: read pictures through.
        name: the row's id, or the set's name and the row's number.
        complaints: (column, what is wrong with it).
        left_out: why the row is not wanted; empty when it is.
    """

    row: Row
    root: Path | None
    verify: bool
    name: str = ""
    complaints: list[tuple[str, str]] = field(default_factory=list)
    left_out: str = ""

    def has(self, column: str) -> bool:
        """Whether the cell holds something; an empty list and a picture without bytes and path hold nothing."""
        cell = self.row.values.get(column)
        if isinstance(cell, Mapping) and set(cell) <= {"bytes", "path"}:
            return any(cell.values())
        return not is_empty(cell) and cell != []

    def first(self, *columns: str) -> str:
        """The first of these columns that holds something; else the first that is there; else the first."""
        there = [column for column in columns if column in self.row.values]
        return next((column for column in columns if self.has(column)), (there or [*columns])[0])

    def read(self, column: str, parse: Callable[[Any], Any], default: Any = None) -> Any:
        """The cell as `parse` gives it; what that complains of is kept."""
        return self.attempt(column, lambda: parse(self.row.values.get(column)), default)

    def attempt(self, column: str, act: Callable[[], Any], default: Any = None) -> Any:
        """What `act` gives; what it complains of is kept as a complaint about the column."""
        try:
            return act()
        except (ValueError, OSError) as error:
            self.complain(column, str(error))
            return default

    def complain(self, column: str, said: str) -> None:
        """Keep a complaint; the same one is kept once."""
        if (column, said) not in self.complaints:
            self.complaints.append((column, said))

    def text(self, column: str) -> str:
        """Text that is not empty."""
        return self.read(column, text_cell, "")

    def pictures(
        self, column: str, paths: Callable[[str], tuple[str, ...]] = lambda path: (path,)
    ) -> tuple[ImageRef, ...]:
        """The pictures of a cell: a path, bytes, `{bytes, path}`, or a list of these.

        Args:
            column: where they stand.
            paths: the paths at which a picture may lie, by the path that the cell has; the first that is there.
        """
        cell = self.row.values.get(column) if self.has(column) else []
        listed = list(cell) if isinstance(cell, list | tuple) else [cell]
        refs = [self.attempt(column, lambda one=one: self.picture(one, paths)) for one in listed]
        return tuple(ref for ref in refs if ref is not None)

    def picture(self, cell: object, paths: Callable[[str], tuple[str, ...]] = lambda path: (path,)) -> ImageRef:
        """One picture.

        Raises:
            ValueError: when it is none, is not there, or leads out of the folder.
        """
        ref = self._found(cell, paths)
        if self.verify:
            try:
                verify_image(ref)
            except ValueError as error:
                raise ValueError(str(error).removeprefix("image ")) from error
        return ref

    def _found(self, cell: object, paths: Callable[[str], tuple[str, ...]]) -> ImageRef:
        path = (None if cell.get("bytes") else cell.get("path")) if isinstance(cell, Mapping) else cell
        if not isinstance(path, str) or not path or ".." in path.split("/") or path.startswith("/"):
            return image_cell(cell, self.root)
        first, *others = paths(path)
        try:
            return image_cell(first, self.root)
        except ValueError:
            for other in others:
                with suppress(ValueError):
                    return image_cell(other, self.root)
            raise

    def wants_picture(self, column: str, without_image: WithoutImage | None = None) -> None:
        """What happens to a row whose picture is missing; None when the set leaves no choice."""
        if self.has(column) or without_image == "keep":
            return
        if without_image == "drop":
            self.left_out = "without a picture"
        else:
            allowed = " (allowed with without_image: keep, or drop)" if without_image else ""
            self.complain(column, f"is empty{allowed}")
