"""Signatures of foreign code: read once by a second interpreter, then kept on disk per installed version."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from mmevolve.config.annotations import parse_annotation
from mmevolve.config.bounds import bounded
from mmevolve.config.nearest import nearest
from mmevolve.config.signatures import Parameter, Signature
from mmevolve.config.source import module_file, package_files
from mmevolve.config.targets import UnknownTarget
from mmevolve.config.vision import OPS, may_import_vision

FORMAT = 2  # raised when what is kept changes, so that old files are read anew
_SECONDS = 300


def cache_folder() -> Path:
    """Where signatures are kept: `$MMEVOLVE_CACHE/signatures`, or under `~/.cache/mmevolve`."""
    chosen = os.environ.get("MMEVOLVE_CACHE")
    return (Path(chosen) if chosen else Path.home() / ".cache" / "mmevolve") / "signatures"


def foreign_signatures(names: Iterable[str]) -> dict[str, Signature | UnknownTarget]:
    """The signature of each full dotted name, or why it has none; what is not kept yet is read in one go."""
    found: dict[str, Signature | UnknownTarget] = {}
    missing: list[str] = []
    folders: dict[str, Path | None] = {}
    for name in sorted(set(names)):
        package = name.split(".")[0]
        if package not in folders:
            folders[package] = _folder(package)
        kept = _kept(name, folders[package])
        if kept is None:
            missing.append(name)
        else:
            found[name] = _signature(name, kept)
    for name, record in (_read(missing) if missing else {}).items():
        folder = folders[name.split(".")[0]]
        if record.get("keep") and folder is not None:
            _keep(name, record, folder)
        found[name] = _signature(name, record)
    return found


def _signature(name: str, record: dict[str, object]) -> Signature | UnknownTarget:
    if "error" in record:
        known: list[str] = record.get("names", [])  # type: ignore[assignment]
        parent, _, last = name.rpartition(".")
        near = nearest(last, known)
        return UnknownTarget(str(record["error"]) + (f": the nearest is '{parent}.{near}'" if near else ""))
    rows: list[dict[str, object]] = record["parameters"]  # type: ignore[assignment]
    parameters = tuple(
        Parameter(
            str(row["name"]),
            bool(row["required"]),
            bounded(name, str(row["name"]), parse_annotation(str(row["annotation"]))),
            str(row["annotation"]),
            str(row["default"]),
        )
        for row in rows
    )
    is_class, calls = bool(record["is_class"]), bool(record["calls"])
    return Signature(parameters, bool(record["open"]), is_class, str(record["doc"]), calls=calls)


def _folder(package: str) -> Path | None:
    version = _version(package)
    return cache_folder() / version if version else None


def _version(package: str) -> str | None:
    """`torch-2.9.1`; for a package that no distribution owns, a mark that changes with its source."""
    try:
        return f"{package}-{metadata.version(package)}"
    except metadata.PackageNotFoundError:
        pass  # the distribution may go by another name than the package
    owners = metadata.packages_distributions().get(package)
    if owners:
        return f"{owners[0]}-{metadata.version(owners[0])}"
    files = package_files(package)
    if not files:
        return None
    marks = "".join(f"{file}:{file.stat().st_mtime_ns};" for file in files)
    return f"{package}-source-{hashlib.sha256(marks.encode()).hexdigest()[:12]}"


def _kept(name: str, folder: Path | None) -> dict[str, object] | None:
    if folder is None:
        return None
    try:
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # not read yet, or cut short: it is read again and replaced
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def _keep(name: str, record: dict[str, object], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as aside:
            json.dump({"format": FORMAT, **record}, aside)
        Path(aside.name).replace(folder / f"{name}.json")
    except OSError:
        return  # a read-only or full disk costs speed, not correctness


def _read(names: list[str]) -> dict[str, dict[str, object]]:
    packages = sorted({name.split(".")[0] for name in names})
    print(f"reading the signatures of {', '.join(packages)} once (kept in {cache_folder()})", file=sys.stderr)
    script = Path(__file__).with_name("inspect_foreign.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        vision = module_file(OPS) if any(may_import_vision(package) for package in packages) else None
        command = [sys.executable, "-P", str(script), str(answer), str(vision or ""), *names]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
            records: dict[str, dict[str, object]] = json.loads(answer.read_text(encoding="utf-8"))
            return records
        except subprocess.TimeoutExpired:
            why = f"importing it took over {_SECONDS} seconds"
        except (OSError, ValueError):
            last = done.stderr.strip().splitlines()[-1:] or [f"the interpreter ended with {done.returncode}"]
            why = last[0]
    return {name: {"error": f"'{name}' cannot be read: {why}"} for name in names}
