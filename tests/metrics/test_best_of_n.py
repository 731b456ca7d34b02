"""Best-of-N curves against the enumeration of every draw."""

import itertools
import math
import random

import pytest

from mmevolve.metrics.accuracy import Accuracy, PassAtK
from mmevolve.metrics.best_of_n import BestOfN, by_critic, by_majority, by_oracle, classes
from mmevolve.types import Critique, Group, Sample, Trajectory


def slow_critic(scores, right, k):
    """Every draw; the best-scored is picked, evenly among ties."""
    worth = []
    for draw in itertools.combinations(range(len(scores)), k):
        ranks = [(-math.inf if scores[i] is None else scores[i]) for i in draw]
        best = [right[i] for i, r in zip(draw, ranks, strict=True) if r == max(ranks)]
        worth.append(sum(best) / len(best))
    return sum(worth) / len(worth)


def slow_majority(answers, right, k):
    """Every draw; the most frequent answer is picked, evenly among ties; it is worth its share right."""
    value = {a: [r for b, r in zip(answers, right, strict=True) if b == a] for a in answers}
    worth = []
    for draw in itertools.combinations(answers, k):
        votes = {a: draw.count(a) for a in draw if a is not None}
        best = [a for a in votes if votes[a] == max(votes.values())]
        worth.append(sum(sum(value[a]) / len(value[a]) for a in best) / len(best) if best else 0.0)
    return sum(worth) / len(worth)


def slow_oracle(right, k):
    draws = list(itertools.combinations(right, k))
    return sum(any(d) for d in draws) / len(draws)


@pytest.mark.parametrize("seed", range(25))
def test_each_curve_is_the_mean_over_every_draw(seed):
    draw = random.Random(seed)
    n = draw.randrange(1, 9)
    answers = [draw.choice([0, 1, 2, 3, None]) for _ in range(n)]
    right = [a in (0, 3) for a in answers]
    scores = [draw.choice([None, 0.1, 0.5, 0.5, 0.9]) for _ in range(n)]
    for k in range(1, n + 1):
        assert by_critic(scores, right, k) == pytest.approx(slow_critic(scores, right, k))
        assert by_majority(answers, right, k) == pytest.approx(slow_majority(answers, right, k))
        assert by_oracle(right, k) == pytest.approx(slow_oracle(right, k))


def group(*attempts, sample="s"):
    """Attempts as (answer, score, right)."""
    ids = [f"{sample}/0/{i}" for i in range(len(attempts))]
    trajectories = tuple(Trajectory(i, sample, "m", (), answer=a) for i, (a, _, _) in zip(ids, attempts, strict=True))
    said = [Critique(i, "prm", s) for i, (_, s, _) in zip(ids, attempts, strict=True)]
    said += [Critique(i, "answer", r) for i, (_, _, r) in zip(ids, attempts, strict=True)]
    return Group(Sample(sample, "?"), trajectories, tuple(said))


def test_best_of_n_by_hand():
    """Answers 4 4.0 5 5 of which 4 is right; scores .9 .1 .5 .2. Of the six pairs: the critic picks right in the three
    with the first attempt; votes: 4 wins one pair, 5 wins one, four are ties; the oracle misses the pair 5 5."""
    numbers = BestOfN(ks=(1, 2))([group(("4", 0.9, 1.0), ("4.0", 0.1, 1.0), ("5", 0.5, 0.0), ("5", 0.2, None))])
    assert numbers == {
        "best_of@1_prm": 0.5, "majority@1": 0.5, "oracle@1": 0.5,
        "best_of@2_prm": 0.5, "majority@2": 0.5, "oracle@2": pytest.approx(5 / 6),
    }  # fmt: skip


def test_with_one_attempt_all_three_are_the_accuracy_and_the_oracle_is_pass_at_k():
    draw = random.Random(1)
    groups = []
    for s in range(12):
        answers = [draw.choice(["1", "2", "3", None]) for _ in range(6)]
        groups.append(group(*[(a, draw.random(), float(a == "2")) for a in answers], sample=f"s{s}"))
    numbers = BestOfN(ks=(1, 4))(groups)
    accuracy = Accuracy()(groups)["accuracy"]
    assert [numbers[n] for n in ("best_of@1_prm", "majority@1", "oracle@1")] == pytest.approx([accuracy] * 3)
    assert numbers["oracle@4"] == pytest.approx(PassAtK(4)(groups)["pass@4"])


def test_a_critic_that_knows_is_the_oracle_and_one_that_says_the_same_of_all_is_a_guess():
    right = [True, False, False, True, False]
    for k in range(1, 6):
        assert by_critic([float(r) for r in right], right, k) == pytest.approx(by_oracle(right, k))
        assert by_critic([0.5] * 5, right, k) == pytest.approx(0.4)


def test_answers_that_the_verifier_finds_equal_vote_together():
    assert classes(["12", "12.0", None, "7", "12"]) == [0, 0, None, 3, 0]
    assert classes(["(b)", "a dog", "A"], ("a cat", "a dog")) == [0, 0, 2]


def test_sixty_four_attempts_are_counted_without_enumeration():
    """All attempts drawn: the majority itself, 40 right votes against 24."""
    answers = [0] * 40 + [1] * 24
    right = [a == 0 for a in answers]
    assert by_majority(answers, right, 64) == 1.0
    assert by_majority(answers, right, 1) == pytest.approx(0.625)
    assert 0.625 < by_majority(answers, right, 9) < by_majority(answers, right, 31) < 1.0


def test_all_attempts_may_be_drawn():
    numbers = BestOfN(ks=(2,))([group(("1", 0.9, 0.0), ("2", 0.1, 1.0))])
    assert numbers == {"best_of@2_prm": 0.0, "majority@2": 0.5, "oracle@2": 1.0}


@pytest.mark.parametrize("ks", [(), (0, 1)])
def test_curves_without_a_proper_k_are_refused(ks):
    with pytest.raises(ValueError, match=r"on 1 attempts \(sample 's'\): 1 to 1 fit"):
        BestOfN(ks=ks)([group(("1", 0.1, 1.0))])


def test_too_few_attempts_are_refused():
    with pytest.raises(ValueError, match=r"best-of-N with ks=\(1, 4\) on 2 attempts \(sample 'few'\): 1 to 2 fit"):
        BestOfN(ks=(1, 4))([group(("1", 0.1, 1.0), ("1", 0.1, 1.0), sample="few")])


def test_of_no_groups_there_is_no_curve_and_not_a_zero():
    assert all(math.isnan(v) for v in BestOfN()([]).values())
