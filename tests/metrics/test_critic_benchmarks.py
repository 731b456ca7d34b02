"""Step AUPRC, first error, false alarms, calibration and correction gain, by hand and against reference figures."""

import math
import random

import pytest

from mmevolve.metrics.calibration import Calibration, brier, expected_calibration_error
from mmevolve.metrics.correction import CorrectionGain
from mmevolve.metrics.step_errors import FalseAlarm, FirstError, StepAUPRC, average_precision, best_threshold
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

NAN = float("nan")


def chain_group(*chains, sample="s"):
    """Chains as (the critic's step scores or None, the oracle's labels)."""
    trajectories, critiques = [], []
    for i, (said, truth) in enumerate(chains):
        t = Trajectory(f"{sample}/0/{i}", sample, "m", tuple(Step(str(j)) for j in range(len(truth))))
        trajectories.append(t)
        critiques.append(Critique(t.id, "oracle", 1.0, tuple(map(float, truth))))
        if said is None:
            critiques.append(Critique(t.id, "prm", None, error="cannot"))
        else:
            critiques.append(Critique(t.id, "prm", min(said), tuple(said)))
    return Group(Sample(sample, "?"), tuple(trajectories), tuple(critiques))


def drawn(seed, share=0.4):
    draw = random.Random(seed)
    return [(draw.randrange(8) / 7, draw.random() < share) for _ in range(40)]


# sklearn 1.9.1: average_precision_score and brier_score_loss of the pairs above
SKLEARN = {
    0: (0.3789847249524669, 0.33112244897959187),
    1: (0.21502953942609115, 0.40765306122448974),
    2: (0.27023403109658367, 0.41479591836734697),
}


@pytest.mark.parametrize("seed", SKLEARN)
def test_average_precision_and_brier_are_those_of_sklearn(seed):
    assert (average_precision(drawn(seed)), brier(drawn(seed))) == pytest.approx(SKLEARN[seed], abs=1e-12)


def test_average_precision_by_hand():
    """Order + - +: recall 1/2 at precision 1, then 1/2 at 2/3: 5/6. All tied: the base rate."""
    assert average_precision([(0.9, True), (0.8, False), (0.7, True)]) == pytest.approx(5 / 6)
    assert average_precision([(0.5, True), (0.5, False), (0.5, False), (0.5, True)]) == 0.5
    assert math.isnan(average_precision([(0.5, False)]))
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        average_precision([(NAN, True), (0.1, False)])


def test_step_auprc_looks_for_wrong_steps_at_low_scores():
    """Wrong steps score 0.1 and 0.6, right ones 0.5 and 0.9: from the lowest, + - + -: 5/6 for wrong. For right steps,
    from the highest, + - + -: 5/6 too."""
    groups = [chain_group(((0.9, 0.1), (1, 0)), ((0.5, 0.6), (1, 0)), (None, (0, 0)))]
    assert StepAUPRC()(groups) == {
        "step_auprc_wrong_prm": pytest.approx(5 / 6),
        "step_auprc_wrong_prm_base": 0.5,
    }
    assert StepAUPRC(positive="right")(groups)["step_auprc_right_prm"] == pytest.approx(5 / 6)


def test_steps_without_a_label_are_not_counted():
    assert StepAUPRC()([chain_group(((0.1, 0.9, 0.2), (0, 1, NAN)))])["step_auprc_wrong_prm_base"] == 0.5


def test_first_error_by_hand():
    """Wrong chains: found; found too late (an alarm before); never; not judged: 1/4. Right chains: quiet; alarm: 1/2.
    F1 = 2 * 1/4 * 1/2 / (3/4) = 1/3."""
    groups = [
        chain_group(((0.9, 0.2, 0.1), (1, 0, 0)), ((0.3, 0.2), (1, 0))),
        chain_group(((0.9, 0.8), (1, 0)), (None, (0, 1)), sample="t"),
        chain_group(((0.9, 0.5), (1, 1)), ((0.9, 0.4), (1, 1)), sample="u"),
    ]
    assert FirstError()(groups) == {
        "first_error_prm_wrong": 0.25,
        "first_error_prm_right": 0.5,
        "first_error_prm_f1": pytest.approx(1 / 3),
        "first_error_prm_unjudged": pytest.approx(1 / 6),
    }
    assert FalseAlarm()(groups) == {"false_alarm_prm": 0.5, "false_alarm_prm_steps": 0.25}


def test_a_chain_with_an_unlabelled_step_has_no_first_error():
    groups = [chain_group(((0.9, 0.1), (NAN, 0)), ((0.9, 0.1), (1, 0)), ((0.9,), (1,)))]
    assert FirstError()(groups)["first_error_prm_wrong"] == 1.0
    assert FirstError()(groups)["first_error_prm_right"] == 1.0


def test_false_alarms_are_counted_over_right_chains_that_were_judged():
    groups = [chain_group((None, (1, 1)), ((0.1, 0.9), (1, 1)), ((0.1,), (0,)))]
    assert FalseAlarm()(groups) == {"false_alarm_prm": 1.0, "false_alarm_prm_steps": 0.5}
    assert math.isnan(FalseAlarm()([chain_group(((0.1,), (0,)))])["false_alarm_prm"])


@pytest.mark.parametrize("seed", range(20))
def test_the_best_threshold_is_the_best_of_all_that_are_tried_one_by_one(seed):
    draw = random.Random(seed)
    made = []
    for _ in range(15):
        steps = draw.randrange(1, 5)
        made.append(([draw.randrange(10) / 10 for _ in range(steps)], [draw.random() < 0.7 for _ in range(steps)]))
    groups = [chain_group(((0.9, 0.2), (1, 1)), ((0.9, 0.3), (1, 0)), *made)]
    found = best_threshold(groups)
    tried = sorted({score for said, _ in [((0.9, 0.2), 0), ((0.3,), 0), *made] for score in said})

    def f1(threshold):
        return FirstError(threshold=threshold)(groups)["first_error_prm_f1"]

    assert f1(found) == pytest.approx(max(f1(t) for t in (*tried, 2.0)))


def test_a_threshold_needs_both_kinds_of_chain():
    with pytest.raises(ValueError, match="critic 'prm': a threshold needs judged chains with and without"):
        best_threshold([chain_group(((0.9,), (1,)))])


@pytest.mark.parametrize("said", [(0.5,), (0.5, NAN)])
@pytest.mark.parametrize("metric", [StepAUPRC(), FirstError(), FalseAlarm(), Calibration(truth="oracle", over="steps")])
def test_step_scores_that_do_not_fit_the_steps_are_refused(metric, said):
    with pytest.raises(ValueError, match=r"trajectory 's/0/0': step scores .* for 2 steps, expected one number each"):
        metric([chain_group((said, (1, 0)))])


def slow_ece(pairs, bins):
    """Bin by bin from the definition."""
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        held = [(p, t) for p, t in pairs if low < p <= high or (b == 0 and p == 0)]
        if held:
            share, confidence = sum(t for _, t in held) / len(held), sum(p for p, _ in held) / len(held)
            total += len(held) / len(pairs) * abs(share - confidence)
    return total


@pytest.mark.parametrize("seed", range(10))
def test_ece_is_the_definition_bin_by_bin(seed):
    for bins in (1, 5, 7, 15):
        assert expected_calibration_error(drawn(seed), bins) == pytest.approx(slow_ece(drawn(seed), bins))


# torchmetrics 1.9.0: binary_calibration_error(n_bins=10) of 40 pairs of uniform probabilities
TORCHMETRICS = {0: 0.35240277164136485, 1: 0.35789524451676347, 2: 0.4101725942754818}


@pytest.mark.parametrize("seed", TORCHMETRICS)
def test_ece_is_that_of_torchmetrics(seed):
    draw = random.Random(seed)
    pairs = [(draw.random(), draw.random() < 0.4) for _ in range(40)]
    assert expected_calibration_error(pairs, 10) == pytest.approx(TORCHMETRICS[seed], abs=1e-6)


def test_calibration_by_hand():
    """Two bins: {0.2 wrong, 0.4 right}: |1/2 - 0.3| = 0.2; {0.9 right, 0.7 right}: |1 - 0.8| = 0.2. ECE 0.2.
    Brier: (0.04 + 0.36 + 0.01 + 0.09) / 4 = 0.125. Mean score 0.55, share right 0.75."""
    critiques, trajectories = [], []
    for i, (p, right) in enumerate([(0.2, 0.0), (0.4, 1.0), (0.9, 1.0), (0.7, 1.0), (None, 1.0), (0.5, None)]):
        t = Trajectory(f"s/0/{i}", "s", "m", ())
        trajectories.append(t)
        critiques += [Critique(t.id, "prm", p), Critique(t.id, "answer", right)]
    group = Group(Sample("s", "?"), tuple(trajectories), tuple(critiques))
    numbers = Calibration(bins=2)([group])
    assert numbers == {
        "ece_prm_attempts": pytest.approx(0.2),
        "brier_prm_attempts": pytest.approx(0.125),
        "overrating_prm_attempts": pytest.approx(-0.2),
    }


def test_calibration_of_steps_is_over_labelled_steps():
    """0.8 right, 0.4 wrong: each alone in its half: (0.2 + 0.4) / 2. Brier (0.04 + 0.16) / 2."""
    numbers = Calibration(truth="oracle", over="steps", bins=2)([chain_group(((0.8, 0.4, 0.9), (1, 0, NAN)))])
    assert numbers == {
        "ece_prm_steps": pytest.approx(0.3),
        "brier_prm_steps": pytest.approx(0.1),
        "overrating_prm_steps": pytest.approx(0.1),
    }


def test_calibration_refuses_what_is_no_probability():
    group = chain_group(((1.5,), (1,)))
    with pytest.raises(ValueError, match=r"critic 'prm' scores 1\.5: calibration is of probabilities, in \[0, 1\]"):
        Calibration(truth="oracle")([group])


def revisions(*rows, sample="s"):
    """Attempts as (name, parent's name or None, right)."""
    trajectories = tuple(Trajectory(n, sample, "m", (), parent=p) for n, p, _ in rows)
    return Group(Sample(sample, "?"), trajectories, tuple(Critique(n, "answer", r) for n, _, r in rows))


def test_correction_gain_by_hand():
    """Five revisions: two of three wrong ones fixed, one of two right ones broken: gain 2/5 - 1/5, score 2/3 - 1/2."""
    groups = [
        revisions(("a", None, 0.0), ("a~1", "a", 1.0), ("b", None, 1.0), ("b~1", "b", 0.0)),
        revisions(("c", None, 0.0), ("c~1", "c", None), ("d", None, None), ("d~1", "d", 1.0), sample="t"),
        revisions(("e", None, 1.0), ("e~1", "e", 1.0), ("f", None, 1.0), sample="u"),
    ]
    assert CorrectionGain()(groups) == {
        "correction_gain": pytest.approx(0.2),
        "correction_fixed": 0.4,
        "correction_broken": 0.2,
        "correction_fix_rate": pytest.approx(2 / 3),
        "correction_break_rate": 0.5,
        "correction_score": pytest.approx(1 / 6),
    }


def test_the_correction_score_is_cl_plus_cs_minus_one_whatever_was_right_before():
    """Of 10 right ones 9 stay so (CL .9), of 10 wrong ones 3 are mended (CS .3): .3 - .1, the gain of all is 2/20."""
    right = [revisions((f"a{i}", None, 1.0), (f"a{i}~1", f"a{i}", float(i > 0)), sample=f"r{i}") for i in range(10)]
    wrong = [revisions((f"a{i}", None, 0.0), (f"a{i}~1", f"a{i}", float(i < 3)), sample=f"w{i}") for i in range(10)]
    numbers, fewer = CorrectionGain()([*right, *wrong]), CorrectionGain()([*right, *wrong, *right])
    assert numbers["correction_score"] == fewer["correction_score"] == pytest.approx(0.2)
    assert numbers["correction_gain"] == pytest.approx(0.1) != fewer["correction_gain"]


def test_a_chain_of_revisions_is_compared_turn_by_turn_or_end_to_end():
    """Wrong, right, wrong: one fix and one break by turns; nothing changed from the first to the last."""
    groups = [revisions(("a", None, 0.0), ("a~1", "a", 1.0), ("a~2", "a~1", 0.0))]
    turns, ends = CorrectionGain()(groups), CorrectionGain(against="first")(groups)
    assert (turns["correction_fixed"], turns["correction_broken"]) == (0.5, 0.5)
    assert (ends["correction_fixed"], ends["correction_broken"]) == (0.0, 0.0)


def test_a_revision_of_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="trajectory 'a~1' revises 'a', which is not among the 1 attempts"):
        CorrectionGain()([revisions(("a~1", "a", 1.0))])


@pytest.mark.parametrize("metric", [StepAUPRC(), FirstError(), FalseAlarm(), Calibration(), CorrectionGain()])
def test_of_no_groups_there_is_no_number_and_not_a_zero(metric):
    assert all(math.isnan(v) for v in metric([]).values())


@pytest.mark.parametrize("metric", [StepAUPRC(), FirstError(), FalseAlarm(), Calibration(truth="oracle")])
def test_a_critic_under_test_that_is_not_there_is_an_error(metric):
    with pytest.raises(KeyError, match="no critic 'judge'"):
        type(metric)(rank_by="judge")([chain_group(((0.9,), (1,)))])
