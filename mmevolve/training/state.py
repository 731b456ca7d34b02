"""Optimizer and schedule state on disk, without pickle: tensors as safetensors, the rest as JSON; exact to the bit."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


def save_state(folder: Path, optimizer: torch.optim.Optimizer, scheduler: Any | None, names: list[str]) -> None:
    """Write `optimizer.safetensors` and `optimizer.json`; parameters are named, so that a changed model is noticed."""
    state = optimizer.state_dict()
    tensors, scalars = {}, {}
    for index, entry in state["state"].items():
        for key, value in entry.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{names[index]}|{key}"] = value.detach().contiguous().clone()
            else:
                scalars[f"{names[index]}|{key}"] = value
    save_file(tensors, folder / "optimizer.safetensors")
    rest = {
        "names": names,
        "scalars": scalars,
        "groups": state["param_groups"],
        "scheduler": None if scheduler is None else progress(scheduler),
    }
    (folder / "optimizer.json").write_text(json.dumps(rest, indent=1))


def load_state(folder: Path, optimizer: torch.optim.Optimizer, scheduler: Any | None, names: list[str]) -> None:
    """Restore what `save_state` wrote.

    Raises:
        ValueError: when the parameters are not the same, naming the first that differs.
    """
    rest = json.loads((folder / "optimizer.json").read_text())
    for old, new in zip(rest["names"], names, strict=False):
        if old != new:
            raise ValueError(
                f"optimizer state in {folder} belongs to another model: it has '{old}' where '{new}' is expected"
            )
    if len(rest["names"]) != len(names):
        raise ValueError(f"optimizer state in {folder} has {len(rest['names'])} parameters, the model {len(names)}")
    index = {name: i for i, name in enumerate(names)}
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**load_file(folder / "optimizer.safetensors"), **rest["scalars"]}.items():
        name, field = key.rsplit("|", 1)
        state.setdefault(index[name], {})[field] = value
    groups = [{**g, "betas": tuple(g["betas"])} if "betas" in g else g for g in rest["groups"]]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    if scheduler is not None and rest["scheduler"] is not None:
        scheduler.load_state_dict({**scheduler.state_dict(), **rest["scheduler"]})


def progress(scheduler: Any) -> dict[str, Any]:
    """How far a schedule is. Settings that are not plain values are left out: the recipe gives them anew."""
    given = inspect.signature(type(scheduler)).parameters
    state = scheduler.state_dict()
    return {k: plain(v) for k, v in state.items() if k not in given or isinstance(v, int | float | str | None)}


def plain(state: Any) -> Any:
    """A scheduler's state as JSON: numbers, text, and lists and dictionaries of them.

    Raises:
        TypeError: naming the entry that is something else; without it the schedule would not go on where it stopped.
    """
    if state is None or isinstance(state, int | float | str):
        return state
    if isinstance(state, list | tuple):
        return [plain(v) for v in state]
    if isinstance(state, dict) and all(isinstance(k, str) for k in state):
        return {k: plain(v) for k, v in state.items()}
    raise TypeError(f"cannot keep the state of the learning-rate schedule: it holds a {type(state).__name__}")
