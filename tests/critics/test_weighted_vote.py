import math
import random

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.vote import Vote
from mmevolve.critics.weighted_vote import PseudoAnswer, WeightedVote
from mmevolve.types import Critique, Sample, Trajectory


class Weights:
    """Scores by trajectory id."""

    name = "prm"

    def __init__(self, scores):
        self.scores = scores

    def __call__(self, items):
        for _, t in items:
            score = self.scores[t.id]
            yield Critique(t.id, self.name, score, error="no idea" if score is None else None)


class Ones:
    name = "one"

    def __call__(self, items):
        return iter([Critique(t.id, self.name, 1.0) for _, t in items])


def tried(sample, *attempts, round=0):
    """Attempts as (answer, weight): items, and the critic that weighs them."""
    made = [Trajectory(f"{sample.id}/{round}/{i}", sample.id, "m", (), a, round) for i, (a, _) in enumerate(attempts)]
    return [(sample, t) for t in made], Weights({t.id: w for t, (_, w) in zip(made, attempts, strict=True)})


def test_the_share_of_the_weight_behind_an_answer_by_hand():
    """12 and 12.0 are one answer: .6 + .3 of 1.2; 7 has .3; no answer and no score have no vote."""
    items, weights = tried(Sample("s", "?"), ("12", 0.6), ("7", 0.3), ("12.0", 0.3), (None, 0.9), ("7", None))
    assert [c.score for c in WeightedVote(weights)(items)] == pytest.approx([0.75, 0.25, 0.75, 0.0, 0.25])


def test_a_heavy_minority_outvotes_the_majority():
    items, weights = tried(Sample("s", "?"), ("4", 0.9), ("5", 0.2), ("5", 0.2), ("5", 0.2))
    scores = [c.score for c in WeightedVote(weights)(items)]
    assert scores == pytest.approx([0.6, 0.4, 0.4, 0.4])
    assert [c.score for c in Vote()(items)] == [0.25, 0.75, 0.75, 0.75]


def test_with_equal_weights_it_is_the_vote_among_those_that_answered():
    draw = random.Random(1)
    items, _ = tried(Sample("s", "?"), *[(draw.choice(["1", "2", "1.0"]), 1.0) for _ in range(9)])
    assert [c.score for c in WeightedVote(Ones())(items)] == pytest.approx([c.score for c in Vote()(items)])


def test_without_any_weight_nothing_has_a_share():
    items, weights = tried(Sample("s", "?"), ("4", 0.0), ("5", None))
    assert [c.score for c in WeightedVote(weights)(items)] == [0.0, 0.0]


@pytest.mark.parametrize("weight", [-1.0, math.nan])
def test_a_weight_below_nothing_is_refused(weight):
    items, weights = tried(Sample("s", "?"), ("4", weight))
    with pytest.raises(ValueError, match=r"trajectory 's/0/0': critic 'prm' scores .*: a vote weighs 0 or more"):
        list(WeightedVote(weights)(items))


def pseudo(sample, *attempts, round=0, **words):
    items, weights = tried(sample, *attempts, round=round)
    return [c.score for c in PseudoAnswer(WeightedVote(weights), AnswerMatch(), **words)(items)]


OPEN = Sample("s", "?")
HIDDEN = Sample("s", "?", answer="5", meta={"unlabelled": True})
LABELLED = Sample("s", "?", answer="5")
ATTEMPTS = (("4", 0.9), ("5", 0.2), ("5", 0.3), (None, 0.8))


def test_an_unlabelled_question_is_judged_by_the_winner_of_the_vote():
    assert pseudo(OPEN, *ATTEMPTS) == pseudo(HIDDEN, *ATTEMPTS) == [1.0, 0.0, 0.0, 0.0]


def test_a_labelled_question_is_judged_by_its_label():
    assert pseudo(LABELLED, *ATTEMPTS) == [0.0, 1.0, 1.0, 0.0]


def test_the_oracle_mode_judges_by_the_hidden_label():
    assert pseudo(HIDDEN, *ATTEMPTS, unlabelled="oracle") == [0.0, 1.0, 1.0, 0.0]
    assert pseudo(OPEN, *ATTEMPTS, unlabelled="oracle") == [None] * 4, "there is no answer to judge by"


def test_unlabelled_questions_are_mixed_in_from_a_round_on():
    for sample in (OPEN, HIDDEN):
        for mode in ("vote", "oracle"):
            assert pseudo(sample, *ATTEMPTS, round=2, mix_in=3, unlabelled=mode) == [None] * 4
    assert pseudo(OPEN, *ATTEMPTS, round=3, mix_in=3) == [1.0, 0.0, 0.0, 0.0]
    assert pseudo(LABELLED, *ATTEMPTS, round=2, mix_in=3) == [0.0, 1.0, 1.0, 0.0]


def test_a_vote_without_enough_behind_it_gives_no_pseudo_answer():
    """4 has .9 of 1.4: 64 %."""
    assert pseudo(OPEN, *ATTEMPTS, least=0.64) == [1.0, 0.0, 0.0, 0.0]
    assert pseudo(OPEN, *ATTEMPTS, least=0.65) == [0.0] * 4
    assert pseudo(OPEN, ("4", 0.0), ("5", 0.0)) == [0.0, 0.0]


def test_of_equal_votes_the_first_sampled_wins():
    many = [("4", 0.5), ("5", 0.5), *[(None, 0.1)] * 9]
    assert pseudo(OPEN, *many)[:2] == [1.0, 0.0]
