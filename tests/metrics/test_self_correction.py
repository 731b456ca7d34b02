"""Two-turn accuracy by hand, and the algebra between its numbers."""

import math
import random

import pytest

from mmevolve.metrics.correction import CorrectionGain
from mmevolve.metrics.self_correction import SelfCorrection
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def group(i, *outcomes, answers=("x", "x")):
    """A sample's attempts and their revisions as (verdict before, verdict after)."""
    made, said = [], []
    for k, outcome in enumerate(outcomes):
        first = Trajectory(f"s{i}/0/{k}", f"s{i}", "m", (Step("a"),), answers[0])
        second = Trajectory(f"s{i}/0/{k}~1", f"s{i}", "m", (Step("b"),), answers[1], parent=first.id)
        made += [first, second]
        said += [Critique(t.id, "answer", v) for t, v in zip((first, second), outcome, strict=True)]
    return Group(Sample(f"s{i}", "?"), tuple(made), tuple(said))


def questions(kept, broken, fixed, stuck):
    """So many questions of each outcome, one attempt each."""
    outcomes = [(1.0, 1.0)] * kept + [(1.0, 0.0)] * broken + [(0.0, 1.0)] * fixed + [(0.0, 0.0)] * stuck
    return [group(i, outcome) for i, outcome in enumerate(outcomes)]


def test_a_review_by_hand():
    # 60 of 100 right at first, 54 of them kept (CL .9), 12 of the other 40 mended (CS .3).
    numbers = SelfCorrection()(questions(54, 6, 12, 28))
    expected = {
        "acc_t1": 0.6, "acc_t2": 0.66, "delta": 0.06, "delta_i_to_c": 0.12, "delta_c_to_i": 0.06, "right_both": 0.54,
        "wrong_both": 0.28, "cl": 0.9, "cs": 0.3, "rss": 0.625, "undefined": 0, "unparsed_t1": 0, "unparsed_t2": 0,
    }  # fmt: skip
    assert numbers == pytest.approx(expected)


def test_score_reports_its_base_model_so():
    # SCoRe's base row on MATH: 52.6, 41.4, -11.2 with 4.6 mended and 15.8 broken.
    numbers = SelfCorrection()(questions(368, 158, 46, 428))
    assert numbers["acc_t1"] == pytest.approx(0.526)
    assert numbers["acc_t2"] == pytest.approx(0.414)
    assert numbers["delta"] == pytest.approx(-0.112)
    assert numbers["rss"] < 0.5


@pytest.mark.parametrize("seed", range(20))
def test_the_algebra_between_the_numbers(seed):
    draw = random.Random(seed)
    groups = questions(*(draw.randint(1, 30) for _ in range(4)))
    n, gain = SelfCorrection()(groups), CorrectionGain()(groups)
    a = n["acc_t1"]
    assert n["acc_t2"] == pytest.approx(a * n["cl"] + (1 - a) * n["cs"])
    assert n["delta"] == pytest.approx(n["delta_i_to_c"] - n["delta_c_to_i"])
    assert n["delta_i_to_c"] == pytest.approx((1 - a) * n["cs"])
    assert n["delta_c_to_i"] == pytest.approx(a * (1 - n["cl"]))
    assert n["right_both"] + n["wrong_both"] + n["delta_i_to_c"] + n["delta_c_to_i"] == pytest.approx(1.0)
    assert gain["correction_gain"] == pytest.approx(n["delta"])
    assert 1 - gain["correction_break_rate"] == pytest.approx(n["cl"])
    assert gain["correction_fix_rate"] == pytest.approx(n["cs"])
    assert n["rss"] == pytest.approx((n["acc_t2"] - a**2) / (2 * a * (1 - a)))
    assert (n["rss"] - 0.5) * 2 * a * (1 - a) == pytest.approx(n["delta"])  # above 1/2 the review helps


def test_the_bounds_of_the_relative_score():
    # a = 1/2: CL = a and CS = 0 is the lower bound, CL = 1 and CS = a the upper.
    assert SelfCorrection()(questions(1, 1, 0, 2))["rss"] == pytest.approx(0.0)
    assert SelfCorrection()(questions(2, 0, 1, 1))["rss"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("counts", "nan"),
    [((0, 0, 1, 3), {"cl", "rss"}), ((3, 1, 0, 0), {"cs", "rss"}), ((2, 0, 0, 2), set())],
)
def test_what_is_undefined_is_nan_and_counted(counts, nan):
    numbers = SelfCorrection()(questions(*counts))
    assert {k for k, v in numbers.items() if math.isnan(v)} == nan
    assert numbers["undefined"] == len(nan)


def test_several_attempts_are_probabilities_of_their_question():
    # P_a = 3/4 with P_b = 2/3, and P_a = 0 with P_c = 1/2 of two attempts: CL = (3/4 * 2/3) / (3/4), CS of the sums.
    first = group(0, (1.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    second = group(1, (0.0, 1.0), (0.0, 0.0))
    numbers = SelfCorrection()([first, second])
    assert numbers["acc_t1"] == pytest.approx(3 / 8)
    assert numbers["cl"] == pytest.approx(2 / 3)
    assert numbers["cs"] == pytest.approx((1 / 4 * 1 + 1 * 1 / 2) / (1 / 4 + 1))


def test_an_unread_answer_is_wrong_and_counted():
    numbers = SelfCorrection()([group(0, (1.0, None), answers=("x", None)), group(1, (None, 1.0), answers=(None, "x"))])
    assert (numbers["acc_t1"], numbers["acc_t2"]) == (0.5, 0.5)
    assert (numbers["delta_i_to_c"], numbers["delta_c_to_i"]) == (0.5, 0.5)
    assert (numbers["unparsed_t1"], numbers["unparsed_t2"]) == (0.5, 0.5)


def test_the_last_of_a_chain_is_compared_with_its_first():
    made = group(0, (1.0, 0.0))
    third = Trajectory("s0/0/0~2", "s0", "m", (Step("c"),), "x", parent="s0/0/0~1")
    made = Group(made.sample, (*made.trajectories, third), (*made.critiques, Critique(third.id, "answer", 1.0)))
    assert SelfCorrection()([made])["right_both"] == 1.0
    turns = SelfCorrection(against="parent")([made])
    assert (turns["delta_i_to_c"], turns["delta_c_to_i"]) == (0.5, 0.5)


def test_without_a_revision_there_is_nothing_to_say():
    alone = Group(Sample("s", "?"), (Trajectory("s/0/0", "s", "m", ()),), (Critique("s/0/0", "answer", 1.0),))
    numbers = SelfCorrection()([alone])
    assert math.isnan(numbers["acc_t1"])
    assert numbers["undefined"] == 3.0
