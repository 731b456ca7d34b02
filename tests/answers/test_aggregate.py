import pytest

from mmevolve.answers import aggregate
from mmevolve.answers.edit import distance


def test_average_worst_and_best_case_over_variants():
    found = aggregate.over_variants([1, 1, 0, 1, 0, 0], ["a", "a", "b", "b", "c", "c"])
    assert found == aggregate.VariantAccuracy(average=0.5, worst=1 / 3, best=2 / 3, seeds=3)


def test_circular_accuracy_wants_every_rotation_right():
    assert aggregate.circular_accuracy([1, 1, 1, 0], ["q1", "q1", "q2", "q2"]) == 0.5


def test_gain_may_be_negative_and_leakage_may_not():
    assert aggregate.multimodal_gain(0.4, 0.5) == pytest.approx(-0.1)
    assert aggregate.multimodal_leakage(0.3, 0.4) == 0.0
    assert aggregate.multimodal_leakage(0.4, 0.3) == pytest.approx(0.1)


def test_detection_counts_yes_among_the_predictions_and_not_among_the_references():
    found = aggregate.detection(["yes", "yes", "no", None], ["yes", "no", "no", "yes"])
    assert found.accuracy == 0.5
    assert found.precision == 0.5
    assert found.recall == 0.5
    assert found.f1 == 0.5
    assert found.yes_rate == 0.5
    assert found.unparsed == 0.25


def test_precision_is_missing_and_not_zero_when_nothing_is_called_yes():
    found = aggregate.detection(["no", "no"], ["no", "no"])
    assert found.precision is None and found.recall is None and found.f1 is None
    assert aggregate.detection(["yes", "no"], ["no", "yes"]).f1 == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: aggregate.over_variants([], []),
        lambda: aggregate.over_variants([1], []),
        lambda: aggregate.detection([], []),
        lambda: aggregate.detection(["yes"], ["Yes"]),
    ],
)
def test_what_cannot_be_counted_is_refused(call):
    with pytest.raises(ValueError, match=r"\w"):
        call()


def slow_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def test_the_edit_distance_is_that_of_the_table_method():
    import random

    rng = random.Random(0)
    for _ in range(400):
        a = "".join(rng.choice("abc") for _ in range(rng.randrange(90)))
        b = "".join(rng.choice("abc") for _ in range(rng.randrange(90)))
        assert distance(a, b) == slow_distance(a, b)
