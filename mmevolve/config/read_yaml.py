"""YAML 1.2 to a tree that knows file, line and column of every key and value, and back to text."""

from __future__ import annotations

import re

import yaml

from mmevolve.config.errors import ConfigError, Place, Problem, config_error
from mmevolve.config.tree import Entry, Items, Keyed, Leaf, Node, Scalar, plain

# The YAML 1.2 core schema. PyYAML's own is 1.1, where `1e-5` is text, `yes` is true and `010` is eight.
_CORE = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
)
_MAX_DIGITS = 300  # no setting is longer, and Python refuses to read integers of more than 4300


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's way to drop the 1.1 rules)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {}  # noqa: RUF012

    def ignore_aliases(self, data: object) -> bool:
        return True


for _tag, _pattern, _first in _CORE:
    for _reader in (_Loader, _Dumper):
        _reader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


def dump(node: Node) -> str:
    """A tree as YAML, `$name`s kept."""
    return yaml.dump(plain(node), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def parse(text: str, file: str, place: Place | None = None) -> Node:
    """The tree of one YAML text; `place`, when given, stands for every spot in it.

    Raises:
        ConfigError: when the text is no YAML, repeats a key, or uses anchors, merges or tags.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise _broken(error, file, place) from error
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"the YAML cannot be read: {type(error).__name__}", file) from error
    if root is None:
        return Leaf(None, place or Place(file, 1, 1))
    problems: list[Problem] = []
    try:
        tree = _convert(root, file, place, problems, set())
    except RecursionError as error:
        raise ConfigError("the YAML is nested too deeply", file) from error
    if problems:
        raise config_error(problems)
    return tree


def _convert(node: yaml.Node, file: str, place: Place | None, problems: list[Problem], seen: set[int]) -> Node:
    spot = place or Place(file, node.start_mark.line + 1, node.start_mark.column + 1)
    if id(node) in seen:
        problems.append(Problem("a recipe has no anchors (`&`, `*`): name a top-level object and write `$name`", spot))
        return Leaf(None, spot)
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return Items(tuple(_convert(item, file, place, problems, seen) for item in node.value), spot)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, file, place, problems, seen)
    assert isinstance(node, yaml.ScalarNode)
    return Leaf(_scalar(node, spot, problems), spot)


def _mapping(node: yaml.MappingNode, file: str, place: Place | None, problems: list[Problem], seen: set[int]) -> Keyed:
    entries: list[Entry] = []
    first: dict[Scalar, Place] = {}
    for key_node, value_node in node.value:
        key = _convert(key_node, file, place, problems, seen)
        value = _convert(value_node, file, place, problems, seen)
        if not isinstance(key, Leaf):
            problems.append(Problem("a key must be one word, not a list or a mapping", key.place))
        elif key.value == "<<":
            what = "a recipe has no merge key (`<<`): name a top-level object and write `$name`"
            problems.append(Problem(what, key.place))
        elif key.value in first:
            problems.append(Problem(f"the key '{key.value}' stands twice, first at {first[key.value]}", key.place))
        else:
            first[key.value] = key.place
            entries.append(Entry(key.value, value, key.place))
    return Keyed(tuple(entries), place or Place(file, node.start_mark.line + 1, node.start_mark.column + 1))


def _scalar(node: yaml.ScalarNode, spot: Place, problems: list[Problem]) -> Scalar:
    kind: str = node.tag.removeprefix("tag:yaml.org,2002:")
    text: str = node.value
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind in ("int", "float") and len(text) <= _MAX_DIGITS:
        try:
            return _number(kind, text)
        except ValueError:
            pass  # an explicit tag on text that is no number: said below
    problems.append(Problem(f"'{text[:40]}' with the tag '{node.tag}' is not a value a recipe can hold", spot))
    return None


def _number(kind: str, text: str) -> int | float:
    if kind == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _broken(error: yaml.YAMLError, file: str, place: Place | None) -> ConfigError:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ConfigError(f"this is not YAML: {str(error).splitlines()[0]}", file)
    mark = error.problem_mark
    what = f"this is not YAML: {error.problem}" + (f" {error.context}" if error.context else "")
    spot = place or Place(file, mark.line + 1, mark.column + 1)
    return ConfigError(what, spot.file, spot.line, spot.column)
