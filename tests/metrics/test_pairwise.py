import math

import pytest

from mmevolve.metrics.pairwise import PairwiseAccuracy
from mmevolve.types import Critique, Group, Sample, Trajectory


def group(name, rewards, truth):
    attempts = tuple(Trajectory(f"{name}/0/{i}", name, "x", ()) for i in range(len(rewards)))
    said = [
        Critique(t.id, "reward", score, error=None if score is not None else "cut")
        for t, score in zip(attempts, rewards, strict=True)
    ]
    said += [Critique(t.id, "answer", s) for t, s in zip(attempts, truth, strict=True)]
    return Group(Sample(name, "?"), attempts, tuple(said))


def test_pairs_are_counted_by_question_and_a_tie_or_no_score_is_half():
    """First question: 2 > 1, 2 > 3 (wrong), 3 > 1, 3 > 3 (tie): 2.5 / 4; second: one pair, right; third: not ranked."""
    groups = [
        group("a", [2.0, 1.0, 3.0, 3.0], [1.0, 0.0, 0.0, 1.0]),
        group("b", [0.5, -0.5], [1.0, 0.0]),
        group("c", [None, 4.0], [1.0, 0.0]),
        group("d", [1.0, 2.0], [1.0, 1.0]),
    ]
    found = PairwiseAccuracy()(groups)
    assert found["pairwise_acc_reward"] == pytest.approx((2.5 / 4 + 1 + 0.5) / 3)
    assert found["pairwise_acc+_reward"] == pytest.approx(1 / 3)
    assert found["pairwise_unranked_reward"] == pytest.approx(1 / 3)


def test_the_truth_may_be_any_number_and_other_rewards_stand_beside():
    one = group("a", [3.0, 2.0, 1.0], [-1.0, -2.0, -2.0])
    found = PairwiseAccuracy(rank_by=("reward", "answer"))([one])
    assert found["pairwise_acc_reward"] == found["pairwise_acc_answer"] == found["pairwise_acc+_answer"] == 1.0


def test_without_a_pair_there_is_no_accuracy():
    assert math.isnan(PairwiseAccuracy()([group("a", [1.0, 2.0], [1.0, None])])["pairwise_acc_reward"])
