import math
import random

import pytest

from mmevolve.metrics.best_of_n import by_majority
from mmevolve.metrics.by_kind import StepAUROCByKind
from mmevolve.metrics.vote_curve import WeightedVote, by_weight
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def group(*attempts):
    """Attempts as (answer, weight); right is 4."""
    tried = tuple(Trajectory(f"s/0/{i}", "s", "m", (), answer) for i, (answer, _) in enumerate(attempts))
    said = [Critique(t.id, "prm", w) for t, (_, w) in zip(tried, attempts, strict=True)]
    said += [Critique(t.id, "answer", float(t.answer == "4")) for t in tried]
    return Group(Sample("s", "?", answer="4"), tried, tuple(said))


def test_the_weighted_vote_by_hand():
    """4 with .9 against 5 5 with .3 each: alone 1/3; in pairs 4 wins two of three; together .9 beats .6."""
    numbers = WeightedVote(ks=(1, 2, 3))([group(("4", 0.9), ("5", 0.3), ("5", 0.3))])
    assert numbers == {
        "weighted_vote@1_prm": pytest.approx(1 / 3),
        "weighted_vote@2_prm": pytest.approx(2 / 3),
        "weighted_vote@3_prm": 1.0,
    }


def test_equal_weights_share_the_win_and_nothing_wins_nothing():
    assert WeightedVote(ks=(2,))([group(("4", 0.5), ("5", 0.5))]) == {"weighted_vote@2_prm": 0.5}
    assert WeightedVote(ks=(2,))([group(("4", None), (None, 0.9))]) == {"weighted_vote@2_prm": 0.0}
    assert WeightedVote(ks=(2,))([group(("4", 0.1), (None, 0.9))]) == {"weighted_vote@2_prm": 1.0}


@pytest.mark.parametrize("seed", range(15))
def test_with_weights_of_one_it_is_the_majority(seed):
    draw = random.Random(seed)
    answers = [draw.choice([0, 1, 2, None]) for _ in range(6)]
    right = [a == 0 for a in answers]
    for k in range(1, 7):
        assert by_weight(answers, [1.0] * 6, right, k) == pytest.approx(by_majority(answers, right, k))


def test_where_there_are_too_many_draws_a_seeded_share_comes_near():
    """24 attempts, 9 right; C(24, 8) is 735,471."""
    answers = [0] * 9 + [1] * 8 + [2] * 7
    right = [a == 0 for a in answers]
    drawn = by_weight(answers, [1.0] * 24, right, 8, "s")
    assert drawn == by_weight(answers, [1.0] * 24, right, 8, "s")
    assert drawn == pytest.approx(by_majority(answers, right, 8), abs=0.03)


@pytest.mark.parametrize("weight", [-0.1, math.nan])
def test_a_weight_below_nothing_is_refused(weight):
    with pytest.raises(ValueError, match=r"critic 'prm' scores .* on sample 's': a vote weighs 0 or more"):
        WeightedVote(ks=(1,))([group(("4", weight))])


def test_more_votes_than_attempts_are_refused():
    with pytest.raises(ValueError, match="1 to 1 fit"):
        WeightedVote(ks=(1, 2))([group(("4", 0.5))])


def test_steps_are_read_kind_by_kind():
    """Perception .9 right, .2 wrong: 1. Reasoning .3 right, .6 wrong: 0. The answers are all right: no number."""
    kinds = ("perception", "reasoning", "answer")
    tried = tuple(Trajectory(f"s/0/{i}", "s", "m", tuple(Step(k, k) for k in kinds)) for i in range(2))
    said = (
        Critique("s/0/0", "prm", 0.3, (0.9, 0.3, 0.8)),
        Critique("s/0/1", "prm", 0.2, (0.2, 0.6, 0.7)),
        Critique("s/0/0", "oracle", 1.0, (1.0, 1.0, 1.0)),
        Critique("s/0/1", "oracle", 0.0, (0.0, 0.0, 1.0)),
    )
    numbers = StepAUROCByKind()([Group(Sample("s", "?"), tried, said)])
    assert numbers["step_auroc_prm_perception"] == 1.0
    assert numbers["step_auroc_prm_reasoning"] == 0.0
    assert math.isnan(numbers["step_auroc_prm_answer"])
    assert [numbers[f"step_auroc_prm_{k}_wrong"] for k in kinds] == [0.5, 0.5, 0.0]
