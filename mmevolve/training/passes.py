"""How the rows of a step go through the model: together where they share a prompt, in several passes where they must.

The slow oracle is the plain padded pass of all rows (tests/training/test_passes.py); a loss sees the same numbers
either way, and gives the same gradient whatever it averages over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch.utils.checkpoint import checkpoint

from mmevolve.config.ranges import Range
from mmevolve.console import current
from mmevolve.models.encode import Row, collate
from mmevolve.models.packed import by_prompt, disagreement, obstacle, packed_states, packing
from mmevolve.models.score import Scored, before, hidden_states, score, score_hidden

Read = Callable[[Any, list[Row]], Scored]
IMAGE_TOKENS = ("image_token_id", "image_token_index")


@dataclass(frozen=True)
class Passes:
    """Speed and memory of training; what is learned stays the same, up to the rounding of other matrix sizes.

    A step still has `batch_size` rows. Where they are more than one pass may hold, they are read in several, each
    read again in the backward pass but the last: one pass at a time is held, at the price of a second forward pass.

    Attributes:
        share: rows of one prompt share its pass, as branches of it: the sides of a pair, several rationales of one
            question, step-level rows. Where a model cannot, the run says so once and reads rows one by one.
        text_tokens: text tokens of one pass, padding included; None for no limit.
        image_tokens: image tokens of one pass; None for no limit.
        checkpoint: keep of each decoder layer only what it was given, and compute the rest again in the backward pass.
        too_long: a row that is more than one pass by itself stops the run, or is left out and told of. Nothing is
            ever cut.
        memory: bytes that weights, gradients, optimizer and the largest pass may take on a CPU; it is tried before
            the first step. On a GPU its memory is the limit, and is always tried.
    """

    share: bool = True
    text_tokens: Annotated[int, Range(1)] | None = None
    image_tokens: Annotated[int, Range(1)] | None = None
    checkpoint: bool = False
    too_long: Literal["stop", "drop"] = "stop"
    memory: Annotated[int, Range(1)] | None = None


@dataclass(frozen=True)
class Load:
    """Tokens that one pass reads, padding counted as text."""

    text: int
    image: int

    def within(self, passes: Passes) -> bool:
        """Whether one pass may hold so much."""
        limits = ((self.text, passes.text_tokens), (self.image, passes.image_tokens))
        return all(limit is None or tokens <= limit for tokens, limit in limits)

    def __str__(self) -> str:
        return f"{self.text:,} text and {self.image:,} image tokens"


def plainly(vlm: Any, rows: list[Row]) -> Scored:
    """All rows in one padded pass."""
    return score(vlm.model, collate(rows, pad=vlm.pad, device=vlm.device, side="right"), rows)


class Reader:
    """Reads rows as `Passes` says.

    Attributes:
        passes: the settings.
        tokens_read: tokens that went through the decoder in forward passes, padding included; those read again in the
            backward pass count again.
    """

    def __init__(self, passes: Passes):
        self.passes = passes
        self.tokens_read = 0
        self._shares: bool | None = None if passes.share else False

    def __call__(self, vlm: Any, rows: list[Row]) -> Scored:
        """Log-probabilities of the rows' completions, as `plainly` gives them."""

        def run(picked: list[Row]) -> tuple[torch.Tensor, ...]:
            states, first = self._states(vlm, picked)
            out = score_hidden(vlm.model, states, picked, first)
            return out.logps, out.entropies, out.mask, out.log_sum_sq

        return Scored(*self.each(vlm, rows, run))

    def states(self, vlm: Any, rows: list[Row], use: Callable[..., torch.Tensor]) -> torch.Tensor:
        """(B, S) of `use(hidden, rows, first, indices)`, pass by pass; `first` is as for `score_hidden`."""
        place = {id(row): i for i, row in enumerate(rows)}

        def run(picked: list[Row]) -> tuple[torch.Tensor, ...]:
            states, first = self._states(vlm, picked)
            return (use(states, picked, first, [place[id(row)] for row in picked]),)

        return self.each(vlm, rows, run)[0]

    def each(
        self, vlm: Any, rows: list[Row], run: Callable[[list[Row]], tuple[torch.Tensor, ...]]
    ) -> tuple[torch.Tensor, ...]:
        """Run a function of rows pass by pass; what it gives, (b, T) each, is put together in the rows' order."""
        plan = self.plan(vlm, rows)
        parts = []
        for k, mine in enumerate(plan):
            picked = [rows[i] for i in mine]
            again = torch.is_grad_enabled() and k < len(plan) - 1
            parts.append(checkpoint(run, picked, use_reentrant=False) if again else run(picked))
        order = torch.tensor([i for mine in plan for i in mine]).argsort().to(parts[0][0].device)
        return tuple(_stacked(column)[order] for column in zip(*parts, strict=True))

    def again(self, policy: Any) -> AbstractContextManager[None]:
        """For the backward pass, in which checkpointed layers are read again."""
        return packing(vlm_of(policy).model) if self._shares and self.passes.checkpoint else nullcontext()

    def plan(self, vlm: Any, rows: list[Row]) -> list[list[int]]:
        """Indices of the rows of each pass: those of like length together, within the budget where that is possible."""
        groups = by_prompt(rows) if self.together(vlm, rows) else [[i] for i in range(len(rows))]
        if self.passes.text_tokens is None and self.passes.image_tokens is None:
            return [list(range(len(rows)))]
        token = image_token(vlm)
        groups.sort(key=lambda mine: -_length(rows, mine))
        whole: list[list[int]] = []
        for mine in groups:  # a group of more than one pass is read in several
            whole += [mine] if self._fits([mine], rows, token) else self._filled([[i] for i in mine], rows, token)
        return self._filled(whole, rows, token)

    def load(self, vlm: Any, rows: list[Row]) -> Load:
        """What one pass of these rows reads."""
        groups = by_prompt(rows) if self.together(vlm, rows) else [[i] for i in range(len(rows))]
        return load_of(groups, rows, image_token(vlm))

    def together(self, vlm: Any, rows: list[Row]) -> bool:
        """Whether rows of one prompt share its pass; the first rows that could are read both ways."""
        if self._shares is None:
            group = next((mine for mine in by_prompt(rows) if len(mine) > 1), None)
            why = obstacle(vlm.model)
            if not why and group is None:
                return False
            if not why:
                learning = vlm.model.training
                vlm.model.eval()
                why = disagreement(vlm.model, [rows[i] for i in group[:2]], pad=vlm.pad)
                if learning:
                    vlm.train_mode()
            self._shares = not why
            if why:
                current().say(f"  passes: rows of one prompt are read one by one, {why}")
        return self._shares

    def _fits(self, groups: list[list[int]], rows: list[Row], token: int | None) -> bool:
        return load_of(groups, rows, token).within(self.passes)

    def _filled(self, groups: list[list[int]], rows: list[Row], token: int | None) -> list[list[int]]:
        """Groups, in their order, put into as few passes as take them one after the other."""
        made: list[list[list[int]]] = []
        for mine in groups:
            last = made[-1] if made else None
            if last is not None and self._fits(_joined([*last, mine], rows, self._shares), rows, token):
                last.append(mine)
            else:
                made.append([mine])
        return [[i for mine in part for i in mine] for part in made]

    def _states(self, vlm: Any, rows: list[Row]) -> tuple[torch.Tensor, list[int]]:
        groups = by_prompt(rows)
        if self._shares and len(groups) < len(rows):
            self.tokens_read += len(groups) * _width(groups, rows)
            return packed_states(vlm.model, rows, pad=vlm.pad), [0] * len(rows)
        self.tokens_read += len(rows) * max(len(row.prompt.ids) + len(row.completion) for row in rows)
        inputs = collate(rows, pad=vlm.pad, device=vlm.device, side="right")
        return hidden_states(vlm.model, inputs), before(rows)


def load_of(groups: list[list[int]], rows: Sequence[Row], token: int | None) -> Load:
    """What a pass of groups reads, each group's prompt once."""
    image = sum(rows[mine[0]].prompt.ids.count(token) for mine in groups) if token is not None else 0
    return Load(len(groups) * _width(groups, rows) - image, image)


def vlm_of(policy: Any) -> Any:
    """The model that reads: a step-reward model's trunk, or the policy itself."""
    return getattr(policy, "trunk", policy)


def image_token(vlm: Any) -> int | None:
    """The id that stands for a token of an image in prompts."""
    return next((i for name in IMAGE_TOKENS if (i := getattr(vlm.model.config, name, None)) is not None), None)


def _joined(groups: list[list[int]], rows: list[Row], share: bool | None) -> list[list[int]]:
    """Rows of one prompt as one group again where they share it."""
    if not share:
        return groups
    indices = [i for mine in groups for i in mine]
    return [[indices[k] for k in mine] for mine in by_prompt([rows[i] for i in indices])]


def _width(groups: list[list[int]], rows: Sequence[Row]) -> int:
    """Tokens of one packed row, padding included."""
    prompt = max(len(rows[mine[0]].prompt.ids) for mine in groups)
    return prompt + max(sum(len(rows[i].completion) for i in mine) for mine in groups)


def _length(rows: list[Row], mine: list[int]) -> int:
    return len(rows[mine[0]].prompt.ids) + sum(len(rows[i].completion) for i in mine)


def _stacked(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    width = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
