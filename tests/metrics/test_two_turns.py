"""Two turns: numbers by hand, the algebra as properties, and intervals beside those of plain paired differences."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmevolve.metrics.correction import CorrectionGain
from mmevolve.metrics.self_correction import SelfCorrection
from mmevolve.metrics.turns import figures
from mmevolve.metrics.two_turns import TwoTurns
from mmevolve.statistics import function_interval, mean_interval, paired_interval
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

STEPS = (Step("seen", "perception"), Step("worked", "reasoning"), Step("said", "answer"))


def question(i, *outcomes, family="f", steps=(1.0, 1.0, 1.0), images=(), scores=()):
    """A question's attempts and their revisions, as verdicts before and after."""
    made, said = [], []
    for k, outcome in enumerate(outcomes):
        first = Trajectory(f"s{i:03d}/0/{k}", f"s{i:03d}", "m", STEPS, "x")
        second = Trajectory(f"{first.id}~1", f"s{i:03d}", "m", STEPS, "x", parent=first.id)
        made += [first, second]
        said += [Critique(t.id, "answer", float(v)) for t, v in zip((first, second), outcome, strict=True)]
        said += [Critique(t.id, "oracle", 0.0, tuple(steps)) for t in (first, second)]
        if scores:
            said += [Critique(t.id, "p", v) for t, v in zip((first, second), scores[k], strict=True)]
    return Group(Sample(f"s{i:03d}", "?", images, meta={"family": family}), tuple(made), tuple(said))


def hundred():
    """60 of 100 right at first, 54 of them kept (CL .9), 12 of the other 40 mended (CS .3)."""
    outcomes = [(1, 1)] * 54 + [(1, 0)] * 6 + [(0, 1)] * 12 + [(0, 0)] * 28
    return [question(i, outcome) for i, outcome in enumerate(outcomes)]


def whole(numbers, form=""):
    """The numbers of one form, without intervals."""
    prefix = f"two_turns/{form}/" if form else "two_turns/"
    own = {k.removeprefix(prefix): v for k, v in numbers.items() if k.startswith(prefix)}
    return {k: v for k, v in own.items() if "/" not in k and not k.endswith(("_low", "_high"))}


def test_a_second_turn_by_hand():
    numbers = TwoTurns(draws=50)(hundred())
    expected = {
        "acc_t1": 0.6, "acc_t2": 0.66, "delta": 0.06, "delta_i_to_c": 0.12, "delta_c_to_i": 0.06, "right_both": 0.54,
        "wrong_both": 0.28, "cl": 0.9, "cs": 0.3, "rss": 0.625, "visco_gain": 0.2, "undefined": 0, "questions": 100,
        "pairs": 100,
    }  # fmt: skip
    assert whole(numbers) == pytest.approx(expected)
    assert whole(numbers, "hard") == pytest.approx(expected), "one attempt a question: both forms agree"


shares = st.lists(st.integers(0, 30), min_size=4, max_size=4).filter(lambda counts: sum(counts) > 0)


@given(shares)
@settings(max_examples=150, deadline=None)
def test_the_algebra_holds_wherever_it_is_defined(counts):
    n = figures([c / sum(counts) for c in counts])
    a = n["acc_t1"]
    assert n["delta"] == pytest.approx(n["delta_i_to_c"] - n["delta_c_to_i"])
    assert n["right_both"] + n["wrong_both"] + n["delta_i_to_c"] + n["delta_c_to_i"] == pytest.approx(1)
    right, wrong = counts[0] + counts[1], counts[2] + counts[3]
    assert math.isnan(n["cl"]) == (right == 0) and math.isnan(n["cs"]) == (wrong == 0)
    assert math.isnan(n["rss"]) == math.isnan(n["visco_gain"]) == (right == 0 or wrong == 0)
    if right and wrong:
        assert n["acc_t2"] == pytest.approx(a * n["cl"] + (1 - a) * n["cs"])
        assert n["delta_i_to_c"] == pytest.approx((1 - a) * n["cs"])
        assert n["delta_c_to_i"] == pytest.approx(a * (1 - n["cl"]))
        assert n["visco_gain"] == pytest.approx(n["cs"] - (1 - n["cl"]))
        assert 2 * a * (1 - a) * (n["rss"] - 0.5) == pytest.approx(n["delta"], abs=1e-12), "above 1/2 it helps"


chances = st.lists(st.tuples(*[st.floats(0.01, 0.99)] * 2), min_size=1, max_size=6)


@given(chances)
@settings(max_examples=40, deadline=None)
def test_the_graded_form_is_the_papers_sums(pairs):
    groups = [question(i, (1, 1), scores=[pair]) for i, pair in enumerate(pairs)]
    n = whole(TwoTurns(graded="p", draws=1)(groups), "graded")
    a, b = zip(*pairs, strict=True)
    cl = sum(x * y for x, y in pairs) / sum(a)
    cs = sum((1 - x) * y for x, y in pairs) / sum(1 - x for x in a)
    assert (n["cl"], n["cs"]) == pytest.approx((cl, cs))
    assert n["acc_t2"] == pytest.approx(sum(b) / len(b))


def test_several_attempts_are_chances_in_the_soft_form_and_one_verdict_in_the_hard():
    # P_a = 3/4 with P_b = 2/3, and P_a = 0 with P_c = 1/2.
    groups = [question(0, (1, 1), (1, 1), (1, 0), (0, 1)), question(1, (0, 1), (0, 0))]
    numbers = TwoTurns(draws=10)(groups)
    soft, hard = whole(numbers), whole(numbers, "hard")
    assert (soft["acc_t1"], soft["cl"]) == pytest.approx((3 / 8, 2 / 3))
    assert soft["cs"] == pytest.approx((1 / 4 + 1 / 2) / (1 / 4 + 1))
    assert (hard["acc_t1"], hard["cl"], hard["cs"], hard["pairs"]) == (0.5, 1.0, 1.0, 2.0)


def test_it_agrees_with_the_metrics_that_were_there_before():
    groups = [question(i, (i % 2, i % 3 == 0), (i % 5 > 1, 1)) for i in range(30)]
    n, old = whole(TwoTurns(draws=5)(groups)), SelfCorrection()(groups)
    for name in ("acc_t1", "acc_t2", "delta", "delta_i_to_c", "delta_c_to_i", "cl", "cs", "rss"):
        assert n[name] == pytest.approx(old[name])
    assert n["visco_gain"] == pytest.approx(CorrectionGain(against="first")(groups)["correction_score"])


@pytest.mark.parametrize(
    ("outcomes", "undefined"),
    [([(0, 1), (0, 0)], {"cl", "rss", "visco_gain"}), ([(1, 1), (1, 0)], {"cs", "rss", "visco_gain"})],
)
def test_what_is_undefined_is_nan_with_its_ends_and_counted(outcomes, undefined):
    numbers = TwoTurns(draws=20)([question(i, o) for i, o in enumerate(outcomes)])
    own = whole(numbers)
    assert {k for k, v in own.items() if math.isnan(v)} == undefined
    assert all(math.isnan(numbers[f"two_turns/{k}_{end}"]) for k in undefined for end in ("low", "high"))
    assert own["undefined"] == 3


def test_without_a_revision_everything_is_undefined():
    own = whole(TwoTurns()([Group(Sample("s", "?"), ())]))
    assert own["undefined"] == 4 and own["pairs"] == 0 and math.isnan(own["delta"])


def test_intervals_are_those_of_paired_differences_by_question():
    numbers = TwoTurns(draws=300, seed=4)(hundred())
    right = [(float(c.score), float(d.score)) for g in hundred() for c, d in [g.by("answer").values()]]
    before, after = zip(*right, strict=True)
    plain = paired_interval(before, after, clusters=range(100), draws=300, seed=4)
    found = (numbers["two_turns/delta_low"], numbers["two_turns/delta_high"])
    assert found == pytest.approx((plain.low, plain.high), abs=1e-12)
    assert numbers["two_turns/cl_low"] < 0.9 < numbers["two_turns/cl_high"] <= 1


def test_the_order_of_the_groups_does_not_matter_and_pictures_can_be_drawn_whole():
    groups = [question(i, (i % 2, i % 3 == 0), images=(f"{i // 10}.png",)) for i in range(40)]
    assert TwoTurns(draws=100)(groups) == TwoTurns(draws=100)(groups[::-1])
    by_picture = TwoTurns(draws=400, cluster="picture")([question(i, (0, i < 10), images=(f"{i // 10}.png",))
                                                        for i in range(40)])  # fmt: skip
    alone = TwoTurns(draws=400)([question(i, (0, i < 10)) for i in range(40)])
    width = [n["two_turns/delta_high"] - n["two_turns/delta_low"] for n in (by_picture, alone)]
    assert width[0] > 2 * width[1], "ten questions that move together are one"


def test_families_and_kinds_of_the_first_wrong_step_are_counted_apart():
    groups = [
        question(0, (0, 1), family="count", steps=(0, 0, 0)),
        question(1, (0, 0), family="count", steps=(1, 0, 0)),
        question(2, (1, 0), family="total", steps=(1, 1, 1)),
    ]
    numbers = TwoTurns(steps="oracle", draws=10)(groups)
    assert numbers["two_turns/family=count/delta"] == 0.5
    assert numbers["two_turns/family=total/delta"] == -1
    assert numbers["two_turns/first_wrong=perception/cs"] == 1
    assert numbers["two_turns/first_wrong=reasoning/cs"] == 0
    assert numbers["two_turns/first_wrong=none/cl"] == 0
    assert "two_turns/first_wrong=answer/cl" not in numbers


def test_bad_scores_are_a_sentence():
    with pytest.raises(ValueError, match=r"trajectory 's000/0/0': score 1.5 by 'p', expected a chance from 0 to 1"):
        TwoTurns(graded="p")([question(0, (1, 1), scores=[(1.5, 0.5)])])
    with pytest.raises(ValueError, match="2 step scores by critic 'oracle' for 3 steps"):
        TwoTurns(steps="oracle")([question(0, (1, 1), steps=(1, 1))])
    with pytest.raises(KeyError, match="no critic 'nobody'"):
        TwoTurns(critic="nobody")([question(0, (1, 1))])


def test_a_function_of_column_means_has_the_interval_of_the_mean_it_is():
    rows = [(float(i % 3), float(i % 7)) for i in range(30)]
    clusters = [i // 3 for i in range(30)]
    found = function_interval(rows, lambda m: {"x": m[0], "ratio": m[0] / m[1]}, clusters=clusters, draws=200, seed=1)
    assert found["x"] == mean_interval([x for x, _ in rows], clusters=clusters, draws=200, seed=1)
    assert found["ratio"].low < found["ratio"].mean < found["ratio"].high
    one = function_interval(rows, lambda m: {"x": m[0], "no": math.nan}, clusters=[0] * 30)
    assert (one["x"].low, one["x"].high) == (-math.inf, math.inf) and math.isnan(one["no"].low)
    with pytest.raises(ValueError, match="at least one row"):
        function_interval([], lambda m: {"x": 1.0})


def test_what_was_so_every_time_is_not_beyond_doubt():
    numbers = TwoTurns(draws=50)([question(i, (0, 0)) for i in range(10)])
    # Wilson, 0 of 10: 3.8415 / (10 + 3.8415)
    assert (numbers["two_turns/cs"], numbers["two_turns/cs_low"]) == (0, 0)
    assert numbers["two_turns/cs_high"] == pytest.approx(0.27753, abs=1e-4)
    assert (numbers["two_turns/delta_low"], numbers["two_turns/delta_high"]) == pytest.approx(
        (-0.27753, 0.27753), abs=1e-4
    )
    kept = TwoTurns(draws=50)([question(i, (1, 1)) for i in range(9)] + [question(9, (0, 0))])
    assert kept["two_turns/cl_low"] == pytest.approx(9 / (9 + 3.8415), abs=1e-4), "of the nine that were right"
    assert math.isnan(kept["two_turns/visco_gain_low"]) and kept["two_turns/visco_gain"] == 0
