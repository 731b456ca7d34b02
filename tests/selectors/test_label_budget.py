"""How many labels a step reward is trained on, and how sure each of them is."""

import math

import pytest

from mmevolve.keys import describe
from mmevolve.selectors.step_labels import StepLabels, confidence, share_kept
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def judged(name, *values):
    attempts = tuple(
        Trajectory(f"{name}/0/{i}", name, "m", tuple(Step(f"step {i} {k}") for k in range(len(v))))
        for i, v in enumerate(values)
    )
    said = tuple(Critique(t.id, "value", 0.0, v) for t, v in zip(attempts, values, strict=True))
    return Group(Sample(name, "how many ?"), attempts, said)


def test_confidence_by_hand():
    """Beta(1, 3): variance 3 / (16 * 5), over 1 / 12. Beta(2, 2): 4 / (16 * 5). Beta(9, 9): 81 / (324 * 19)."""
    assert confidence(0.0, 2) == confidence(1.0, 2) == pytest.approx(1 - math.sqrt(12 * 3 / 80))
    assert confidence(0.5, 2) == pytest.approx(1 - math.sqrt(12 * 4 / 80))
    assert confidence(0.5, 16) == pytest.approx(1 - math.sqrt(12 * 81 / (324 * 19)))
    assert confidence(0.3, 0) == 0.0 == confidence(math.nan, 4)
    assert confidence(1.0, 4) > confidence(0.5, 4) and confidence(0.5, 8) > confidence(0.5, 4)


def test_every_label_weighs_as_sure_as_it_is_and_the_verdict_is_sure():
    (row,) = StepLabels(kind="hard", rollouts=2)([judged("s", (0.5, math.nan, 0.0))])
    assert row.labels[0] == 1.0 and math.isnan(row.labels[1]) and row.labels[2] == 0.0
    assert row.weights == (confidence(0.5, 2), 0.0, 1.0)
    (kept,) = StepLabels(kind="kept", rollouts=2)([judged("s", (0.5, 1.0, 1.0))])
    assert kept.weights == (confidence(0.5, 2), confidence(0.5, 2), confidence(1.0, 2)), "of the two that are divided"
    (plain,) = StepLabels()([judged("s", (0.5, 1.0))])
    assert plain.weights == ()


def test_a_budget_takes_whole_attempts_while_they_fit_whatever_the_order_of_the_groups():
    groups = [judged(f"s{i}", (0.5, 0.5, 1.0), (0.5, math.nan, 0.0)) for i in range(6)]
    rows = list(StepLabels(budget=11)(groups))
    labels = sum(not math.isnan(label) for row in rows for label in row.labels)
    assert 10 <= labels <= 11
    assert {r.source for r in StepLabels(budget=11)(groups[::-1])} == {r.source for r in rows}
    assert {r.source for r in StepLabels(budget=11, seed=1)(groups)} != {r.source for r in rows}
    everything = list(StepLabels()(groups))
    assert list(StepLabels(budget=10_000)(groups)) == everything
    assert rows == [row for row in everything if row in rows], "in the order that they have without a budget"


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_that_buys_nothing_is_refused(budget):
    with pytest.raises(ValueError, match=f"a label budget of {budget} labels no step: expected 1 or more"):
        StepLabels(budget=budget)


def test_a_step_without_a_value_has_no_label_and_leaves_none_to_the_next():
    labels = share_kept((0.4, math.nan, 0.4, 0.2), 0.8)
    assert (labels[0], labels[3]) == (0.5, 0.5) and math.isnan(labels[1]) and math.isnan(labels[2])
    (row,) = StepLabels(kind="kept")([judged("s", (math.nan, 0.5, 1.0))])
    assert math.isnan(row.labels[0]) and math.isnan(row.labels[1]) and row.labels[2] == 1.0


def test_settings_that_came_later_do_not_change_the_key_of_what_was_made_without_them():
    assert set(describe(StepLabels())) == {"_target_", "critic", "kind", "dedup", "prompt"}
    assert describe(StepLabels(budget=5))["budget"] == 5
