"""Hand a verb over to the module that does it, imported only now so that the command line starts at once."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec


class NotThere(Exception):
    """A verb whose module this installation lacks."""


def engine(module: str, function: str) -> Callable[..., object]:
    """The function that does the work of a verb.

    Raises:
        NotThere: when the module is not part of this installation.
    """
    parents = module.split(".")
    for length in range(1, len(parents) + 1):
        if find_spec(".".join(parents[:length])) is None:
            raise NotThere(f"this verb needs {module}, which this installation does not have")
    found = importlib.import_module(module)
    if not hasattr(found, function):
        raise NotThere(f"this verb needs {module}.{function}, which this installation does not have")
    work: Callable[..., object] = getattr(found, function)
    return work


def code(result: object) -> int:
    """The exit code a verb's result means: its own when it is a number, else 0."""
    return result if isinstance(result, int) else 0
