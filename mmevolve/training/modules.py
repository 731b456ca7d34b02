"""The three LightningModules. Each learns in `training_step` and works in `predict_step`.

`predict_step` runs a unit of work (sampling, critiquing, scoring) that the caller supplies, so that `Trainer.predict`
spreads it over devices and nodes exactly as `Trainer.fit` spreads training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import lightning
import torch

from mmevolve.losses.inputs import LossInput
from mmevolve.models.encode import Row
from mmevolve.protocols import Loss
from mmevolve.training.check_rows import check_completion
from mmevolve.training.critiqued import critiqued_input
from mmevolve.training.labelled import labelled_input
from mmevolve.training.memory import no_room
from mmevolve.training.pairs import pair_input
from mmevolve.training.passes import Passes, Read, Reader, plainly
from mmevolve.training.rollouts import rollout_input
from mmevolve.types import Demonstration, Example, Labelled, Preference, Rollout

Work = Callable[[Sequence[Any]], Sequence[Sequence[Any]]]


class ReasonerModule(lightning.LightningModule):
    """A VLM that learns from demonstrations, preferences, labelled answers or rollouts, and samples when it predicts.

    Args:
        policy: a `TransformersVLM`; its trainable weights are what the optimizer sees.
        loss: a `Loss` whose rows this module can turn into log-probabilities.
        optimizer: `optimizer(parameters)`.
        scheduler: `scheduler(optimizer)`, stepped once a batch; None for a constant rate.
        work: what `predict_step` runs on a batch of units.
        passes: how the rows of a batch go through the model; None for one padded pass of all.
    """

    def __init__(
        self,
        policy: Any,
        *,
        loss: Loss | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        work: Work | None = None,
        passes: Passes | None = None,
    ):
        super().__init__()
        self.policy = policy
        self.loss = loss
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.work = work
        self.learning: Sequence[Any] = ()
        self.read: Read = plainly if passes is None else Reader(passes)
        for i, part in enumerate(self.parts()):
            self.add_module(f"part{i}", part)

    def parts(self) -> list[torch.nn.Module]:
        """The torch modules inside the policy, so that Lightning moves and wraps them."""
        return [self.policy.model]

    def weights(self) -> list[torch.nn.Parameter]:
        return [p for _, p in self.policy.named_weights()]

    def loss_input(self, rows: Sequence[Example]) -> LossInput:
        """Rows of one kind to per-token log-probabilities (B, T) and what else the kind carries."""
        if isinstance(rows[0], Preference):
            return pair_input(self.policy, rows, self.read)
        if isinstance(rows[0], Rollout):
            return rollout_input(self.policy, rows, self.read)
        if isinstance(rows[0], Labelled):
            return labelled_input(self.policy, rows, self.read)
        return self._demonstrated(rows)

    def _demonstrated(self, rows: Sequence[Demonstration]) -> LossInput:
        encoder = self.policy.encoder
        encoded = [Row(encoder.prompt(r.prompt), encoder.completion(r.completion)) for r in rows]
        for row, tokens in zip(rows, encoded, strict=True):
            check_completion(row.source, tokens.completion, self.policy.banned_in_completion)
        out = self.read(self.policy, encoded)
        weight = torch.tensor([r.weight for r in rows], device=out.logps.device)
        return LossInput(out.logps, out.mask * self._learned(rows, out.mask), weight)

    def _learned(self, rows: Sequence[Demonstration], mask: torch.Tensor) -> torch.Tensor:
        """(B, T) 0 on tokens that touch a row's context-only spans, 1 elsewhere."""
        learned = torch.ones_like(mask)
        for i, row in enumerate(rows):
            if row.mask:
                for t, (start, end) in enumerate(self.policy.encoder.spans(row.completion)):
                    learned[i, t] = float(not any(start < b and a < end for a, b in row.mask))
        return learned

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> torch.Tensor:
        self.learning = batch
        with no_room(batch):
            out = self.loss(self.loss_input(batch))
        self.log_dict({f"train/{k}": v for k, v in out.metrics.items()}, batch_size=len(batch))
        return out.loss

    def backward(self, loss: torch.Tensor, *args: Any, **settings: Any) -> None:
        """As Lightning has it; a batch that does not fit into memory is named."""
        again = self.read.again(self.policy) if isinstance(self.read, Reader) else nullcontext()
        with no_room(self.learning), again:
            super().backward(loss, *args, **settings)

    def validation_step(self, batch: Sequence[Any], batch_idx: int) -> None:
        out = self.loss(self.loss_input(batch))
        self.log_dict({f"validation/{k}": v for k, v in out.metrics.items()}, batch_size=len(batch))

    def predict_step(self, batch: Sequence[Any], batch_idx: int) -> Sequence[Sequence[Any]]:
        return self.work(batch)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Batches are rows, not tensors: they are encoded where they are used."""
        return batch

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.weights())
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.scheduler(optimizer), "interval": "step"}}


class CriticModule(ReasonerModule):
    """A critic is a policy whose task is critiquing: it learns and works as the reasoner does, on critiques.

    A `models.CritiqueRewardModel` learns from pairs of criticised answers what to write, and the score after it.
    """

    def parts(self) -> list[torch.nn.Module]:
        return [self.policy.trunk.model, self.policy.head] if hasattr(self.policy, "head") else super().parts()

    def loss_input(self, rows: Sequence[Example]) -> LossInput:
        """As the reasoner's, demonstrations of critiques among them; the pairs of a model with a head carry scores."""
        if not (hasattr(self.policy, "head") and isinstance(rows[0], Preference)):
            return super().loss_input(rows)
        return critiqued_input(self.policy, rows, self.read)


class StepRewardModule(ReasonerModule):
    """A step-reward model: learns labels of steps, scores steps when it predicts."""

    def parts(self) -> list[torch.nn.Module]:
        return [self.policy.trunk.model, self.policy.head]

    def loss_input(self, rows: Sequence[Labelled]) -> LossInput:
        """Rows to step logits (B, S) and labels, NaN where a step has none."""
        tokens, ends = self.policy.rows([r.prompt for r in rows], [r.completion for r in rows])
        for row, encoded, at in zip(rows, tokens, ends, strict=True):
            check_completion(row.source, encoded.completion, self.policy.trunk.banned_in_completion)
            if not at or len(row.labels) not in (1, len(at)) or len(row.weights) not in (0, len(row.labels)):
                raise ValueError(
                    f"row from '{row.source}': {len(row.labels)} labels and {len(row.weights)} weights for {len(at)} "
                    "steps, expected a label for each step or one for the last, and as many weights or none"
                )
        looks = self.policy.looks([r.prompt for r in rows], [r.completion for r in rows])
        logits = self._logits(tokens, ends, looks)
        labels, mask = torch.full_like(logits, torch.nan), torch.zeros_like(logits)
        for i, (row, at) in enumerate(zip(rows, ends, strict=True)):
            labelled = slice(len(at) - len(row.labels), len(at))
            labels[i, labelled] = torch.tensor(row.labels, device=logits.device)
            mask[i, labelled] = torch.tensor(row.weights or [1.0] * len(row.labels), device=logits.device)
        return LossInput(logits, mask, torch.ones(len(rows), device=logits.device), labels=labels)

    def _logits(
        self, tokens: list[Row], ends: list[list[int]], looks: Sequence[Sequence[float | None]]
    ) -> torch.Tensor:
        """Head output (B, S), with rows of one prompt together where the passes say so."""
        if not isinstance(self.read, Reader):
            return self.policy.logits(tokens, ends, looks)

        def head(hidden: torch.Tensor, rows: list[Row], first: list[int], at: list[int]) -> torch.Tensor:
            seen = [looks[i] for i in at] if looks else looks
            return self.policy.read_out(hidden, rows, first, [ends[i] for i in at], seen)

        return self.read.states(self.policy.trunk, tokens, head)
