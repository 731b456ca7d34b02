"""Spread a stage's units over devices with `Trainer.predict`, as `Trainer.fit` spreads training."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.utils.data import DataLoader

from mmevolve import ranks
from mmevolve.store import RunStore
from mmevolve.training.callbacks import interruptible, settings
from mmevolve.training.modules import ReasonerModule, Work


@dataclass(frozen=True)
class Spread:
    """Run units of work on all of a trainer's devices.

    A unit is never split, and is worked on in the same batch whatever the number of devices: so are its rows.

    Attributes:
        trainer: a partial of lightning.Trainer.
        module: what carries the work to the devices.
    """

    trainer: Callable[..., lightning.Trainer] = lightning.Trainer
    module: Callable[..., ReasonerModule] = ReasonerModule

    def describe(self) -> None:
        """Nothing for the store's keys: rows do not depend on how they were spread, so devices may change in a run."""

    def __call__(self, policy: Any, work: Work, units: Sequence[Any]) -> list[list[Any]]:
        """Rows of each unit, in the units' order; nothing in a process that only helps."""
        rows = RunStore(tempfile.mkdtemp(prefix="mmevolve-predict-"))
        writer = _Writer(rows)
        ours = {
            "logger": False,
            "callbacks": [writer],
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        try:
            trainer = self.trainer(**settings(ours, self.trainer))
            loader = DataLoader(list(enumerate(units)), batch_size=1, shuffle=False, collate_fn=_numbered)
            with interruptible(trainer):
                trainer.predict(self.module(policy, work=_Numbered(work)), loader, return_predictions=False)
            trainer.strategy.barrier()  # until every process has written its units
            return [[] if ranks.helps() else rows.read(unit_file(rows, i)) for i in range(len(units))]
        finally:
            shutil.rmtree(rows.path, ignore_errors=True)


@dataclass(frozen=True)
class _Numbered:
    """Work on one numbered unit at a time, keeping its number."""

    work: Work

    def __call__(self, batch: Sequence[tuple[int, Any]]) -> list[tuple[int, list[Any]]]:
        return [(i, list(self.work([unit])[0])) for i, unit in batch]


class _Writer(BasePredictionWriter):
    """Each process writes the units that it worked on, in the store's row format."""

    def __init__(self, rows: RunStore):
        super().__init__("batch")
        self.rows = rows

    def setup(self, trainer, module, stage):
        """All processes write where the first one reads."""
        self.rows = RunStore(trainer.strategy.broadcast(self.rows.path))

    def write_on_batch_end(self, trainer, module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
        for i, rows in prediction:
            self.rows.write(unit_file(self.rows, i), rows)


def unit_file(rows: RunStore, unit: int) -> Path:
    """Where a unit's rows lie."""
    return rows.folder / f"{unit:06d}.parquet"


def _numbered(items: list) -> list:
    return items
