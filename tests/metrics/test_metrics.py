import itertools
import math
import random

import pytest

from mmevolve.metrics.accuracy import Accuracy, PassAtK
from mmevolve.metrics.diversity import Diversity
from mmevolve.metrics.reward import RewardPassAtK, RightAnswerWrongStep, StepAUROC, auroc
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

HEADS = ("answer", "prm", "oracle")


def group(*attempts, sample="s", critics=HEADS):
    """Attempts as (text, answer, score by each critic...)."""
    trajectories, critiques = [], []
    for i, (text, answer, *scores) in enumerate(attempts):
        t = Trajectory(f"{sample}/0/{i}", sample, "m", (Step(text),), answer)
        trajectories.append(t)
        critiques += [Critique(t.id, name, score) for name, score in zip(critics, scores, strict=False)]
    return Group(Sample(sample, "?"), tuple(trajectories), tuple(critiques))


def verdicts(*right, sample="s"):
    return group(*[(f"t{i}", "4", None if r is None else float(r)) for i, r in enumerate(right)], sample=sample)


def test_accuracy_is_the_mean_over_samples_of_the_share_right():
    """1/4 and 1: (0.25 + 1) / 2, though 2 of 5 attempts are right. What could not be judged is not right."""
    groups = [verdicts(1, 0, 0, None), verdicts(1)]
    assert Accuracy()(groups) == {"accuracy": 0.625, "accuracy_unparsed": 0.0}


def test_attempts_without_an_answer_are_counted():
    groups = [group(("a", None, 0.0), ("b", "4", 1.0)), group(("c", None, 0.0), ("d", None, 0.0))]
    assert Accuracy(name="held")(groups) == {"held": 0.25, "held_unparsed": 0.75}


def test_a_sample_without_attempts_counts_as_not_right():
    assert Accuracy()([verdicts(1), Group(Sample("none", "?"), ())])["accuracy"] == 0.5


def any_right(right, k):
    """Brute force: the share of all ways to pick k attempts that hold a right one."""
    picks = list(itertools.combinations(right, k))
    return sum(any(p) for p in picks) / len(picks)


@pytest.mark.parametrize(("n", "k"), [(n, k) for n in range(1, 8) for k in range(1, n + 1)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_attempt(n, k):
    for c in range(n + 1):
        right = [1] * c + [0] * (n - c)
        assert PassAtK(k=k)([verdicts(*right)])[f"pass@{k}"] == pytest.approx(any_right(right, k))


def test_pass_at_k_by_hand():
    """n = 4: c = 1 and k = 2: 1 - C(3, 2) / C(4, 2) = 1/2. c = 3: 1 - C(1, 2) / 6 = 1. Mean 3/4."""
    assert PassAtK(k=2)([verdicts(0, 1, 0, 0), verdicts(1, 1, 0, 1)]) == {"pass@2": 0.75}


def test_pass_at_one_is_accuracy():
    groups = [verdicts(1, 0, 0), verdicts(1, 1, 0), verdicts(0, None, 0)]
    assert PassAtK(k=1)(groups)["pass@1"] == pytest.approx(Accuracy()(groups)["accuracy"])


def test_pass_at_k_of_many_attempts_counts_the_right_ones_exactly():
    for c in range(0, 50, 7):
        value = PassAtK(k=8)([verdicts(*[1] * c, *[0] * (49 - c))])["pass@8"]
        assert value == pytest.approx(1 - math.comb(49 - c, 8) / math.comb(49, 8))


def test_too_few_attempts_for_k_are_refused():
    with pytest.raises(ValueError, match="pass@4 needs 4 attempts, sample 'short' has 3"):
        PassAtK(k=4)([verdicts(1, 1, 1, 1), verdicts(1, 1, 1, sample="short")])


def ranked(*attempts):
    """Attempts as (verdict, rank)."""
    return group(*[(f"t{i}", "4", right, rank) for i, (right, rank) in enumerate(attempts)])


def test_reward_pass_at_k_looks_at_the_best_ranked_only():
    best_is_right = ranked((0.0, 0.2), (1.0, 0.9), (0.0, 0.5))
    second_is_right = ranked((1.0, 0.5), (0.0, 0.9), (0.0, 0.2))
    third_is_right = ranked((0.0, 0.5), (0.0, 0.9), (1.0, 0.2))
    groups = [best_is_right, second_is_right, third_is_right]
    assert [RewardPassAtK(k=k)(groups)[f"reward_pass@{k}"] for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_tied_ranks_go_by_sampling_order():
    assert RewardPassAtK(k=1)([ranked((0.0, 0.5), (1.0, 0.5))]) == {"reward_pass@1": 0.0}
    assert RewardPassAtK(k=1)([ranked((1.0, 0.5), (0.0, 0.5))]) == {"reward_pass@1": 1.0}


def test_an_attempt_that_was_not_ranked_is_not_among_the_best():
    assert RewardPassAtK(k=2)([ranked((0.0, 0.5), (1.0, None))]) == {"reward_pass@2": 0.0}
    assert RewardPassAtK(k=2)([ranked((1.0, None), (1.0, None))]) == {"reward_pass@2": 0.0}


def test_with_every_attempt_in_sight_reward_pass_is_pass():
    random.seed(0)
    groups = [ranked(*[(float(random.random() < 0.3), random.random()) for _ in range(5)]) for _ in range(20)]
    assert RewardPassAtK(k=5)(groups)["reward_pass@5"] == pytest.approx(PassAtK(k=5)(groups)["pass@5"])


def test_right_answer_wrong_step_is_a_share_of_the_right_answers_of_all_samples():
    """Right answers: 3, of which the oracle passes 1 and says nothing of 1."""
    groups = [
        group(("a", "4", 1.0, 0.0, 1.0), ("b", "4", 1.0, 0.0, 0.0), ("c", "5", 0.0, 0.0, 0.0)),
        group(("d", "4", 1.0, 0.0, None), ("e", "4", None, 0.0, 0.0)),
    ]
    assert RightAnswerWrongStep()(groups) == {"right_answer_wrong_step": pytest.approx(2 / 3)}


def test_without_a_right_answer_there_is_no_share():
    groups = [group(("a", "5", 0.0, 0.0, 0.0))]
    assert math.isnan(RightAnswerWrongStep()(groups)["right_answer_wrong_step"])


def by_pairs(pairs):
    """Brute force: over all (right step, wrong step), how often the right one scores higher; ties count half."""
    good, bad = [s for s, g in pairs if g], [s for s, g in pairs if not g]
    wins = sum((a > b) + 0.5 * (a == b) for a in good for b in bad)
    return wins / (len(good) * len(bad))


@pytest.mark.parametrize("seed", range(30))
def test_auroc_is_the_share_of_pairs_in_order_with_ties_at_half(seed):
    draw = random.Random(seed)
    pairs = [(draw.randrange(6) / 5, draw.random() < 0.6) for _ in range(draw.randrange(4, 40))]
    pairs += [(0.5, True), (0.5, False)]
    assert auroc(pairs) == pytest.approx(by_pairs(pairs))


def test_auroc_by_hand():
    assert auroc([(0.9, True), (0.1, False)]) == 1.0
    assert auroc([(0.1, True), (0.9, False)]) == 0.0
    assert auroc([(0.5, True), (0.5, False)]) == 0.5
    assert math.isnan(auroc([(0.5, True), (0.7, True)]))
    assert math.isnan(auroc([]))


def test_auroc_refuses_what_has_no_rank():
    with pytest.raises(ValueError, match="1 of 3 step scores are NaN"):
        auroc([(0.5, True), (float("nan"), False), (0.2, False)])


def stepped(said, truth, index=0):
    t = Trajectory(f"s/0/{index}", "s", "m", tuple(Step(str(i)) for i in range(len(truth))))
    return t, Critique(t.id, "prm", min(said, default=None), said), Critique(t.id, "oracle", min(truth), truth)


def test_step_auroc_pools_the_steps_of_all_attempts_that_were_scored():
    """Right steps 0.9, 0.6, 0.4; wrong step 0.5: two of three pairs in order. The unscored attempt is left out."""
    parts = [stepped((0.9, 0.5), (1.0, 0.0), 0), stepped((0.6, 0.4), (1.0, 1.0), 1), stepped((), (0.0, 0.0), 2)]
    pooled = Group(Sample("s", "?"), tuple(p[0] for p in parts), tuple(c for p in parts for c in p[1:]))
    assert StepAUROC()([pooled]) == {"step_auroc_prm": pytest.approx(2 / 3)}


def test_diversity_counts_distinct_texts_answers_and_right_texts():
    """Texts a a b c: 3/4. Answers 4 4 5 and none: 2/4. Right texts a a: 1/4."""
    groups = [group(("a", "4", 1.0), ("a", "4", 1.0), ("b", "5", 0.0), ("c", None, 0.0))]
    assert Diversity()(groups) == {"distinct_texts": 0.75, "distinct_answers": 0.5, "distinct_right_texts": 0.25}


def test_diversity_is_a_mean_over_samples():
    groups = [group(("a", "4", 1.0), ("b", "5", 0.0)), group(("c", "4", 1.0), ("c", "4", 1.0))]
    assert Diversity()(groups) == {"distinct_texts": 0.75, "distinct_answers": 0.75, "distinct_right_texts": 0.5}


@pytest.mark.parametrize(
    "metric", [Accuracy(), PassAtK(), RewardPassAtK(), RightAnswerWrongStep(), StepAUROC(), Diversity()]
)
def test_of_no_groups_there_is_no_number_not_a_zero(metric):
    numbers = metric([])
    assert numbers
    assert all(math.isnan(v) for v in numbers.values())


@pytest.mark.parametrize("metric", [Accuracy(critic="judge"), PassAtK(1, critic="judge"), Diversity("judge")])
def test_a_critic_that_is_not_there_is_an_error(metric):
    with pytest.raises(KeyError, match="no critic 'judge' in the group of sample 's'"):
        metric([verdicts(1)])
