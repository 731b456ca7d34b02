"""Python source read without running it: which module defines a name, and what stands there."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
PACKAGE = "mmevolve"
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Module:
    """A source file and the name it is imported by."""

    name: str
    path: Path


def package_root(package: str = PACKAGE) -> Path | None:
    """The folder (or the single file) of an importable package, found without importing it."""
    if package == PACKAGE:
        return _ROOT
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


def package_files(package: str) -> list[Path]:
    """All source files of a package."""
    root = package_root(package)
    if root is None:
        return []
    return [root] if root.is_file() else sorted(root.rglob("*.py"))


def is_installed(package: str) -> bool:
    """Whether a top-level package could be imported; nothing is imported to tell."""
    if package in sys.stdlib_module_names or package in sys.modules:
        return True
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def module_file(module: str) -> Path | None:
    """The source file of a dotted module name, a package's being its `__init__.py`."""
    package, *rest = module.split(".")
    root = package_root(package)
    if root is None or (rest and root.is_file()):
        return None
    if root.is_file():
        return root
    place = root.joinpath(*rest)
    for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if file.is_file() and (rest or file.name == "__init__.py"):
            return file
    return None


def modules_in(room: str) -> list[Module]:
    """Every module of a room (`mmevolve.samplers`: a file or a folder), a folder's own files first."""
    package, *rest = room.split(".")
    root = package_root(package)
    if root is None or root.is_file():
        return []
    place = root.joinpath(*rest)
    single = place.with_name(f"{place.name}.py")
    if rest and single.is_file():
        return [Module(room, single)]
    if not place.is_dir():
        return []
    files = sorted(place.rglob("*.py"), key=lambda file: (len(file.parts), file))
    return [Module(_dotted(room, place, file), file) for file in files if "__pycache__" not in file.parts]


def rooms(package: str = PACKAGE) -> list[str]:
    """The first words a short target can start with: the package's folders and files."""
    root = package_root(package)
    if root is None or root.is_file():
        return []
    folders = [place.name for place in root.iterdir() if place.is_dir()]
    files = [file.stem for file in root.glob("*.py")]
    return sorted(name for name in {*folders, *files} if not name.startswith("_"))


def is_room(name: str) -> bool:
    """Whether `name` is one of the package's folders or files."""
    root = package_root()
    assert root is not None
    return not name.startswith("_") and ((root / name).is_dir() or (root / f"{name}.py").is_file())


def read(path: Path) -> ast.Module | None:
    """The parsed source, or None where it is no Python; kept until the file changes."""
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _read(path: Path, _changed: int) -> ast.Module | None:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return None


def definitions(path: Path) -> dict[str, Definition]:
    """Classes and functions at the top level of a file, by name."""
    tree = read(path)
    body = tree.body if tree is not None else []
    return {node.name: node for node in body if isinstance(node, Definition)}


def constant(path: Path, name: str) -> ast.expr | None:
    """The expression that a top-level `name = ...` of a file gives."""
    tree = read(path)
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node.value
    return None


def imports(path: Path) -> Iterator[tuple[str, str, str]]:
    """Top-level imports as `(local name, module, name inside it or '')`, those under `if TYPE_CHECKING` too."""
    tree = read(path)
    body = list(tree.body) if tree is not None else []
    body += [inner for node in body if isinstance(node, ast.If) for inner in node.body]
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name.split(".")[0], alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((alias.asname or alias.name, node.module, alias.name) for alias in node.names)


def docline(node: Definition | ast.Module | None) -> str:
    """The first line of a docstring, or nothing."""
    text = ast.get_docstring(node) if node is not None else None
    return text.strip().splitlines()[0] if text and text.strip() else ""


def _dotted(room: str, place: Path, file: Path) -> str:
    inner = file.relative_to(place).with_suffix("").parts
    return ".".join([room, *(part for part in inner if part != "__init__")])
