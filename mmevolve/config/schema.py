"""A JSON Schema of recipes, so that an editor completes settings and marks mistakes while they are typed."""

from __future__ import annotations

from typing import Any

from mmevolve.config.annotations import ROOMS, Type
from mmevolve.config.foreign import foreign_signatures
from mmevolve.config.parts import part_names
from mmevolve.config.signatures import Signature, own_signature
from mmevolve.config.source import rooms
from mmevolve.config.tree import PARTIAL, TARGET

# Foreign code that most recipes call; an editor knows no more of other code than that it may be called.
FOREIGN = ("torch.optim.AdamW", "lightning.Trainer", "peft.LoraConfig")
_REFERENCE = {"$ref": "#/definitions/reference"}
_SIMPLE = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "none": "null"}

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema, made anew from the sources."""
    calls = {name: signature for name in part_names() if (signature := own_signature(name)) is not None}
    calls |= {name: found for name, found in foreign_signatures(FOREIGN).items() if isinstance(found, Signature)}
    call = {
        "type": "object",
        "required": [TARGET],
        "properties": {TARGET: {"anyOf": [{"enum": sorted(calls)}, {"type": "string", "pattern": r"^\w+(\.\w+)+$"}]}},
        "allOf": [_rule(name, signature) for name, signature in sorted(calls.items())],
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "mmevolve recipe",
        "type": "object",
        "required": ["loop"],
        "properties": {
            "seed": {"type": "integer"},
            "loop": {"anyOf": [_CALL, {"type": "array", "minItems": 1, "items": _CALL}]},
        },
        "propertyNames": {"pattern": r"^[A-Za-z_]\w*$"},
        "additionalProperties": _VALUE,
        "definitions": {
            "reference": {"type": "string", "pattern": r"^\$[A-Za-z_]\w*$", "description": "a top-level object"},
            "call": call,
            "value": {
                "if": {"type": "object", "required": [TARGET]},
                "then": _CALL,
                "else": {
                    "if": {"type": "object"},
                    "then": _PLAIN,
                    "else": {"if": {"type": "array"}, "then": {"items": _VALUE}},
                },
            },
            "plain": {
                "type": "object",
                "properties": {TARGET: False, PARTIAL: False},
                "additionalProperties": _VALUE,
            },
            **{name: _part(name, room) for name, room in ROOMS.items()},
        },
    }


_CALL = {"$ref": "#/definitions/call"}
_VALUE = {"$ref": "#/definitions/value"}
_PLAIN = {"$ref": "#/definitions/plain"}


def _rule(name: str, signature: Signature) -> Schema:
    """If a call names this target, then these are its settings."""
    properties: Schema = {TARGET: {"const": name}, PARTIAL: {"type": "boolean"}}
    for parameter in signature.parameters:
        note = ". ".join(text for text in (parameter.doc.rstrip("."), _default(parameter.default)) if text)
        properties[parameter.name] = {**of_type(parameter.type), **({"description": note} if note else {})}
    required = [parameter.name for parameter in signature.parameters if parameter.required]
    then: Schema = {"description": signature.doc, "properties": properties}
    if not signature.open:
        then["additionalProperties"] = False
    if required:
        held = {"properties": {PARTIAL: {"const": True}}, "required": [PARTIAL]}
        then["anyOf"] = [{"required": required}, held]
    return {"if": {"properties": {TARGET: {"const": name}}, "required": [TARGET]}, "then": then}


def _default(text: str) -> str:
    return f"Default {text}" if text else ""


def _part(name: str, room: str) -> Schema:
    """A call in the protocol's room, or of code from elsewhere."""
    elsewhere = "|".join(other for other in sorted(rooms()) if other != room)
    pattern = rf"^(?!({elsewhere})\.)" if elsewhere else ""
    return {
        "description": f"a {name}, from {room}",
        "allOf": [_CALL, {"properties": {TARGET: {"pattern": pattern}}}],
    }


def of_type(kind: Type) -> Schema:
    """What a setting may hold; a `$name` may stand anywhere."""
    if kind.kind == "any":
        return _VALUE
    return {"anyOf": [*_members(kind), _REFERENCE]}


def _members(kind: Type) -> list[Schema]:
    if kind.kind == "union":
        return [schema for member in kind.args for schema in _members(member)]
    if kind.kind in _SIMPLE:
        return [{"type": _SIMPLE[kind.kind], **_bounds(kind)}, *([] if kind.kind == "none" else [_CALL])]
    if kind.kind == "literal":
        return [{"enum": list(kind.values)}]
    if kind.kind in ("list", "tuple"):
        return [{"type": "array", "items": of_type(kind.args[0]) if kind.args else _VALUE}, _CALL]
    if kind.kind == "fixed":
        size = len(kind.args)
        return [{"type": "array", "items": [of_type(item) for item in kind.args], "minItems": size, "maxItems": size}]
    if kind.kind == "mapping":
        values = of_type(kind.args[1]) if len(kind.args) == 2 else _VALUE
        return [{"type": "object", "properties": {TARGET: False}, "additionalProperties": values}, _CALL]
    return [{"$ref": f"#/definitions/{kind.name}"}] if kind.kind == "part" else [_CALL]


def _bounds(kind: Type) -> Schema:
    if kind.range is None:
        return {}
    limits = {"minimum": kind.range.low, "maximum": kind.range.high}
    return {word: limit for word, limit in limits.items() if limit is not None}
