"""Let torchvision be imported beside a torch that its compiled operators were not built for.

The package registry carries one build of torchvision, for CUDA. Its operators do not load beside a CPU torch; then
`import torchvision` fails with `operator torchvision::nms does not exist`, and lightning (through torchmetrics), peft
and transformers fail with it. None of them calls these operators here, so it is enough that their schemas exist.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


# Packages that import torchvision where it is installed; torch itself does not.
_IMPORTERS = ("lightning", "peft", "transformers", "torchvision", "torchmetrics", "open_clip", "timm")


def may_import_vision(package: str, files: Iterable[Path]) -> bool:
    """Whether importing a package may come to import torchvision, by its name or by a look at its source files."""
    if package == "torch":
        return False
    return package in _IMPORTERS or any(
        word in file.read_text(encoding="utf-8", errors="replace") for file in files for word in _IMPORTERS
    )


@functools.cache
def define_missing_vision_ops() -> object | None:
    """Define the schemas where the operators are missing; where the real ones load, do nothing.

    Returns what must stay alive for the schemas to exist; the cache of this function keeps it.
    """
    if "torchvision" in sys.modules or find_spec("torchvision") is None:
        return None
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return None
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = importlib.import_module("torch").library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    return library
