"""One training stage: rows in, a trained policy and a checkpoint out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import lightning
import torch
from safetensors import SafetensorError
from torch.utils.data import DataLoader

from mmevolve import ranks
from mmevolve.config.ranges import Range
from mmevolve.durable import put
from mmevolve.keys import describe, difference
from mmevolve.protocols import VLM, Loss
from mmevolve.store import RunStore, StoreError, refuse_broken, seal
from mmevolve.text import chunks, stable_seed
from mmevolve.training.callbacks import (
    Checkpointing,
    KeepState,
    Learning,
    Progress,
    RestoreState,
    interruptible,
    settings,
)
from mmevolve.training.logs import loggers
from mmevolve.training.memory import LargestFirst, fitting
from mmevolve.training.modules import ReasonerModule
from mmevolve.training.pairs import check_pairs
from mmevolve.training.passes import Passes
from mmevolve.training.reference import check_reference, kept_reference, wants_mismatched
from mmevolve.types import Example, Preference, Rollout


@dataclass(frozen=True)
class Fit:
    """Train on rows with one loss, through a Lightning trainer.

    Paper: the three ways to carry state are M-STaR's (arXiv:2412.17451, section on training methods).

    Attributes:
        loss: what is minimised; its `example` is the row type.
        optimizer: `optimizer(parameters)`, e.g. a partial of torch.optim.AdamW.
        trainer: `trainer(**ours)`, a partial of lightning.Trainer; devices, precision and strategy are set there, and
            callbacks are added to ours.
        batch_size: rows of a gradient step on one device.
        epochs: passes over the rows; ignored when `steps` is set.
        steps: exact number of batches, one gradient step each on one device; rows are taken again in a new order when
            they run out: equal compute for recipes that keep different numbers of rows.
        scheduler: `scheduler(optimizer)`, stepped once a batch.
        carry: what lives on into the next round: `nothing` (weights go back to where the loop began: ReST-EM),
            `weights` (fresh optimizer: iterative RFT), `optimizer` (weights, moments and schedule: continuous).
        reference: what a loss compares with: the policy as the round's training starts (`start`), the base model
            under its adapter (`base`), or a model of the same base, for whole weights; both stay the same.
        module: the LightningModule that turns rows into the loss's input.
        passes: how the rows of a step go through the model: shared prompts, token budgets, checkpointing, a memory
            limit; None for one padded pass of all.
        shuffle: another order each round and epoch, by seed; False keeps the rows' order.
        bucket: batches made together from rows of like length, then shuffled: less padding, another order.
        clip: gradient norm limit.
        seed: of the order and of dropout.

    Raises:
        ValueError: for a reference with a loss that compares with none.
    """

    loss: Loss
    optimizer: Callable[..., torch.optim.Optimizer]
    trainer: Callable[..., lightning.Trainer] = lightning.Trainer
    batch_size: Annotated[int, Range(1)] = 32
    epochs: Annotated[int, Range(1)] = 1
    steps: Annotated[int, Range(1)] | None = None
    scheduler: Callable[..., Any] | None = None
    carry: Literal["nothing", "weights", "optimizer"] = "weights"
    reference: Literal["start", "base"] | VLM = "start"
    module: Callable[..., ReasonerModule] = ReasonerModule
    passes: Passes | None = None
    shuffle: bool = True
    bucket: Annotated[int, Range(1)] = 1
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.reference != "start" and not self.loss.needs_reference:
            got = self.reference if self.reference == "base" else self.reference.name
            raise ValueError(f"{type(self.loss).__name__} compares with no reference, got reference: {got}")

    def __call__(self, policy: Any, examples: Sequence[Example], store: RunStore, *, round: int) -> Any:
        """Train in place, leave a checkpoint, give the policy its new version; a finished round is only loaded.

        Raises:
            StoreError: when the checkpoint on disk was made otherwise or is damaged, or cannot be written.
            ValueError: when there is no row, one of another type than the loss trains on, or one that it cannot learn
                from; for `reference: base` without an adapter or a reference of another base; when a row or a batch is
                more than `passes` allow.
        """
        folder = store.checkpoint(round)
        version = f"{store.stage_name}/round={round:03d}"
        key = describe({"train": self, "examples": list(examples), "policy": policy})
        if folder.exists():
            refuse_broken(folder)
            refuse_other(folder, key)
            policy.load(folder, version)
            return policy
        if not examples:
            raise ValueError(f"{store.stage_name}, round {round}: no rows to train on")
        wrong = next((e for e in examples if not isinstance(e, self.loss.example)), None)
        if wrong is not None:
            raise ValueError(
                f"{type(self.loss).__name__} trains on {self.loss.example.__name__} rows, "
                f"got a {type(wrong).__name__} from '{wrong.source}'"
            )
        if self.carry == "nothing":
            policy.go_home()
        if self.loss.example is Preference:
            check_pairs(examples)
        examples, dropped = (examples, []) if self.passes is None else fitting(policy, examples, self.passes)
        if not examples:
            raise ValueError(f"{store.stage_name}, round {round}: every row is more than one pass by itself")
        if self.loss.needs_reference:
            base, mismatched = self.reference == "base", wants_mismatched(self.loss)
            if not isinstance(self.reference, str):
                check_reference(policy, self.reference)
            asked = policy if isinstance(self.reference, str) else self.reference
            examples = kept_reference(
                store, asked, examples, round=round, base=base, mismatched=mismatched, passes=self.passes
            )
        more = {} if self.passes is None else {"passes": self.passes}
        module = self.module(policy, loss=self.loss, optimizer=self.optimizer, scheduler=self.scheduler, **more)
        names = [n for n, _ in policy.named_weights()]
        aside = folder.with_suffix(".tmp")
        if not ranks.helps():
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        trained = (f for r in reversed(range(round)) if (f := store.checkpoint(r)).exists())  # a round may be empty
        before = next(trained, None) if self.carry == "optimizer" else None
        batches = list(self.order(examples, round))
        callbacks = [
            RestoreState(before, names),
            Learning(stable_seed(self.seed, "dropout", round)),
            KeepState(aside, names),
            Progress(),
        ]
        if self.passes is not None:
            callbacks += [Checkpointing(self.passes.checkpoint), LargestFirst(batches, self.passes)]
        try:
            self._fit(module, batches, callbacks, store, round)
            if ranks.helps():
                ranks.wait_for(folder)
            else:
                policy.save(aside)
                if dropped:
                    (aside / "left_out.json").write_text(json.dumps(dropped, indent=1))
                (aside / "made_by.json").write_text(json.dumps(key, indent=1, sort_keys=True))
                seal(aside)
                put(aside, folder)  # a finished checkpoint appears in one step
        except (OSError, SafetensorError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise StoreError(
                f"cannot write {folder}: {error}; finished tables and checkpoints are whole, "
                "make room and run the same command again"
            ) from error
        policy.load(folder, version)
        return policy

    def order(self, examples: Sequence[Example], round: int) -> Iterator[list[Example]]:
        """The batches of a round: a pure function of the rows, the seed and the round."""
        rows: list[Example] = []
        epoch = 0
        need = self.steps * self.batch_size if self.steps else self.epochs * len(examples)
        while len(rows) < need:
            turn = list(examples)
            if self.shuffle:
                Random(stable_seed(self.seed, "order", round, epoch)).shuffle(turn)
            rows += turn
            epoch += 1
        window = self.bucket * self.batch_size
        for start in range(0, need, window):
            part = rows[start : min(start + window, need)]
            if self.bucket > 1:
                part.sort(key=_length)
            batches = list(chunks(part, self.batch_size))
            if self.bucket > 1:
                Random(stable_seed(self.seed, "bucket", round, start)).shuffle(batches)
            yield from batches

    def _fit(self, module: Any, batches: list, callbacks: list, store: RunStore, round: int) -> None:
        store.console.begin(f"{store.stage_name} round={round:03d} train")
        ours = {
            "max_epochs": 1,
            "logger": loggers(store.folder, f"round={round:03d}"),
            "callbacks": callbacks,
            "gradient_clip_val": self.clip,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": min(10, len(batches)),
        }
        trainer = self.trainer(**settings(ours, self.trainer))
        loader = DataLoader(batches, batch_size=1, shuffle=False, collate_fn=only)
        with interruptible(trainer):
            trainer.fit(module, loader)
        module.policy.eval_mode()
        store.console.end(trainer.num_training_batches)


def _length(row: Example) -> int:
    """Characters of a row, a stand-in for tokens that needs no tokenizer."""
    sides: tuple[Sized, ...]
    if isinstance(row, Preference):
        sides = (row.chosen, row.rejected)
    else:
        sides = (row.token_ids if isinstance(row, Rollout) else row.completion,)
    return sum(len(p.get("text", "")) for m in row.prompt for p in m["content"]) + max(map(len, sides))


def only(items: list) -> Any:
    """A batch is made before the loader sees it."""
    return items[0]


def refuse_other(folder: Path, key: Any) -> None:
    """Stop when a finished checkpoint was trained with other settings, rows or starting weights.

    Raises:
        StoreError: naming the setting.
    """
    change = difference(json.loads((folder / "made_by.json").read_text()), json.loads(json.dumps(key)))
    if change:
        raise StoreError(
            f"{folder} was made with other settings: {change}; use a new run folder, or delete this checkpoint"
        )
