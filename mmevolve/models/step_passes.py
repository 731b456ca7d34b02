"""What a step-reward head is given of completions: states where steps end, log-probabilities of tokens, or both.

As trees (`models.tree`) where a model's attention and the completions' length allow that, else completion by completion
(`models.prefix`), which is the slow oracle (tests/models/test_step_passes.py). Without gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from mmevolve.models.encode import Row
from mmevolve.models.packed import by_prompt, disagreement, obstacle
from mmevolve.models.prefix import shared_batches, shared_states
from mmevolve.models.score import path_logps, score_hidden
from mmevolve.models.tree import LARGEST, tree_batches, tree_states, trees_of
from mmevolve.models.vlm import SCORE_TOKENS

TREE_TOKENS = 2048  # of one pass over trees, padding included: few enough for a processor's cache


class StepPass(NamedTuple):
    """One pass.

    Attributes:
        rows: B indices of the rows that were read.
        stands: (B, S, D) states where steps end, or None; past a row's last step they mean nothing.
        logps: (B, T) of the tokens as far as steps are judged by them, or None.
    """

    rows: list[int]
    stands: torch.Tensor | None
    logps: torch.Tensor | None


def reads_trees(vlm: Any, rows: Sequence[Row]) -> bool:
    """Whether a model reads completions as trees as it reads them one by one; tried on rows of one prompt."""
    if not rows or obstacle(vlm.model):
        return False
    return not disagreement(vlm.model, [rows[i] for i in by_prompt(rows)[0][:2]], pad=vlm.pad)


def step_passes(
    vlm: Any, rows: Sequence[Row], ends: Sequence[Sequence[int]], *, hidden: bool, likely: bool, trees: bool
) -> Iterator[StepPass]:
    """Read all rows, each once.

    Args:
        vlm: the trunk.
        rows: with a step each at least.
        ends: index in its completion of each step's last token.
        hidden: whether states where steps end are wanted.
        likely: whether log-probabilities are.
        trees: what `reads_trees` said.
    """
    last = [spans(at)[-1][1] for at in ends]  # a token after the last judged one need not be read
    short = [row if hidden else Row(row.prompt, row.completion[: n - 1]) for row, n in zip(rows, last, strict=True)]
    planted = [tree for tree in trees_of(short) if len(tree) <= LARGEST] if trees else []
    for some in tree_batches(planted, TREE_TOKENS):
        states, at = tree_states(vlm.model, some, pad=vlm.pad)
        mine = list(at)
        stands = states[_even([[at[i][end + 1] for end in ends[i]] for i in mine], states)] if hidden else None
        said = [rows[i].completion[: last[i]] for i in mine]
        before = [at[i][: last[i]] for i in mine]
        yield StepPass(mine, stands, path_logps(vlm.model, states, before, said) if likely else None)
    read = {i for tree in planted for i in tree.rows}
    rest = [i for i in range(len(rows)) if i not in read]
    for batch in shared_batches([rows[i] for i in rest], SCORE_TOKENS):
        mine = [rest[b] for b in batch]
        some = [rows[i] for i in mine]
        states = shared_states(vlm.model, some, pad=vlm.pad)
        stands = where_steps_end(states, [0] * len(mine), [ends[i] for i in mine]) if hidden else None
        yield StepPass(mine, stands, score_hidden(vlm.model, states, some, [0] * len(mine)).logps if likely else None)


def spans(ends: Sequence[int]) -> list[tuple[int, int]]:
    """Begin and stop of the tokens that a step is judged by: without the line break, which no model says at the end."""
    begins = [0, *(end + 1 for end in ends[:-1])]
    return [(begin, max(end, begin + 1)) for begin, end in zip(begins, ends, strict=True)]


def where_steps_end(hidden: torch.Tensor, first: Sequence[int], ends: Sequence[Sequence[int]]) -> torch.Tensor:
    """(B, S, D) of (B, T, D); `first` is as for `score_hidden`."""
    index = _even([[begin + 1 + end for end in at] for begin, at in zip(first, ends, strict=True)], hidden)
    return hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[-1]))


def _even(rows: Sequence[Sequence[int]], like: torch.Tensor) -> torch.Tensor:
    """(B, S), filled up with zeros."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=like.device)
