"""What made a table, in JSON: parts, functions and inputs described for the store's keys, and where two keys differ."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmevolve import types
from mmevolve.types import to_row


def describe_call(verb: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A verb and what it is given, by parameter; the round is the table's place, not its content."""
    given = inspect.signature(verb).bind(*args, **kwargs).arguments
    return describe({"verb": verb, **{k: v for k, v in given.items() if k != "round"}})


def describe(value: Any) -> Any:
    """JSON that says what a part, a function or an input is, for keys; long lists of rows become a digest."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()[:16]
    if hasattr(value, "describe") and not isinstance(value, type):
        return describe(value.describe())
    if isinstance(value, functools.partial):
        return {"_target_": _name(value.func), **{k: describe(v) for k, v in value.keywords.items()}}
    if isinstance(value, list | tuple) and value and type(value[0]) in types.NOUNS:
        return {"rows": len(value), "digest": _digest(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"_target_": _name(type(value)), **fields}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if callable(value):
        return _name(value)
    raise TypeError(f"cannot tell what {type(value).__name__} is for the store's keys: give it a describe() method")


def without_defaults(part: Any, names: Sequence[str]) -> dict[str, Any]:
    """A part's description without those of the named settings that are at their defaults.

    For settings that a part gained after runs were made with it: what those runs made is still what they would make.
    """
    fields = [f for f in dataclasses.fields(part) if f.name not in names or getattr(part, f.name) != f.default]
    return {"_target_": _name(type(part)), **{f.name: describe(getattr(part, f.name)) for f in fields}}


def difference(old: Any, new: Any, place: str = "") -> str:
    """The first place where two descriptions differ, in words; empty when they are the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            where = f"{place}.{name}" if place else name
            if name not in old or name not in new:
                return f"'{where}' is {'new' if name in new else 'gone'}"
            if said := difference(old[name], new[name], where):
                return said
        return ""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return next(
            (
                said
                for i, (a, b) in enumerate(zip(old, new, strict=True))
                if (said := difference(a, b, f"{place}[{i}]"))
            ),
            "",
        )
    if old == new or (old != old and new != new):  # a number that could not be measured is NaN both times
        return ""
    return f"'{place}' was {json.dumps(old)}, now {json.dumps(new)}"


def _digest(rows: Sequence[Any]) -> str:
    """Of rows as they are stored, with stored images by their content: the same wherever the run lies."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(to_row(with_images(row, _image_name)), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _image_name(ref: str | bytes) -> str:
    """SHA-256 of an image that is held in memory or in a run's folder; any other path as it is."""
    if isinstance(ref, bytes):
        return hashlib.sha256(ref).hexdigest()
    path = Path(ref)
    return path.stem if path.parent.name == "images" and len(path.stem) == 64 else ref


def with_images(row: Any, change: Callable[[str | bytes], str]) -> Any:
    """A noun with every image reference in it replaced."""
    if isinstance(row, types.Sample):
        return dataclasses.replace(row, images=tuple(change(r) for r in row.images))
    if isinstance(row, types.Group):
        return dataclasses.replace(row, sample=with_images(row.sample, change))
    chats = {name: getattr(row, name) for name in ("prompt", "rejected_prompt") if getattr(row, name, None)}
    changed = {name: _chat_with(chat, change) for name, chat in chats.items()}
    return dataclasses.replace(row, **changed) if changed else row


def _chat_with(chat: types.Chat, change: Callable[[str | bytes], str]) -> types.Chat:
    return tuple(
        {**m, "content": tuple({**p, "image": change(p["image"])} if "image" in p else p for p in m["content"])}
        for m in chat
    )


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
