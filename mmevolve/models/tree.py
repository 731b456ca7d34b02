"""Reading several completions of one prompt as a tree: a beginning that some of them share is read once.

Attempts at one question often open with the same steps. A prompt and its completions become one row: the prompt, then
a node for each distinct beginning. A node sees the prompt and the nodes that it follows, and stands where it would in
its completion. Nothing is cached, and trees of like size share a pass, so that little is padding. The slow oracle is
`models.prefix.shared_states` (tests/models/test_tree.py); without gradients only.

Paper: Miao et al. 2024, "SpecInfer", arXiv:2305.09781, section 4.2 (tree attention).
Differs: the tree holds whole completions that are to be scored, not drafts; the prompt is a part of its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch

from mmevolve.models.cache import forget_positions, rope_modules
from mmevolve.models.encode import Encoded, Row, collate
from mmevolve.models.packed import by_prompt, prompt_positions
from mmevolve.models.parts import trunk

BLOCK = 32  # trees are filled up to a multiple of this, whoever shares their pass: their states hardly depend on it
LARGEST = 2048  # tokens of a tree and its prompt: the mask grows by the square


@dataclass(frozen=True)
class Tree:
    """A prompt and the distinct beginnings of some completions; a node comes after those that it follows.

    Attributes:
        prompt: before all of them.
        tokens: of the nodes.
        depths: tokens of its completion before each node.
        rows: which completions it holds.
        paths: the nodes of each.
    """

    prompt: Encoded
    tokens: tuple[int, ...]
    depths: tuple[int, ...]
    rows: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.prompt.ids) + len(self.tokens)


def trees_of(rows: Sequence[Row]) -> list[Tree]:
    """One tree a prompt (the same `Encoded` object); neither the order nor the number of equal rows matters to it."""
    return [_tree(rows, mine) for mine in by_prompt(rows)]


def _tree(rows: Sequence[Row], mine: list[int]) -> Tree:
    order = sorted(mine, key=lambda i: rows[i].completion)
    tokens: list[int] = []
    depths: list[int] = []
    paths: list[tuple[int, ...]] = []
    before: tuple[int, ...] = ()
    for i in order:  # sorted, no earlier completion shares more than the last one
        said = rows[i].completion
        shared = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(before, said, strict=False)))
        known = paths[-1][:shared] if paths else ()
        paths.append((*known, *range(len(tokens), len(tokens) + len(said) - shared)))
        tokens += said[shared:]
        depths += range(shared, len(said))
        before = said
    return Tree(rows[mine[0]].prompt, tuple(tokens), tuple(depths), tuple(order), tuple(paths))


def tree_batches(trees: Sequence[Tree], budget: int) -> Iterator[list[Tree]]:
    """Trees of one width, at most `budget` padded tokens a batch (one tree at least)."""
    wide: dict[int, list[Tree]] = {}
    for tree in trees:
        wide.setdefault(_width(tree), []).append(tree)
    for width, mine in sorted(wide.items()):
        count = max(1, budget // width)
        yield from (mine[k : k + count] for k in range(0, len(mine), count))


def _width(tree: Tree) -> int:
    return -(-len(tree) // BLOCK) * BLOCK


def tree_states(model: Any, trees: Sequence[Tree], *, pad: int) -> tuple[torch.Tensor, dict[int, list[int]]]:
    """Hidden states (M, D) of all prompts and nodes, and for each row which of them predict its tokens.

    A row of T tokens has 1 + T of them: its prompt's last, which predicts its first token, then its own.

    Args:
        model: one for which `packed.obstacle` is empty, in eval mode.
        trees: no larger than `LARGEST` each.
        pad: id that fills rows up.
    """
    device = next(model.parameters()).device
    width = max(map(_width, trees))
    rows = [Row(tree.prompt, (*tree.tokens, *[pad] * (width - len(tree)))) for tree in trees]
    inputs = collate(rows, pad=pad, device=device, side="right")
    read = inputs.pop("attention_mask")
    back = torch.zeros(read.shape, dtype=torch.long)  # how much nearer to the prompt a node stands than in its row
    sees = torch.eye(read.shape[1], dtype=torch.bool).repeat(len(trees), 1, 1)  # padding sees itself
    for k, tree in enumerate(trees):
        begun, end = len(tree.prompt.ids), len(tree)
        back[k, begun:end] = torch.arange(len(tree.tokens)) - torch.tensor(tree.depths, dtype=torch.long)
        sees[k, :begun, :begun] = True
        sees[k, begun:end, :begun] = True
        own = sees[k, begun:end, begun:end]
        for path in tree.paths:
            nodes = torch.tensor(path, dtype=torch.long)
            own[nodes[:, None], nodes] = True
    earlier = torch.ones(sees.shape[1:], dtype=torch.bool).tril()  # a node comes after those that it follows
    states = next(model.parameters()).dtype
    bias = torch.zeros(sees.shape, dtype=states).masked_fill_(~(sees & earlier), -torch.inf)[:, None]
    out = trunk(model)(
        **inputs,
        attention_mask=bias.to(device),
        position_ids=prompt_positions(model, inputs, read) - back.to(device),
        use_cache=False,
    ).last_hidden_state
    forget_positions(rope_modules(model))
    at: dict[int, list[int]] = {}
    for k, tree in enumerate(trees):
        begun = k * read.shape[1] + len(tree.prompt.ids)
        for i, path in zip(tree.rows, tree.paths, strict=True):
            at[i] = [begun - 1, *(begun + node for node in path)]
    return out.flatten(0, 1), at
