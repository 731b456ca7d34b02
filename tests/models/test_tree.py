"""Completions read as a tree have the states that they have one by one."""

from __future__ import annotations

import pytest
import torch
from families import load, questions

from mmevolve.models.encode import Row
from mmevolve.models.prefix import shared_states
from mmevolve.models.tree import BLOCK, tree_batches, tree_states, trees_of

SAID = ["a\nred circle\n7", "a\nred circle\n9", "a\nred", "b", "a\nred circle\n7", ""]


def rows_of(policy):
    prompts = [policy.encoder.prompt(chat) for chat in questions()]
    return [Row(p, policy.encoder.completion(text, end=False)) for text in SAID for p in prompts]


def test_a_tree_by_hand(tiny):
    """1 2 3, 1 2 4, 1, 5: five nodes, whatever the order."""
    prompt = tiny.encoder.prompt(questions()[0])
    said = [(5,), (1, 2, 4), (1,), (1, 2, 3), (1, 2, 4)]
    (tree,) = trees_of([Row(prompt, ids) for ids in said])
    assert tree.tokens == (1, 2, 3, 4, 5) and tree.depths == (0, 1, 2, 2, 0)
    paths = dict(zip(tree.rows, tree.paths, strict=True))
    assert [paths[i] for i in range(5)] == [(4,), (0, 1, 3), (0,), (0, 1, 2), (0, 1, 3)]
    assert len(tree) == len(prompt.ids) + 5


@pytest.mark.parametrize("family", ["tiny", "qwen2_5_vl"])
def test_its_states_are_those_of_the_plain_shared_pass(model_root, family):
    policy = load(family, model_root / family)
    rows = rows_of(policy)
    slow_rows = [row for row in rows if row.completion]
    with torch.inference_mode():
        slow = iter(shared_states(policy.model, slow_rows, pad=policy.pad))
        states, at = tree_states(policy.model, trees_of(rows), pad=policy.pad)
    assert sorted(at) == list(range(len(rows)))
    for i, row in enumerate(rows):
        assert len(at[i]) == len(row.completion) + 1
        if row.completion:
            torch.testing.assert_close(states[at[i]], next(slow)[: len(at[i])], atol=2e-5, rtol=1e-4)


def test_batches_hold_every_tree_once_and_only_trees_of_one_width(tiny):
    trees = trees_of(rows_of(tiny))
    for budget in (1, 200, 10_000):
        batches = list(tree_batches(trees, budget))
        assert sorted(id(tree) for batch in batches for tree in batch) == sorted(map(id, trees))
        for batch in batches:
            (blocks,) = {-(-len(tree) // BLOCK) for tree in batch}
            assert len(batch) == 1 or len(batch) * blocks * BLOCK <= budget
