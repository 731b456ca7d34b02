"""Let torchvision be imported beside a torch build that its compiled operators were not made for.

open_clip needs torchvision, and the registry has no CPU build of it. Where its compiled library does not load,
`import torchvision` dies on the missing operator `torchvision::nms`, and with it transformers' vision-language classes
and lightning (through torchmetrics). Neither operator is ever called here, so it is enough that their schemas exist.
Where the real operators load, nothing is done.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_LIBRARY: list[torch.library.Library] = []  # the definitions live as long as this object does


def ensure_torchvision_imports() -> None:
    """Define the two schemas if torchvision is installed and its compiled operators do not load; idempotent."""
    spec = importlib.util.find_spec("torchvision")
    if _LIBRARY or spec is None or spec.origin is None:
        return
    for binary in sorted(Path(spec.origin).parent.glob("_C*.so")) + sorted(Path(spec.origin).parent.glob("_C*.pyd")):
        try:
            torch.ops.load_library(str(binary))
            return
        except OSError:  # built for another torch or for CUDA
            continue
    library = torch.library.Library("torchvision", "DEF")
    for op in ("nms", "qnms"):
        library.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARY.append(library)
