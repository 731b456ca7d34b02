"""What a part or a setting means, from its own docstring."""

from __future__ import annotations

from mmevolve.config.accept import describe
from mmevolve.config.errors import ConfigError
from mmevolve.config.foreign import foreign_signatures
from mmevolve.config.nearest import hint
from mmevolve.config.parts import part_names
from mmevolve.config.signatures import Parameter, Signature, own_signature
from mmevolve.config.targets import ALLOWED, UnknownTarget, resolve

RULES = {
    "_target_": "names what to call: a part as `samplers.Independent`, other code by its full dotted path",
    "_partial_": "true holds a call back: the settings given here are kept, the rest is given later",
    "seed": "the recipe's seed, from which every other seed is derived",
    "loop": "what is run: a call, or a list of calls made in order; other top-level names are objects for `$name`",
}


def explain(key: str) -> list[str]:
    """Lines about a part (`samplers.Independent`), one setting of it (`samplers.Independent.n`), or a word (`carry`).

    Raises:
        ConfigError: when nothing goes by that name, with the nearest.
    """
    if key in RULES:
        return [f"{key}: {RULES[key]}"]
    if "." in key:
        return _dotted(key)
    signatures = {name: found for name in part_names() if (found := own_signature(name)) is not None}
    lines = [
        line
        for name, signature in signatures.items()
        if (parameter := signature.get(key)) is not None
        for line in (name, *_setting(parameter))
    ]
    if not lines:
        known = {word for signature in signatures.values() for word in signature.names()}
        raise ConfigError(f"no part has a setting '{key}'{hint(key, {*known, *RULES})}", "explain")
    return lines


def _dotted(key: str) -> list[str]:
    owner, _, last = key.rpartition(".")
    # A class above the last word makes that word a setting; asking for it as a target would import its package.
    signature = None if owner.rpartition(".")[2][:1].isupper() else _signature(key)
    if isinstance(signature, Signature):
        settings = [line for parameter in signature.parameters for line in _setting(parameter)]
        return [f"{key}: {signature.doc}" if signature.doc else key, *settings]
    above = _signature(owner) if "." in owner else signature
    if not isinstance(above, Signature):
        raise ConfigError(str(signature or above), "explain")
    parameter = above.get(last)
    if parameter is None:
        raise ConfigError(f"{owner} has no setting '{last}'{hint(last, above.names())}", "explain")
    return [owner, *_setting(parameter)]


def _signature(name: str) -> Signature | UnknownTarget:
    try:
        resolve(name)
    except UnknownTarget as error:
        return error
    own = own_signature(name) if name.split(".")[0] not in ALLOWED else None
    return own if own is not None else foreign_signatures([name])[name]


def _setting(parameter: Parameter) -> list[str]:
    kind = describe(parameter.type) if parameter.type.kind != "any" else parameter.annotation or "anything"
    rest = "required" if parameter.required else f"default {parameter.default}"
    return [f"  {parameter.name}: {kind}; {rest}", *([f"      {parameter.doc}"] if parameter.doc else [])]
