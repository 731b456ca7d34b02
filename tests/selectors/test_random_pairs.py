"""The control of `RankedPairs`: as many pairs of the same attempts, whose sides are drawn."""

import pytest

from mmevolve.selectors.random_pairs import RandomPairs
from mmevolve.selectors.ranked_pairs import RankedPairs
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

SCORES = (0.0, 0.5, 1.0, 0.5, None, 1.0)
WORDS = ("none", "half", "all", "half too", "unread", "all")  # the last repeats the third


def group(name="s", scores=SCORES):
    attempts = tuple(Trajectory(f"{name}/0/{i}", name, "m", (Step(word),)) for i, word in enumerate(WORDS))
    said = tuple(Critique(t.id, "rbr", score) for t, score in zip(attempts, scores, strict=True))
    return Group(Sample(name, "?"), attempts, said)


def sides(rows):
    return [(row.chosen, row.rejected) for row in rows]


def test_as_many_pairs_of_the_same_attempts_as_the_ranking_makes():
    """Distinct and scored are 4 attempts: 6 pairs, of which 5 are strict; no two attempts are paired twice."""
    rows = list(RandomPairs()([group()]))
    assert len(rows) == 5 == len(list(RankedPairs()([group()])))
    assert len({frozenset(pair) for pair in sides(rows)}) == 5
    assert {word for pair in sides(rows) for word in pair} == {"none", "half", "all", "half too"}
    worth = dict(zip(WORDS, SCORES, strict=True))
    assert [row.margin for row in rows] == pytest.approx([worth[a] - worth[b] for a, b in sides(rows)])
    assert all(row.source == f"s/0/{WORDS.index(row.chosen)}" for row in rows)
    assert len(list(RandomPairs(RankedPairs(most=2))([group()]))) == 2
    assert len(list(RandomPairs(RankedPairs(least=1.0))([group()]))) == 1
    assert list(RandomPairs()([group(scores=(0.5,) * 6)])) == []


def test_the_better_side_is_chosen_half_of_the_time():
    groups = [group(f"s{i}") for i in range(200)]
    rows = list(RandomPairs()(groups))
    strict = [row.margin > 0 for row in rows if row.margin]
    assert len(rows) == 1000 and abs(sum(strict) / len(strict) - 0.5) < 0.06  # 3.5 standard errors
    assert sum(not row.margin for row in rows) == pytest.approx(1000 / 6, abs=45)  # one pair of six is a tie


def test_the_draws_depend_on_the_seed_and_the_sample_alone():
    both = list(RandomPairs()([group("a"), group("b")]))
    assert sides(both) == sides([*RandomPairs()([group("a")]), *RandomPairs()([group("b")])])
    assert sides(both) != sides(RandomPairs(seed=1)([group("a"), group("b")]))
