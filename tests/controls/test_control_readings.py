"""Readings of judged originals and variants, with numbers worked by hand."""

import itertools
import math
import random

import numpy as np
import pytest

from mmevolve.answers.aggregate import circular_accuracy
from mmevolve.controls import option_order
from mmevolve.controls.change import blind_gap, change, declined, refusals, unanswered
from mmevolve.controls.flips import circular, flip_rate
from mmevolve.controls.link import NothingToRead, variant
from mmevolve.controls.position import judge_order, position_bias
from mmevolve.controls.resampling import Resampling, by_picture, numbers
from mmevolve.controls.sensitivity import prompt_sensitivity
from mmevolve.statistics import mean_interval, paired_interval
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

QUICK = Resampling(draws=200)


def judged(sample, *answers, right=None, text="so be it"):
    """A group of attempts with these answers; right where the answer is the sample's, or as given."""
    trajectories, said = [], []
    for i, answer in enumerate(answers):
        t = Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(text),), answer)
        verdict = right[i] if right else float(answer is not None and answer == sample.answer)
        trajectories.append(t)
        said.append(Critique(t.id, "answer", verdict))
    return Group(sample, tuple(trajectories), tuple(said))


def free(name, answer="4"):
    return Sample(name, "how many?", (f"{name}.png",), answer)


def blind(sample):
    return variant(sample, "no_image", images=())


def test_the_blind_gap_by_hand():
    """Right with the picture: a b c of four; without: c d. MG = 3/4 - 2/4; of a b c, one is right blind too. Answers
    are 4 4 5 4: always saying 4 gets 3/4. One sample has no variant."""
    samples = [free("a"), free("b"), free("c", "5"), free("d"), free("e")]
    originals = [judged(s, "4", right=[r]) for s, r in zip(samples, (1.0, 1.0, 1.0, 0.0, 1.0), strict=True)]
    variants = [judged(blind(s), "4", right=[r]) for s, r in zip(samples[:4], (0.0, 0.0, 1.0, 1.0), strict=True)]
    found = blind_gap(originals, variants, text_model=0.4)
    assert (found.seeing.mean, found.blind.mean, found.gain.mean) == (0.75, 0.5, 0.25)
    assert (found.also_blind, found.constant, found.left_out) == (pytest.approx(1 / 3), 0.75, 1)
    assert found.leakage == pytest.approx(0.1)
    assert not found.looks
    interval = paired_interval([0, 0, 1, 1], [1, 1, 1, 0], clusters=list("abcd"))
    assert (found.gain.low, found.gain.high) == (interval.low, interval.high)


def test_a_model_that_is_right_only_with_the_picture_looks():
    samples = [free(str(i)) for i in range(20)]
    originals = [judged(s, "4", right=[1.0]) for s in samples]
    found = blind_gap(originals, [judged(blind(s), "4", right=[0.0]) for s in samples], resampling=QUICK)
    assert found.looks and found.gain.mean == 1.0 and found.also_blind == 0.0 and found.leakage is None


def test_several_attempts_and_several_variants_count_by_their_means():
    """Original 1/2; variants 1/2 and 1: mean 3/4."""
    sample = free("a")
    made = [variant(sample, "x", str(i)) for i in range(2)]
    originals = [judged(sample, "4", "5"), judged(free("b"), "4", "4")]
    variants = [judged(made[0], "4", "5"), judged(made[1], "4", "4"), judged(blind(free("b")), "5", "5")]
    found = blind_gap(originals, variants, resampling=QUICK)
    assert (found.seeing.mean, found.blind.mean, found.gain.mean) == (0.75, 0.375, 0.375)
    assert found.also_blind == pytest.approx((0.5 * 0.75 + 0.0) / 1.5)


def test_questions_about_one_picture_are_drawn_together():
    samples = [Sample(str(i), "?", ("one.png" if i < 3 else f"{i}.png",), "4") for i in range(6)]
    values = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    assert [by_picture(s) for s in samples[:3]] == [("one.png",)] * 3
    assert by_picture(Sample("t", "?")) == "t"
    wanted = mean_interval(values, clusters=[0, 0, 0, 1, 2, 3])
    assert Resampling().mean(samples, values) == wanted


def test_refusals_are_counted_by_what_is_said_and_by_what_is_missing():
    """Group one: of two attempts both decline and one gives an answer nevertheless; group two: none."""
    groups = [
        judged(free("a"), "4", None, text="I'm sorry, I cannot see an image."),
        judged(free("b"), "4", "5"),
    ]
    found = refusals(groups, resampling=QUICK)
    assert (found.declined.mean, found.unanswered.mean) == (0.5, 0.25)


def test_what_a_control_does_to_refusals_is_a_change():
    samples = [free("a"), free("b")]
    originals = [judged(s, "4") for s in samples]
    variants = [judged(blind(s), None, text="I cannot see any image") for s in samples]
    found = change(originals, variants, declined, resampling=QUICK)
    assert (found.original.mean, found.variant.mean, found.difference.mean, found.left_out) == (0.0, 1.0, 1.0, 0)
    assert change(originals, variants, unanswered, resampling=QUICK).difference.mean == 1.0


PETS = Sample("p", "which?", ("p.png",), "B", ("cat", "dog", "emu"))


def answered(originals, made, choose):
    """Groups of originals and variants under a model that gives a letter for a sample."""
    return [judged(s, choose(s)) for s in originals], [judged(s, choose(s)) for s in made]


def by_content(sample):
    return "ABC"[sample.choices.index("dog")] if "dog" in sample.choices else "A"


def test_a_model_that_goes_by_content_never_flips_and_one_that_goes_by_place_always_does():
    content = flip_rate(*answered([PETS], option_order.circular([PETS]), by_content), resampling=QUICK)
    place = flip_rate(*answered([PETS], option_order.circular([PETS]), lambda s: "A"), resampling=QUICK)
    assert (content.rate.mean, content.some.mean) == (0.0, 0.0)
    assert (place.rate.mean, place.some.mean) == (1.0, 1.0)
    assert (place.chance, place.excess, place.unanswered, place.left_out) == (None, None, 0.0, 0)


def test_flips_of_free_answers_go_by_the_verifiers_equality():
    """12 against 12.0: none; 12 against 13: a flip; one variant is silent and not counted."""
    a, b = free("a", "12"), free("b", "12")
    variants = [
        judged(variant(a, "x", "1"), "12.0"),
        judged(variant(a, "x", "2"), "13"),
        judged(variant(b, "x", "1"), None),
        judged(variant(b, "x", "2"), "12"),
    ]
    found = flip_rate([judged(a, "12"), judged(b, "12")], variants, resampling=QUICK)
    assert (found.rate.mean, found.some.mean) == (0.25, 0.5)
    assert found.unanswered == pytest.approx(1 / 6)


def test_flips_of_several_attempts_are_held_against_those_of_sampling():
    """Original 4 4 5: 2 of 3 pairs differ. Variant 4 5: of six pairs 3 differ. Excess 1/2 - 2/3."""
    sample = free("a")
    found = flip_rate([judged(sample, "4", "4", "5")], [judged(variant(sample, "x"), "4", "5")], resampling=QUICK)
    assert found.rate.mean == 0.5
    assert found.chance.mean == pytest.approx(2 / 3)
    assert found.excess.mean == pytest.approx(-1 / 6)


def test_without_a_pair_of_answers_there_is_no_flip_rate():
    sample = free("a")
    with pytest.raises(NothingToRead, match="1 samples with variants, none with an answer to both"):
        flip_rate([judged(sample, None)], [judged(variant(sample, "x"), "4")])


def two_pets():
    return [PETS, Sample("r", "which?", ("r.png",), "A", ("red", "blue")), Sample("free", "?", ("f.png",), "4")]


def test_circular_accuracy_by_hand():
    """Always A: plain, right on the second question only; circular, on none; each rotation is right once: 1/3, 1/2."""
    found = circular(*answered(two_pets(), option_order.circular(two_pets()), lambda s: "A"), resampling=QUICK)
    assert (found.plain.mean, found.circular.mean, found.loss.mean, found.left_out) == (0.5, 0.0, -0.5, 1)
    assert found.average.mean == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_circular_accuracy_is_that_of_the_answers_room():
    draw = random.Random(0)
    samples = [Sample(f"q{i}", "?", (), "B", ("cat", "dog", "emu")) for i in range(12)]
    originals, variants = answered(
        samples, option_order.circular(samples), lambda s: draw.choice([s.answer] * 4 + ["C"])
    )
    groups = [*originals, *variants]
    verdicts = [g.critiques[0].score > 0 for g in groups]
    wanted = circular_accuracy(verdicts, [g.sample.id.split("@")[0] for g in groups])
    assert 0 < wanted < 1
    assert circular(originals, variants, resampling=QUICK).circular.mean == pytest.approx(wanted)


def test_several_attempts_a_rotation_count_as_independent():
    """Shares right 1/2, 1 and 1/2 over the three rotations: all right in a quarter."""
    one, two = option_order.circular([PETS])
    variants = [judged(one, "A", "A"), judged(two, "C", "A")]
    assert circular([judged(PETS, "B", "A")], variants, resampling=QUICK).circular.mean == 0.25


def test_circular_accuracy_wants_each_rotation_once():
    originals, variants = answered([PETS], option_order.circular([PETS]), by_content)
    for wrong in (variants[:1], [variants[0], variants[0]], [*variants, variants[0]]):
        with pytest.raises(ValueError, match=r"sample 'p': \d variants in \d of the 2 rotations of its 3 options"):
            circular(originals, wrong)


def test_a_model_that_always_says_the_first_is_biased_and_one_that_knows_is_not():
    samples = [Sample(f"q{i}", "?", (), "B", ("cat", "dog", "emu")) for i in range(30)]
    made = option_order.circular(samples)
    first = position_bias(*answered(samples, made, lambda s: "A"), draws=300, resampling=QUICK)
    assert first.chosen == {"A": 1.0, "B": 0.0, "C": 0.0}
    assert first.expected == pytest.approx({"A": 1 / 3, "B": 1 / 3, "C": 1 / 3})
    assert first.first.mean == pytest.approx(2 / 3)
    assert first.statistic == pytest.approx(180.0)  # 30 expected at each place: (60^2 + 30^2 + 30^2) / 30
    assert first.p == pytest.approx(1 / 301)
    knows = position_bias(*answered(samples, made, by_content), draws=300, resampling=QUICK)
    assert (knows.statistic, knows.p, knows.first.mean) == (0.0, 1.0, 0.0)
    assert knows.null_mean == 0.0  # sure of its options, it visits every place: no chance to be anything else


def test_the_position_null_is_the_exchange_of_answers_between_orders():
    """One question, three orders, every exchange enumerated: the mean of the statistic and the p-value."""
    one, two = option_order.circular([PETS])
    originals, variants = [judged(PETS, "A")], [judged(one, "A"), judged(two, "A")]  # cat, dog, emu, each once at A
    found = position_bias(originals, variants, draws=4_000, resampling=QUICK)
    orders = [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    statistics = []
    for picks in itertools.permutations([0, 1, 2]):
        counts = np.bincount([order.index(p) for order, p in zip(orders, picks, strict=True)], minlength=3)
        statistics.append(((counts - 1) ** 2).sum())
    assert found.statistic == 6.0 == statistics[0]
    assert found.null_mean == pytest.approx(np.mean(statistics), abs=0.15)
    assert found.p == pytest.approx(np.mean([s >= 6 for s in statistics]), abs=0.03)


def test_a_guessing_model_is_called_biased_about_as_often_as_the_level_says():
    draw, low = random.Random(5), 0
    samples = [Sample(f"q{i}", "?", (), "B", ("cat", "dog", "emu")) for i in range(10)]
    made = option_order.circular(samples)
    for seed in range(60):
        groups = answered(samples, made, lambda s: draw.choice("ABC"))
        low += position_bias(*groups, draws=100, resampling=Resampling(draws=10, seed=seed)).p <= 0.1
    assert 1 <= low <= 14  # 6 expected; 14 has a chance below 0.002


def test_position_bias_counts_places_of_questions_with_different_numbers_of_options():
    found = position_bias(*answered(two_pets(), option_order.circular(two_pets()), lambda s: "B"), resampling=QUICK)
    assert found.chosen == {"A": 0.0, "B": 1.0, "C": 0.0}
    assert found.expected == pytest.approx({"A": 2 / 5, "B": 2 / 5, "C": 1 / 5})
    assert (found.n, found.left_out) == (5, 1)


def test_position_bias_needs_answers_in_two_orders():
    (one,) = option_order.adjacent([PETS])
    with pytest.raises(NothingToRead, match="1 samples with variants, none with answers in two orders"):
        position_bias([judged(PETS, None)], [judged(one, "A")])


def test_a_pairwise_judge_in_both_orders_by_hand():
    """Pairs: A both times; B both times; the first both times; no second verdict."""
    found = judge_order([True, False, True, True], [False, True, True, None])
    assert found.agreement.mean == pytest.approx(2 / 3)
    assert found.first.mean == pytest.approx(1 / 6)  # first in 4 of 6 verdicts
    assert found.unjudged == 0.25
    with pytest.raises(ValueError, match="2 for A first, 1 for B first"):
        judge_order([True, True], [True])
    with pytest.raises(ValueError, match="1 pairs, none judged in both orders"):
        judge_order([None], [True])


def templates(rows):
    """Answers of each sample under each template."""
    samples = [free(f"s{i}") for i in range(len(rows["plain"]))]
    return {name: [judged(s, a) for s, a in zip(samples, given, strict=True)] for name, given in rows.items()}


def test_prompt_sensitivity_by_hand():
    """Accuracies 3/4, 1/4, 2/4; answers change on samples 1 and 2 only."""
    given = {"plain": ["4", "4", "4", "5"], "curt": ["4", "5", "5", "5"], "long": ["4", "4", "5", "5"]}
    found = prompt_sensitivity(templates(given), resampling=QUICK)
    assert {name: a.mean for name, a in found.accuracy.items()} == {"plain": 0.75, "curt": 0.25, "long": 0.5}
    assert (found.spread.mean, found.changed.mean) == (0.5, 0.5)
    assert found.deviation == pytest.approx(math.sqrt(0.125 / 3))
    # exchanged, the wrong one of sample 1 meets the right one of sample 2 in a third of the cases: spread 0, else 1/2
    assert found.p == pytest.approx(2 / 3, abs=0.05)
    assert found.null_mean == pytest.approx(1 / 3, abs=0.025)


def test_templates_must_be_of_the_same_samples():
    both = templates({"plain": ["4", "4"], "curt": ["4", "5"]})
    with pytest.raises(ValueError, match="templates 'plain' and 'curt' have 2 and 1 groups, 1 samples under one only"):
        prompt_sensitivity({"plain": both["plain"], "curt": both["curt"][:1]})
    with pytest.raises(ValueError, match=r"got \['plain'\], expected two or more"):
        prompt_sensitivity({"plain": both["plain"]})


def test_a_reading_is_named_numbers_and_what_could_not_be_taken_is_nan():
    sample = free("a")
    found = numbers(flip_rate([judged(sample, "4")], [judged(variant(sample, "x"), "5")], resampling=QUICK), "x/")
    assert found["x/rate"] == 1.0 and {"x/rate_low", "x/rate_high", "x/left_out"} < set(found)
    assert math.isnan(found["x/chance"])
    by_name = prompt_sensitivity(templates({"plain": ["4"], "curt": ["5"]}), draws=5, resampling=QUICK)
    assert numbers(by_name)["accuracy/curt"] == 0.0
