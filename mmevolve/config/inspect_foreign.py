"""Run as a script by `foreign.py`: import packages, write the signatures of some names as JSON, end.

It stands alone (no import of this package), so that what it imports cannot reach the interpreter that checks.
"""

from __future__ import annotations

import importlib
import inspect
import json
import runpy
import sys
import warnings


def describe(name: str) -> dict[str, object]:
    """The signature of one dotted name as plain data, or why there is none."""
    try:
        found, owner = reach(name)
    except ModuleNotFoundError as error:
        return {"error": f"unknown target '{name}': {error}", "keep": False}
    except AttributeError as error:
        # `error.obj` is the last thing that was reached; the names inside it are what could have been meant.
        return {"error": f"unknown target '{name}'", "names": public(error.obj), "keep": True}
    except Exception as error:  # whatever a package raises while it is imported is the user's answer
        return {"error": f"'{name}' cannot be imported: {type(error).__name__}: {error}", "keep": False}
    home = str((found.__module__ if hasattr(found, "__module__") else None) or owner)
    if home.split(".")[0] not in {name.split(".")[0], *FAMILY.get(name.split(".")[0], ())}:
        last = name.rpartition(".")[2]
        return {"error": f"'{name}' is really {home}.{last}, from a package not allowed", "keep": True}
    if not callable(found):
        return {"error": f"'{name}' cannot be called: it is a {type(found).__name__}", "keep": True}
    return signature(found)


# Packages that are published together: `lightning` hands out what its two halves define.
FAMILY = {"lightning": ("lightning_fabric", "pytorch_lightning", "lightning_utilities", "torchmetrics")}


def reach(name: str) -> tuple[object, str]:
    """Import the longest module the name begins with and follow the rest as attributes."""
    words = name.split(".")
    found, owner = importlib.import_module(words[0]), words[0]
    for index, word in enumerate(words[1:], start=2):
        if not hasattr(found, word) and inspect.ismodule(found):
            module = ".".join(words[:index])
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:
                    raise
        found = getattr(found, word)
        owner = ".".join(words[:index]) if inspect.ismodule(found) else owner
    return found, owner


def public(owner: object) -> list[str]:
    """The names a user could have meant inside a module or class."""
    return [name for name in dir(owner) if not name.startswith("_")]


def signature(found: object) -> dict[str, object]:
    """Keywords, which of them are required, their annotations and defaults as text."""
    doc = (inspect.getdoc(found) or "").strip().splitlines()[:1]
    # A function may give anything; of a class it is known whether its objects can be called.
    calls = not inspect.isclass(found) or any("__call__" in vars(base) for base in found.__mro__)
    base = {"keep": True, "is_class": inspect.isclass(found), "calls": calls, "doc": doc[0] if doc else ""}
    try:
        parameters = inspect.signature(found).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return {**base, "open": True, "parameters": []}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    rows = [
        {
            "name": parameter.name,
            "required": parameter.default is inspect.Parameter.empty,
            "annotation": annotation(parameter.annotation),
            "default": "" if parameter.default is inspect.Parameter.empty else repr(parameter.default)[:80],
        }
        for parameter in parameters
        if parameter.kind in named
    ]
    return {**base, "open": any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters), "parameters": rows}


def annotation(value: object) -> str:
    """An annotation as it would be written, '' when there is none."""
    if value is inspect.Parameter.empty:
        return ""
    return value if isinstance(value, str) else inspect.formatannotation(value)


def main() -> None:
    """`inspect_foreign.py ANSWER READY NAME...`; READY is the file of `torchvision_ops.py`, or empty."""
    warnings.simplefilter("ignore")
    answer, ready, *names = sys.argv[1:]
    kept = runpy.run_path(ready) if ready else {}  # what it defines lasts as long as these names do
    if kept:
        kept["ensure_torchvision_imports"]()
    records = {name: describe(name) for name in names}
    with open(answer, "w", encoding="utf-8") as file:
        json.dump(records, file)


if __name__ == "__main__":
    main()
