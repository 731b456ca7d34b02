"""Lightning callbacks and hooks: carry the optimizer, seed the draws, show progress, hand Ctrl-C back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.trainer.states import TrainerStatus

from mmevolve.console import current
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


class Learning(lightning.Callback):
    """Dropout on while training, and drawn from the round's own seed, so that a round trained again is the same."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_start(self, trainer: Any, module: Any) -> None:
        module.policy.train_mode()
        torch.manual_seed(self.seed + trainer.global_rank)


class Checkpointing(lightning.Callback):
    """Gradient checkpointing of the decoder's layers while training; a frozen eye, which does not train, has none."""

    def __init__(self, on: bool):
        self.on = on

    def on_train_start(self, trainer: Any, module: Any) -> None:
        if self.on:
            for part in module.parts():
                if hasattr(part, "gradient_checkpointing_enable"):
                    part.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def on_train_end(self, trainer: Any, module: Any) -> None:
        if self.on:
            for part in module.parts():
                if hasattr(part, "gradient_checkpointing_disable"):
                    part.gradient_checkpointing_disable()


class Progress(lightning.Callback):
    """Tell the console how far training is."""

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        current().tick(batch_idx + 1, trainer.num_training_batches)


def scheduler_of(trainer: Any) -> Any | None:
    """The one learning-rate schedule, if there is one."""
    return trainer.lr_scheduler_configs[0].scheduler if trainer.lr_scheduler_configs else None


def settings(ours: dict[str, Any], trainer: Any) -> dict[str, Any]:
    """Keywords for a trainer: the recipe's go before ours, but callbacks are joined."""
    theirs = getattr(trainer, "keywords", {})
    more = theirs.get("callbacks") or []
    callbacks = [*ours["callbacks"], *(more if isinstance(more, list) else [more])]
    return {**ours, **theirs, "callbacks": callbacks}


@contextmanager
def interruptible(trainer: Any) -> Iterator[None]:
    """Ctrl-C inside a trainer is Ctrl-C outside: Lightning would end the process and leave the signal ignored."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from end
