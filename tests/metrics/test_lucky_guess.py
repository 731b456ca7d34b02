"""The audit of lucky guesses, by hand and through its sampler."""

import math

import pytest
from scipy.stats import binom

from mmevolve.critics.answer import AnswerMatch
from mmevolve.metrics.lucky_guess import LuckyGuess, at_least
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.resampled import Resampled
from mmevolve.samplers.review import Review
from mmevolve.types import Critique, Group, Sample, Trajectory
from mmevolve.verbs import group


def question(name, reviews, plain, *, marked=True):
    """Reviewed attempts as (before, after), and plain ones."""
    made, said = [], []
    for k, (before, after) in enumerate(reviews):
        first = Trajectory(f"{name}/0/{k}", name, "m", ())
        second = Trajectory(f"{first.id}~1", name, "m", (), parent=first.id)
        made += [first, second]
        said += [Critique(first.id, "answer", before), Critique(second.id, "answer", after)]
    for k, right in enumerate(plain, start=len(reviews)):
        made.append(Trajectory(f"{name}/0/{k}", name, "m", (), sampling={"resample": True} if marked else {}))
        said.append(Critique(made[-1].id, "answer", right))
    return Group(Sample(name, "?"), tuple(made), tuple(said))


@pytest.mark.parametrize("marked", [True, False])
def test_the_audit_by_hand(marked):
    groups = [
        question("a", [(0.0, 1.0)], [1.0, 1.0, 0.0, 0.0], marked=marked),  # one plain attempt in two gets it: lucky
        question("b", [(0.0, 1.0)], [0.0] * 4, marked=marked),  # none ever does: earned
        question("c", [(0.0, 1.0), (0.0, 1.0)], [1.0, 0.0, 0.0, 0.0], marked=marked),  # two of two by 1/4: 1/16
        question("d", [(1.0, 1.0)], [1.0], marked=marked),  # was right: nothing to mend
    ]
    numbers = LuckyGuess(draws=100)(groups)
    assert (numbers["lucky/corrections"], numbers["lucky/unaudited"]) == (4, 0)
    assert numbers["lucky/expected"] == pytest.approx((1 / 2 + 0 + 1 / 4 + 1 / 4) / 4)
    assert numbers["lucky/as_often"] == pytest.approx(3 / 4), "a, and both of c: 1/16 is above 5 %"
    assert LuckyGuess(alpha=0.1, draws=10)(groups)["lucky/as_often"] == pytest.approx(1 / 4)
    assert numbers["lucky/excess"] == pytest.approx((1 / 2 + 1 + 3 / 4) / 3)


def test_questions_chosen_by_the_review_give_no_excess():
    chosen = [question("a", [(0.0, 1.0)], [1.0]), question("b", [(0.0, 0.0)], [])]
    numbers = LuckyGuess(draws=10)(chosen)
    assert math.isnan(numbers["lucky/excess"]) and numbers["lucky/expected"] == 1.0
    numbers = LuckyGuess(draws=10)([question("a", [(0.0, 1.0)], [])])
    assert (numbers["lucky/corrections"], numbers["lucky/unaudited"]) == (1, 1)
    assert math.isnan(numbers["lucky/expected"]) and math.isnan(numbers["lucky/as_often"])


@pytest.mark.parametrize(("right", "tries", "chance"), [(0, 3, 0.2), (2, 5, 0.3), (5, 5, 0.9), (1, 1, 0.0)])
def test_the_binomial_tail_is_scipys(right, tries, chance):
    assert at_least(right, tries, chance) == pytest.approx(binom.sf(right - 1, tries, chance))


def reply(said, seed, index):
    """First answers are right a fifth of the time, reviews half of it; `hard` ones never at first."""
    if "answer" in said:
        return f"answer : {seed % 2}"
    return f"answer : {2 if 'hard' in said else int((seed + index) % 5 == 0)}"


SAMPLES = [Sample(f"s{i}", f"{'hard' if i % 4 == 0 else 'easy'} {i} ?", answer="1") for i in range(12)]


def judged(sampler, samples=SAMPLES):
    made = list(sampler(Scripted(reply), samples, round=1))
    by_id = {s.id: s for s in samples}
    return made, group(samples, made, list(AnswerMatch()([(by_id[t.sample_id], t) for t in made])))


def test_the_sampler_resamples_what_the_review_mended_and_nothing_else():
    made, groups = judged(Resampled(Review(n=2, review="check"), AnswerMatch(), k=5))
    assert [t for t in made if not t.sampling.get("resample")] == list(
        Review(n=2, review="check")(Scripted(reply), SAMPLES, round=1)
    )
    for one in groups:
        right = dict(zip((t.id for t in one.trajectories), one.scores("answer"), strict=True))
        mended = any(t.parent and not right[t.parent] and right[t.id] for t in one.trajectories)
        plain = [t for t in one.trajectories if t.sampling.get("resample")]
        assert len(plain) == (5 if mended else 0)
        assert [t.id for t in plain] == [f"{one.sample.id}/1/{k}" for k in range(2, 2 + len(plain))]
        if mended and "hard" in one.sample.question:
            assert not any(right[t.id] for t in plain)
    assert 0 < LuckyGuess(draws=10)(groups)["lucky/expected"] < 1


def test_with_all_wrong_answers_resampled_the_review_is_compared_fairly():
    _, groups = judged(Resampled(Review(review="check"), AnswerMatch(), k=5, of="wrong"))
    assert not math.isnan(LuckyGuess(draws=10)(groups)["lucky/excess"])


def test_the_resamples_do_not_depend_on_the_batch_and_need_chance():
    sampler = Resampled(Review(n=2, review="check"), AnswerMatch(), k=3)
    together = {t.id: t for t in judged(sampler)[0]}
    alone = {t.id: t for s in SAMPLES[::-1] for t in judged(sampler, [s])[0]}
    assert together == alone
    with pytest.raises(ValueError, match="every resample would be the same answer"):
        Resampled(Review(), AnswerMatch(), temperature=0.0)
