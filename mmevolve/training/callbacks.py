"""Lightning callbacks: carry the optimizer, show progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning

from mmevolve.training.state import load_state, save_state


class RestoreState(lightning.Callback):
    """Load the optimizer and schedule of an earlier round before the first step; None does nothing."""

    def __init__(self, folder: Path | None, names: list[str]):
        self.folder, self.names = folder, names

    def on_train_start(self, trainer: Any, module: Any) -> None:
        if self.folder is not None:
            load_state(self.folder, trainer.optimizers[0], scheduler_of(trainer), self.names)


class KeepState(lightning.Callback):
    """Write the optimizer and schedule when training ends."""

    def __init__(self, folder: Path, names: list[str]):
        self.folder, self.names = folder, names

    def on_train_end(self, trainer: Any, module: Any) -> None:
        if trainer.is_global_zero:
            save_state(self.folder, trainer.optimizers[0], scheduler_of(trainer), self.names)


class Progress(lightning.Callback):
    """Tell the console how far training is."""

    def __init__(self, console: Any, total: int):
        self.console, self.total = console, total

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.console.tick(batch_idx + 1, self.total)


def scheduler_of(trainer: Any) -> Any | None:
    """The one learning-rate schedule, if there is one."""
    return trainer.lr_scheduler_configs[0].scheduler if trainer.lr_scheduler_configs else None
