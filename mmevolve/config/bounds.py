"""Bounds of settings of foreign code, which their annotations do not tell and which is asked only after hours of a run.

A learning rate below zero is refused by the optimizer when training begins: by then a round was sampled and judged.
Sources: the checks in the constructors of torch 2.13, lightning 2.6 and peft 0.19, and their documentation.
"""

from __future__ import annotations

from dataclasses import replace

from mmevolve.config.annotations import Type
from mmevolve.config.ranges import Range

_SHARE, _POSITIVE, _COUNT, _LIMIT = Range(0, 1), Range(0), Range(1), Range(-1)
BOUNDS: dict[str, dict[str, Range]] = {
    "torch.optim.lr_scheduler": {
        "start_factor": _SHARE,
        "end_factor": _SHARE,
        "pct_start": _SHARE,
        "total_iters": _COUNT,
        "total_steps": _COUNT,
        "step_size": _COUNT,
        "T_max": _COUNT,
        "power": _POSITIVE,
        "max_lr": _POSITIVE,
        "eta_min": _POSITIVE,
    },
    "torch.optim": {
        "lr": _POSITIVE,
        "weight_decay": _POSITIVE,
        "eps": _POSITIVE,
        "betas": _SHARE,
        "momentum": _POSITIVE,
        "rho": _SHARE,
        "lr_decay": _POSITIVE,
    },
    "lightning.Trainer": {
        "max_epochs": _LIMIT,
        "max_steps": _LIMIT,
        "accumulate_grad_batches": _COUNT,
        "gradient_clip_val": _POSITIVE,
        "num_nodes": _COUNT,
        "log_every_n_steps": _POSITIVE,
    },
    "peft.LoraConfig": {"r": _COUNT, "lora_alpha": _COUNT, "lora_dropout": _SHARE},
}


def bounded(name: str, setting: str, kind: Type) -> Type:
    """A foreign setting's type with the bounds that are known of it."""
    owner = next((owner for owner in BOUNDS if name == owner or name.startswith(f"{owner}.")), None)
    known = BOUNDS[owner].get(setting) if owner is not None else None
    return kind if known is None else _within(kind, known)


def _within(kind: Type, known: Range) -> Type:
    """The numbers of a type, alone or among the members of a union or a list, within bounds."""
    if kind.kind in ("int", "float"):
        return replace(kind, range=known)
    return replace(kind, args=tuple(_within(member, known) for member in kind.args)) if kind.args else kind
