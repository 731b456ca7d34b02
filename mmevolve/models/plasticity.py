"""Plasticity: whether a network that was trained for long can still learn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any

import torch
import torch.nn.functional as F

from mmevolve.config.ranges import Range
from mmevolve.models.encode import Row, collate
from mmevolve.models.parts import trunk
from mmevolve.models.score import before, hidden_states
from mmevolve.prompts import template
from mmevolve.text import ask, chunks, stable_seed
from mmevolve.types import Sample

KINDS = ("relu", "gelu", "silu", "swish", "mish", "elu")  # what the classes of activation functions are called


@dataclass(frozen=True)
class Plasticity:
    """Four numbers of a model on held-out samples, in the place of an evaluation; none of them needs an answer.

    `active_units` is the share of the language model's hidden units whose mean |activation| over the samples' tokens is
    above `active` times their layer's mean, and `dormant_units` the share at or below `dormant` times it: a smooth
    activation function is never quite 0, so the paper's "above 0" would count every unit. `effective_rank` is the
    exponential of the entropy of the singular values of the last prompt tokens' hidden states, centred. `refit_loss` is
    the cross-entropy, over that of guessing, left after `steps` steps of AdamW on random labels, weights and a fresh
    linear head: it rises when the network learns new things less easily. The weights are put back afterwards.

    Papers: Ma et al. 2024, arXiv:2310.07418 (fraction of active units, adaptive replay ratio); Sokar et al. 2023,
    arXiv:2302.12902 (dormant units, over the layer's mean); Roy and Vetterli 2007 (effective rank); Lyle et al. 2023,
    arXiv:2303.01486 (fitting random labels as the probe).
    Differs: theirs are ReLU networks on pixels in reinforcement learning.

    Attributes:
        data: samples whose questions are read.
        name: stands before its numbers.
        model: measured in place of the loop's policy, such as the trunk of a `StepRewardModel`.
        active: see above.
        dormant: likewise.
        steps: of the probe; 0 leaves it out.
        classes: random labels of the probe.
        lr: of the probe.
        batch: samples a pass.
        prompt: prompt template.
        seed: of the labels.

    Raises:
        ValueError: without samples, or when the model has no activation function that is a module of its own.
    """

    data: Sequence[Sample]
    name: str = "plasticity"
    model: Any = None
    active: Annotated[float, Range(0.0)] = 0.1
    dormant: Annotated[float, Range(0.0)] = 0.025
    steps: Annotated[int, Range(0)] = 10
    classes: Annotated[int, Range(2)] = 4
    lr: Annotated[float, Range(0.0)] = 1e-3
    batch: Annotated[int, Range(1)] = 16
    prompt: str = "question"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError(f"'{self.name}' has no samples to read: give it held-out questions as `data`")

    def __call__(self, policy: Any, store: Any, *, at: int | str) -> dict[str, float]:
        """Its numbers at a measured point, made or read."""
        model = policy if self.model is None else getattr(self.model, "trunk", self.model)
        (row,) = store.once(at, self.name, plasticity, model, self)
        return {f"{self.name}/{k}": v for k, v in row.items()}


def plasticity(model: Any, probe: Plasticity) -> list[dict[str, float]]:
    """The numbers as one row."""
    words = template(probe.prompt)
    rows = [Row(model.encoder.prompt(ask(sample, words))) for sample in probe.data]
    parts = list(chunks(rows, probe.batch))
    sums: dict[str, torch.Tensor] = {}
    with torch.inference_mode(), listening(model, sums):
        states = torch.cat([last_states(model, part) for part in parts])
    relative = torch.cat([units / units.mean().clamp(min=1e-12) for units in sums.values()])
    found = {
        "active_units": (relative > probe.active).float().mean().item(),
        "dormant_units": (relative <= probe.dormant).float().mean().item(),
        "effective_rank": effective_rank(states),
    }
    if probe.steps:
        found["refit_loss"] = refit_loss(model, parts, probe)
    return [{name: round(value, 6) for name, value in found.items()}]


def last_states(model: Any, rows: list[Row]) -> torch.Tensor:
    """(B, D) hidden states of each prompt's last token."""
    batch = collate(rows, pad=model.pad, device=model.device, side="right")
    hidden = hidden_states(model.model, batch)
    return hidden[torch.arange(len(rows), device=hidden.device), torch.tensor(before(rows), device=hidden.device)]


@contextmanager
def listening(model: Any, sums: dict[str, torch.Tensor]) -> Iterator[None]:
    """Adds up |activation| by unit of every activation function of the language model while it is open.

    Padding is read along with the tokens: the same rows in the same batches are compared with themselves.

    Raises:
        ValueError: when there is no such module.
    """
    inner = trunk(model.model)
    text = getattr(inner, "language_model", inner)
    found = [(n, m) for n, m in text.named_modules() if is_activation(m)]
    if not found:
        raise ValueError(f"'{model.name}' has no activation function as a module of its own: its units cannot be read")

    def hook(name: str) -> Any:
        def add(module: Any, args: Any, out: torch.Tensor) -> None:
            size = out.detach().float().abs().flatten(0, -2).sum(0)
            sums[name] = sums[name] + size if name in sums else size

        return add

    handles = [module.register_forward_hook(hook(name)) for name, module in found]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def is_activation(module: torch.nn.Module) -> bool:
    """Whether a module is an activation function: by its class's name, without weights or parts."""
    name = type(module).__name__.lower()
    return any(kind in name for kind in KINDS) and not [*module.children()] and not [*module.parameters()]


def effective_rank(states: torch.Tensor) -> float:
    """Exp of the entropy of the normalised singular values of (N, D) states less their mean; 1 when all are alike.

    Paper: Roy and Vetterli 2007, "The effective rank".
    """
    values = torch.linalg.svdvals((states - states.mean(0)).double().cpu())
    share = values / values.sum().clamp(min=1e-300)
    share = share[share > 0]
    return math.exp(-(share * share.log()).sum().item()) if len(share) else 1.0


def refit_loss(model: Any, parts: Sequence[list[Row]], probe: Plasticity) -> float:
    """Cross-entropy over log(classes) after the probe's steps on random labels; weights are as they were afterwards."""
    draw = Random(stable_seed(probe.seed, "refit"))
    labels = [torch.tensor([draw.randrange(probe.classes) for _ in part], device=model.device) for part in parts]
    weights = [p for _, p in model.named_weights()]
    kept = [p.detach().clone() for p in weights]
    width = model.model.get_output_embeddings().weight.shape[1]
    head = torch.zeros(probe.classes, width, device=model.device, requires_grad=True)  # fresh, and without chance
    optimizer = torch.optim.AdamW([*weights, head], lr=probe.lr, weight_decay=0.0)
    try:
        with torch.enable_grad():
            for step in range(probe.steps):
                i = step % len(parts)
                optimizer.zero_grad()
                F.cross_entropy(last_states(model, parts[i]).float() @ head.T, labels[i]).backward()
                optimizer.step()
        with torch.no_grad():
            left = [
                F.cross_entropy(last_states(model, part).float() @ head.T, own, reduction="sum")
                for part, own in zip(parts, labels, strict=True)
            ]
    finally:
        with torch.no_grad():
            for weight, was in zip(weights, kept, strict=True):
                weight.copy_(was)
        model.eval_mode()
    return sum(x.item() for x in left) / sum(map(len, parts)) / math.log(probe.classes)
