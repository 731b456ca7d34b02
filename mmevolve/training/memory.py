"""Whether training fits into memory, before the first step: the largest batch is tried first, and rows are named."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmevolve.console import current
from mmevolve.training.passes import Load, Passes, Reader, vlm_of
from mmevolve.training.rows_read import rows_read

ADVICE = "fewer rows a step, less of passes.text_tokens and passes.image_tokens, or passes.checkpoint: true take less"


class Held(TorchDispatchMode):
    """Counts the bytes of the tensors made inside that are alive at the same time, on any device.

    Attributes:
        now: bytes alive.
        peak: most bytes alive at once.
        largest: bytes of the largest single tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.largest = 0
        self._known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage not in self._known and id(storage) not in given:
                    self._add(storage)
        return out

    def _add(self, storage: Any) -> None:
        size = storage.nbytes()
        self._known[storage] = size
        self.now += size
        self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.now -= size


@dataclass(frozen=True)
class Plan:
    """Bytes that training takes.

    Attributes:
        weights: of the model.
        gradients: of what is trained.
        optimizer: two numbers a trained weight, as Adam keeps them.
        activations: the most that a step of the largest batch held beside these, measured.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations

    def __str__(self) -> str:
        parts = ((self.weights, "weights"), (self.gradients, "gradients"), (self.optimizer, "optimizer"))
        said = " + ".join(f"{_size(size)} {name}" for size, name in parts)
        return f"{_size(self.total)} = {said} + {_size(self.activations)} for the largest batch"


class LargestFirst(lightning.Callback):
    """Try the largest batch before the first step; weights, gradients and random state stay as they are.

    Raises:
        ValueError: when it does not fit, naming its longest row.
    """

    def __init__(self, batches: Sequence[Sequence[Any]], passes: Passes):
        self.batches, self.passes = batches, passes

    def on_train_start(self, trainer: Any, module: Any) -> None:
        if self.passes.memory is None and module.device.type == "cpu":
            return
        batch, load, longest = largest(module, self.batches)
        with trainer.precision_plugin.train_step_context():
            plan = tried(module, batch)
        current().say(f"  memory: {plan}; its largest pass reads {load}")
        if self.passes.memory is not None and plan.total > self.passes.memory:
            raise ValueError(
                f"training takes {plan.total:,} bytes ({plan}), more than passes.memory {self.passes.memory:,}; the "
                f"longest row of the largest batch is '{longest}': {ADVICE}"
            )


def largest(module: Any, batches: Sequence[Sequence[Any]]) -> tuple[Sequence[Any], Load, str]:
    """The batch with the largest pass, what that pass reads, and where its longest row comes from."""
    reader, vlm = module.read, vlm_of(module.policy)
    most: tuple[Sequence[Any], Load, str] = ((), Load(-1, 0), "")
    for batch in batches:
        owned = [(row, example.source) for example in batch for row in rows_read(module.policy, example)]
        rows = [row for row, _ in owned]
        for mine in reader.plan(vlm, rows):
            load = reader.load(vlm, [rows[i] for i in mine])
            if load.text + load.image > most[1].text + most[1].image:
                longest = max(mine, key=lambda i: len(rows[i].prompt.ids) + len(rows[i].completion))
                most = (batch, load, owned[longest][1])
    return most


def tried(module: Any, batch: Sequence[Any]) -> Plan:
    """Measure one step on a batch, without taking it.

    Raises:
        ValueError: when it does not fit into the memory of a device.
    """
    trained = module.weights()
    before = [p.grad for p in trained]
    device = module.device
    held = Held()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), no_room(batch):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            start = torch.cuda.memory_allocated(device)
            _step(module, batch)
            peak = torch.cuda.max_memory_allocated(device) - start
        else:
            with held:
                _step(module, batch)
            peak = held.peak
    for parameter, gradient in zip(trained, before, strict=True):
        parameter.grad = gradient
    gradients = sum(p.nbytes for p in trained)
    return Plan(
        sum(p.nbytes for p in module.parameters()), gradients, 2 * gradients, max(peak - gradients, 0)
    )  # fmt: skip


def _step(module: Any, batch: Sequence[Any]) -> None:
    loss = module.loss(module.loss_input(batch)).loss
    with module.read.again(module.policy):
        loss.backward()


@contextmanager
def no_room(batch: Sequence[Any]) -> Iterator[None]:
    """Say of which rows a batch was for which there was no memory.

    Raises:
        ValueError: in the place of a device's out-of-memory error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        where = ", ".join(f"'{row.source}'" for row in batch[:4]) + (", ..." if len(batch) > 4 else "")
        first = str(error).split(". ")[0]
        raise ValueError(f"no memory for a step of {len(batch)} rows, from {where} ({first}): {ADVICE}") from error


def fitting(policy: Any, examples: Sequence[Any], passes: Passes) -> tuple[list[Any], list[dict[str, Any]]]:
    """The rows that one pass can hold, and what is left out: each with its source and the reason.

    Raises:
        ValueError: with `too_long: stop`, naming the first row that one pass cannot hold.
    """
    if passes.text_tokens is None and passes.image_tokens is None:
        return list(examples), []
    reader, vlm = Reader(passes), vlm_of(policy)
    kept, dropped = [], []
    for example in examples:
        loads = [reader.load(vlm, [row]) for row in rows_read(policy, example)]
        wrong = next((load for load in loads if not load.within(passes)), None)
        if wrong is None:
            kept.append(example)
            continue
        why = (
            f"{wrong}, one pass takes {_limit(passes.text_tokens)} text and {_limit(passes.image_tokens)} image tokens"
        )
        if passes.too_long == "stop":
            raise ValueError(
                f"row from '{example.source}' is more than one pass by itself: {why}; nothing is cut: allow more by "
                "passes.text_tokens or passes.image_tokens, or leave such rows out by passes.too_long: drop"
            )
        dropped.append({"source": example.source, "reason": f"more than one pass by itself: {why}"})
    if dropped:
        named = ", ".join(f"'{row['source']}'" for row in dropped[:4]) + (", ..." if len(dropped) > 4 else "")
        current().say(f"  passes: {len(dropped)} of {len(examples)} rows left out, too long for one pass: {named}")
    return kept, dropped


def _limit(tokens: int | None) -> str:
    return "any number of" if tokens is None else f"{tokens:,}"


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
