import itertools
import math
import random

import pytest

from mmevolve.metrics.accuracy import PassAtK
from mmevolve.metrics.best_of_n import by_critic
from mmevolve.metrics.collapse import Collapse
from mmevolve.metrics.exploitation import RewardAtKS, top_all_right
from mmevolve.metrics.exploration import DistinctPaths, Entropy, PassAtKS, at_least
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def group(*attempts, sample="s"):
    """Attempts as (text, is right, rank)."""
    tried, said = [], []
    for i, (text, right, rank) in enumerate(attempts):
        t = Trajectory(f"{sample}/0/{i}", sample, "m", tuple(map(Step, text.split("\n"))) if text else (), "4")
        tried.append(t)
        said += [Critique(t.id, "answer", right), Critique(t.id, "prm", rank)]
    return Group(Sample(sample, "?"), tuple(tried), tuple(said))


def texts(*attempts, **words):
    return group(*[(text, right, 0.5) for text, right in attempts], **words)


def test_pass_at_k_s_by_hand():
    """Right: a a b; wrong: c. Of the 4 ways to draw 3, all but a a c hold both a and b: 3/4. Of 6 pairs, a b twice."""
    one = texts(("a", 1.0), ("a", 1.0), ("b", 1.0), ("c", 0.0))
    assert PassAtKS(k=3, s=2)([one]) == {"pass@3-2": 0.75}
    assert PassAtKS(k=2, s=2)([one]) == {"pass@2-2": pytest.approx(2 / 6)}
    none = texts(("a", 1.0), ("a", 1.0), ("a", 1.0), ("c", 0.0))
    assert PassAtKS(k=4, s=2)([one, none]) == {"pass@4-2": 0.5}


@pytest.mark.parametrize("seed", range(25))
def test_pass_at_k_s_is_the_share_of_subsets_with_s_different_right_texts(seed):
    draw = random.Random(seed)
    n = draw.randrange(1, 8)
    tried = [(draw.choice("abc"), float(draw.random() < 0.6)) for _ in range(n)]
    k = draw.randrange(1, n + 1)
    for s in range(1, k + 1):
        subsets = list(itertools.combinations(tried, k))
        truth = sum(len({t for t, right in subset if right}) >= s for subset in subsets) / len(subsets)
        assert PassAtKS(k=k, s=s)([texts(*tried)])[f"pass@{k}-{s}"] == pytest.approx(truth)


def test_pass_at_k_1_is_pass_at_k():
    draw = random.Random(3)
    groups = [texts(*[(draw.choice("abcd"), float(draw.random() < 0.4)) for _ in range(6)]) for _ in range(20)]
    for k in range(1, 7):
        assert PassAtKS(k=k, s=1)(groups)[f"pass@{k}-1"] == pytest.approx(PassAtK(k=k)(groups)[f"pass@{k}"])


def test_of_many_attempts_pass_at_k_s_is_still_exact():
    """64 right texts, all different: any 32 hold 4. Of 61 copies and 3 others, 32 draws hold 4 only with all three."""
    assert at_least([1] * 64, 64, 32, 4) == 1.0
    assert at_least([61, 1, 1, 1], 64, 32, 4) == pytest.approx(math.comb(61, 29) / math.comb(64, 32))


def test_texts_that_differ_in_case_or_spacing_only_are_one():
    assert PassAtKS(k=2, s=2)([texts(("A  b", 1.0), ("a b", 1.0))]) == {"pass@2-2": 0.0}


def brute(scores, right, k, s):
    """Over all draws and all orders of ties: how often the top s are all right."""
    total = draws = 0.0
    for subset in itertools.combinations(range(len(scores)), k):
        orders = [
            order
            for order in itertools.permutations(subset)
            if all(_rank(scores[a]) >= _rank(scores[b]) for a, b in itertools.pairwise(order))
        ]
        total += sum(all(right[i] for i in order[:s]) for order in orders) / len(orders)
        draws += 1
    return total / draws


def _rank(score):
    return -math.inf if score is None else score


def test_reward_at_k_s_by_hand():
    """Ranks .9 right, .8 right, .1 wrong: of the three pairs only the first has two right: 1/3. Of all three: yes."""
    one = group(("a", 1.0, 0.9), ("b", 1.0, 0.8), ("c", 0.0, 0.1))
    assert RewardAtKS(k=2, s=2)([one]) == {"reward@2-2": pytest.approx(1 / 3)}
    assert RewardAtKS(k=3, s=2)([one]) == {"reward@3-2": 1.0}
    assert RewardAtKS(k=3, s=3)([one]) == {"reward@3-3": 0.0}
    tied = group(("a", 1.0, 0.5), ("b", 1.0, 0.5), ("c", 0.0, 0.5))
    assert RewardAtKS(k=3, s=2)([tied]) == {"reward@3-2": pytest.approx(1 / 3)}, "any two of three are the top"


@pytest.mark.parametrize("seed", range(25))
def test_reward_at_k_s_is_the_share_of_draws_whose_top_is_right(seed):
    draw = random.Random(seed)
    n = draw.randrange(1, 6)
    scores = [draw.choice([0.1, 0.5, 0.9, None]) for _ in range(n)]
    right = [draw.random() < 0.6 for _ in range(n)]
    for k in range(1, n + 1):
        for s in range(1, k + 1):
            assert top_all_right(scores, right, k, s) == pytest.approx(brute(scores, right, k, s))
        assert top_all_right(scores, right, k, 1) == pytest.approx(by_critic(scores, right, k)), "best of k"


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (PassAtKS(k=2, s=3), "2 attempts cannot hold 3 different ones"),
        (RewardAtKS(k=2, s=3), "there is no top 3 of 2 attempts"),
        (PassAtKS(k=4, s=2), "pass@4-2 needs 4 attempts, sample 's' has 1"),
        (RewardAtKS(k=4, s=2), "reward@4-2 needs 4 attempts, sample 's' has 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(metric, said):
    with pytest.raises(ValueError, match=said):
        metric([texts(("a", 1.0))])


def test_paths_are_counted_by_their_words_and_by_their_sums():
    """Right: two ways of saying 1 + 2 = 3, another sum, one without any; wrong ones do not count."""
    first = texts(
        ("circles : a1 = 1\n1 + 2 = 3", 1.0),
        ("a circle : a1\n1+2 = 3", 1.0),
        ("2 + 1 = 3", 1.0),
        ("three", 1.0),
        ("3 - 0 = 3", 0.0),
    )
    # circles : a1 = 1 holds an equals sign too, so the first two differ in their workings
    assert DistinctPaths()([first]) == {"distinct_right_paths": 4.0, "distinct_right_workings": 3.0}
    again = texts(("1 + 2 = 3\nso three", 1.0), ("as  1 + 2\n1+2=3", 1.0))
    assert DistinctPaths()([again]) == {"distinct_right_paths": 2.0, "distinct_right_workings": 1.0}
    assert DistinctPaths()([first, again])["distinct_right_paths"] == 3.0


def drawn(*logprobs, sample="s"):
    tried = tuple(Trajectory(f"{sample}/0/{i}", sample, "m", (), logprobs=p) for i, p in enumerate(logprobs))
    return Group(Sample(sample, "?"), tried)


def test_entropy_is_the_mean_surprise_of_a_samples_tokens_then_of_the_samples():
    """Sample one: -1 -2 and -3: 2 a token, 3 an attempt. Sample two: -4: 4 and 4. One attempt of four is unknown."""
    numbers = Entropy()([drawn((-1.0, -2.0), (-3.0,), ()), drawn((-4.0,), sample="t")])
    assert numbers == {"token_entropy": 3.0, "sequence_entropy": 3.5, "entropy_unknown": 0.25}


def test_entropy_of_draws_from_a_known_policy_comes_near_to_it():
    odds = [0.7, 0.2, 0.1]
    draw = random.Random(0)
    groups = [drawn(*[(math.log(draw.choices(odds, odds)[0]),) for _ in range(50)]) for _ in range(200)]
    truth = -sum(p * math.log(p) for p in odds)
    assert Entropy()(groups)["token_entropy"] == pytest.approx(truth, abs=0.02)


def test_collapse_by_hand():
    """Texts a a b none: 1/4 had been said, 2/4 are the commonest. b is `x x y`: of its three steps one repeats."""
    tried = [("a", "stop", 3), ("a", "stop", 3), ("x\nx\ny", "length", 6), ("", "stop", 0)]
    made = tuple(
        Trajectory(f"s/0/{i}", "s", "m", tuple(map(Step, text.split())), stop_reason=stop, token_ids=(1,) * tokens)
        for i, (text, stop, tokens) in enumerate(tried)
    )
    assert Collapse()([Group(Sample("s", "?"), made), Group(Sample("none", "?"), ())]) == {
        "length_tokens": 4.0,
        "length_steps": 1.25,
        "cut": 0.25,
        "empty": 0.25,
        "duplicates": 0.25,
        "repeated_steps": pytest.approx(1 / 9),
        "commonest_text": 0.5,
    }


@pytest.mark.parametrize("metric", [PassAtKS(), RewardAtKS(), DistinctPaths(), Entropy(), Collapse()])
def test_of_no_groups_there_is_no_number_not_a_zero(metric):
    numbers = metric([])
    assert numbers
    assert all(math.isnan(v) for v in numbers.values())
