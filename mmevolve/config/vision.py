"""Which foreign packages need `mmevolve.torchvision_ops` before they can be imported."""

from __future__ import annotations

import importlib

from mmevolve.config.source import package_files

OPS = "mmevolve.torchvision_ops"
# Packages that import torchvision where it is installed; torch itself does not.
_IMPORTERS = ("lightning", "peft", "transformers", "torchvision", "torchmetrics", "open_clip", "timm")


def may_import_vision(package: str) -> bool:
    """Whether importing a package may come to import torchvision, by its name or by a look at its source files."""
    if package == "torch":
        return False
    return package in _IMPORTERS or any(
        word in file.read_text(encoding="utf-8", errors="replace")
        for file in package_files(package)
        for word in _IMPORTERS
    )


def prepare_import(package: str) -> None:
    """Make ready what importing a package may need."""
    if may_import_vision(package):
        importlib.import_module(OPS).ensure_torchvision_imports()
