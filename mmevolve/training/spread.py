"""Spread a stage's units over devices with `Trainer.predict`, as `Trainer.fit` spreads training."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.utils.data import DataLoader

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

    def __call__(self, policy: Any, work: Work, units: Sequence[Any]) -> list[list[Any]]:
        """Rows of each unit, in the units' order."""
        folder = Path(tempfile.mkdtemp(prefix="mmevolve-predict-"))
        try:
            trainer = self.trainer(
                **{
                    "logger": False,
                    "callbacks": [_Writer(folder)],
                    "enable_checkpointing": False,
                    "enable_progress_bar": False,
                    "enable_model_summary": False,
                    **getattr(self.trainer, "keywords", {}),
                }
            )
            loader = DataLoader(list(enumerate(units)), batch_size=1, shuffle=False, collate_fn=_numbered)
            trainer.predict(self.module(policy, work=_Numbered(work)), loader, return_predictions=False)
            found: dict[int, list[Any]] = {}
            for file in sorted(folder.glob("*.part")):
                found.update(pickle.loads(file.read_bytes()))
            return [found[i] for i in range(len(units))]
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Numbered:
    """Work on one numbered unit at a time, keeping its number."""

    work: Work

    def __call__(self, batch: Sequence[tuple[int, Any]]) -> list[tuple[int, list[Any]]]:
        return [(i, list(self.work([unit])[0])) for i, unit in batch]


class _Writer(BasePredictionWriter):
    """Each process leaves its rows in a file of its own."""

    def __init__(self, folder: Path):
        super().__init__("batch")
        self.folder = folder

    def write_on_batch_end(self, trainer, module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
        name = f"{trainer.global_rank:04d}-{batch_idx:06d}"
        (self.folder / f"{name}.tmp").write_bytes(pickle.dumps(dict(prediction)))
        (self.folder / f"{name}.tmp").rename(self.folder / f"{name}.part")


def _numbered(items: list) -> list:
    return items
