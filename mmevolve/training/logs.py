"""A run for those who watch curves: CSV always, TensorBoard where it is installed, both through Lightning's loggers.

runs/<name>/<loop>/logs/round=000/metrics.csv    training, step by step
runs/<name>/logs/rounds/metrics.csv              what was measured after each round, one step a round
.../tensorboard/...                              the same; `tensorboard --logdir runs/<name>` finds them all
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from mmevolve import ranks


def loggers(folder: Path, version: str) -> list[Logger]:
    """Fresh loggers under a folder; what a try that was stopped left of them is cleared away."""
    found: list[Logger] = [CSVLogger(folder, name="logs", version=version)]
    if find_spec("tensorboard") is not None:
        found.append(TensorBoardLogger(folder, name="tensorboard", version=version))
    if not ranks.helps():
        for name in ("logs", "tensorboard"):
            shutil.rmtree(folder / name / version, ignore_errors=True)
    return found


def log_rounds(folder: Path, rounds: Iterable[Mapping[str, Any]]) -> None:
    """Write what was measured, one step a measurement; what is not a finite number is left out.

    Args:
        folder: the run's.
        rounds: `rounds` of the summary: loop, round and the numbers.
    """
    kept = loggers(folder, "rounds")
    for step, measured in enumerate(rounds):
        numbers = {
            k: v for k, v in measured.items() if isinstance(v, int | float) and math.isfinite(v) and k != "round"
        }
        for logger in kept:
            logger.log_metrics({f"{measured['loop']}/{k}": float(v) for k, v in numbers.items()}, step=step)
    for logger in kept:
        logger.finalize("success")
