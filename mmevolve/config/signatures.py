"""What a call may be given: own code from its source, foreign code from what was read once and kept."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmevolve.config.annotations import ANY, Type, last_word, parse_annotation
from mmevolve.config.source import PACKAGE, Definition, definitions, docline, imports, module_file
from mmevolve.config.targets import Target, UnknownTarget, renamed, resolve


@dataclass(frozen=True)
class Parameter:
    """One setting of a call."""

    name: str
    required: bool
    type: Type = ANY
    annotation: str = ""
    default: str = ""
    doc: str = ""


@dataclass(frozen=True)
class Signature:
    """The settings of a call.

    Attributes:
        parameters: in the order of the source.
        open: whether any other keyword is taken too (`**kwargs`, or a class that could not be read).
        is_class: whether calling it gives an instance of it.
        doc: the first line of its docstring.
        renamed: former names of settings.
        example: the kinds of training rows it yields or takes, when it says so.
        calls: whether what the call gives can itself be called, as far as can be told.
    """

    parameters: tuple[Parameter, ...] = ()
    open: bool = False
    is_class: bool = True
    doc: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    example: tuple[str, ...] = ()
    calls: bool = True

    def names(self) -> list[str]:
        return [parameter.name for parameter in self.parameters]

    def get(self, name: object) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


def own_signature(text: str) -> Signature | None:
    """The signature of a short target; None when it is unknown or foreign."""
    try:
        target = resolve(text)
    except UnknownTarget:
        return None
    return source_signature(target)


def source_signature(target: Target) -> Signature | None:
    """The signature read from the target's source; None when it has none (foreign code)."""
    if target.path is None:
        return None
    owner, _, method = target.attribute.partition(".")
    node = definitions(target.path).get(owner)
    if node is None:
        return None
    old = {key.partition(".")[2]: new for key, new in renamed(target.path).items() if key.startswith(f"{owner}.")}
    if isinstance(node, ast.ClassDef) and method:
        inner = next(member for member in node.body if isinstance(member, ast.FunctionDef) and member.name == method)
        static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in inner.decorator_list)
        return _function(inner, target.path, is_class=False, skip=0 if static else 1)
    if isinstance(node, ast.ClassDef):
        return _class(node, target.path, old)
    return _function(node, target.path, is_class=False, skip=0, old=old)


def _class(node: ast.ClassDef, path: Path, old: Mapping[str, str]) -> Signature:
    found: dict[str, Parameter] = {}
    readable = True
    for base, base_path in reversed(list(_lineage(node, path))):
        if base is None:
            readable = False
            continue
        init = _member(base, "__init__")
        if init is not None:
            inner = _function(init, base_path, is_class=True, skip=1)
            found, readable = {parameter.name: parameter for parameter in inner.parameters}, not inner.open
        elif _is_dataclass(base) or "NamedTuple" in _bases(base):
            found.update(_fields(base, base_path))
    bases = [base for base, _ in _lineage(node, path)]
    said = {name: doc for base in reversed(bases) if base is not None for name, doc in attribute_docs(base).items()}
    found = {name: p if p.doc else replace(p, doc=said.get(name, "")) for name, p in found.items()}
    calls = None in bases or any(base is not None and _member(base, "__call__") for base in bases)
    return Signature(tuple(found.values()), not readable, True, docline(node), old, _example(node, path), calls)


def _lineage(node: ast.ClassDef, path: Path, depth: int = 0) -> Iterator[tuple[ast.ClassDef | None, Path]]:
    """The class, then its bases; None for a base whose source is not ours."""
    yield node, path
    for base in node.bases:
        name = last_word(base.value if isinstance(base, ast.Subscript) else base)
        if name in ("Protocol", "Generic", "NamedTuple", "object", "ABC"):
            continue
        found = _find_class(name, path) if depth < 8 else None
        if found is None:
            yield None, path
        else:
            yield from _lineage(found[0], found[1], depth + 1)


def _find_class(name: str, path: Path) -> tuple[ast.ClassDef, Path] | None:
    node = definitions(path).get(name)
    if isinstance(node, ast.ClassDef):
        return node, path
    for local, module, inner in imports(path):
        if local == name and inner and module.split(".")[0] == PACKAGE:
            file = module_file(module)
            other = definitions(file).get(inner) if file is not None else None
            if file is not None and isinstance(other, ast.ClassDef):
                return other, file
    return None


def _fields(node: ast.ClassDef, path: Path) -> dict[str, Parameter]:
    docs = attribute_docs(node)
    found: dict[str, Parameter] = {}
    for member in node.body:
        if not isinstance(member, ast.AnnAssign) or not isinstance(member.target, ast.Name):
            continue
        annotation = ast.unparse(member.annotation)
        if re.match(r"(typing\.)?ClassVar\b", annotation.strip("'\"")):
            continue
        default = _default(member.value)
        if default is None:
            continue
        name = member.target.id
        kind = parse_annotation(annotation, path)
        found[name] = Parameter(name, default == "", kind, annotation, default, docs.get(name, ""))
    return found


def _default(value: ast.expr | None) -> str | None:
    """The text of a field's default, '' when it has none, None when the field is not a setting."""
    if value is None:
        return ""
    if not isinstance(value, ast.Call) or last_word(value.func) != "field":
        return ast.unparse(value)
    words = {word.arg: word.value for word in value.keywords}
    init = words.get("init")
    if isinstance(init, ast.Constant) and init.value is False:
        return None
    if "default_factory" in words:
        return f"{ast.unparse(words['default_factory'])}()"
    return ast.unparse(words["default"]) if "default" in words else ""


def _function(
    node: Definition, path: Path, *, is_class: bool, skip: int, old: Mapping[str, str] | None = None
) -> Signature:
    assert not isinstance(node, ast.ClassDef)
    docs, spec = attribute_docs(node), node.args
    plain = [*spec.posonlyargs, *spec.args][skip:]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(spec.defaults)) + list(spec.defaults)
    pairs = [*zip(plain, defaults[-len(plain) :] if plain else [], strict=True)]
    pairs += [*zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
    parameters = []
    for argument, default in pairs:
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        kind, shown = parse_annotation(annotation, path), ast.unparse(default) if default is not None else ""
        parameters.append(Parameter(argument.arg, default is None, kind, annotation, shown, docs.get(argument.arg, "")))
    return Signature(tuple(parameters), spec.kwarg is not None, is_class, docline(node), old or {})


def attribute_docs(node: Definition) -> dict[str, str]:
    """`Attributes:` or `Args:` of a Google docstring, by name."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in (ast.get_docstring(node) or "").splitlines():
        if re.match(r"\S", line):
            name, inside = "", line.strip() in ("Attributes:", "Args:")
        elif inside:
            start = re.match(r"    (\w+)(?: \([^)]*\))?: (.*)", line)
            if start:
                name = start[1]
                found[name] = start[2].strip()
            elif name and line.strip():
                found[name] += f" {line.strip()}"
    return found


def _example(node: ast.ClassDef, path: Path) -> tuple[str, ...]:
    """The row kinds of `example: ClassVar[type[Demonstration]] = Demonstration`; empty when they cannot be read."""
    for base, _ in _lineage(node, path):
        for member in base.body if base is not None else ():
            if isinstance(member, ast.AnnAssign) and last_word(member.target) == "example" and member.value is not None:
                return _row_names(member.value)
            if isinstance(member, ast.Assign) and any(last_word(target) == "example" for target in member.targets):
                return _row_names(member.value)
    return ()


def _row_names(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Tuple):
        return tuple(name for item in node.elts for name in _row_names(item))
    if isinstance(node, ast.BinOp):
        return (*_row_names(node.left), *_row_names(node.right))
    name = last_word(node)
    return (name,) if name and name != "Example" else ()


def _member(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((inner for inner in node.body if isinstance(inner, ast.FunctionDef) and inner.name == name), None)


def _is_dataclass(node: ast.ClassDef) -> bool:
    marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in node.decorator_list]
    return any(last_word(mark) == "dataclass" for mark in marks)


def _bases(node: ast.ClassDef) -> set[str]:
    return {last_word(base) for base in node.bases}
