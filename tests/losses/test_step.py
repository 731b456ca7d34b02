import math

import pytest
import torch

from mmevolve.losses.inputs import LossInput
from mmevolve.losses.step import Step
from mmevolve.types import Labelled

LN3 = math.log(3.0)
NAN = float("nan")
# sigmoid(0) = 1/2, sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4.
# Row 0, weight 1: logit 0, label 1/2 -> ln 2;  logit ln 3, label 1 -> -ln 3/4.
# Row 1, weight 2: logit -ln 3, label 0 -> -ln 3/4;  no label.  Row 0's third step is padding.
# loss = (ln 2 - ln 3/4 - 2 ln 3/4) / 4.
# d loss / d logit = w (sigmoid - label) / 4:  0,  -1/16,  2 * (1/4) / 4 = 1/8.
LOGITS = [[0.0, LN3, 5.0], [-LN3, 2.0, 7.0]]
LABELS = [[0.5, 1.0, NAN], [0.0, NAN, NAN]]
MASK = [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
WEIGHT = [1.0, 2.0]
LOSS = (math.log(2.0) - 3 * math.log(0.75)) / 4
GRADIENT = [[0.0, -1 / 16, 0.0], [1 / 8, 0.0, 0.0]]


def double(values, **kwargs):
    return torch.tensor(values, dtype=torch.float64, **kwargs)


def step(logits=LOGITS, labels=LABELS, mask=MASK, weight=WEIGHT):
    logits = logits if isinstance(logits, torch.Tensor) else double(logits)
    return Step()(LossInput(logits, double(mask), double(weight), labels=double(labels)))


def test_loss_and_gradient_are_those_worked_by_hand():
    logits = double(LOGITS, requires_grad=True)
    out = step(logits)
    out.loss.backward()
    assert out.loss.item() == pytest.approx(LOSS, abs=1e-12)
    torch.testing.assert_close(logits.grad, double(GRADIENT))
    assert not any(m.requires_grad for m in out.metrics.values())


def test_agreement_is_the_weighted_share_of_labels_on_the_logits_side():
    """Row 0 of weight 1: right, wrong; row 1 of weight 2: right. (1 + 2) / 4."""
    out = step([[1.0, 1.0], [-1.0, 1.0]], [[1.0, 0.0], [0.2, NAN]], [[1.0, 1.0], [1.0, 1.0]])
    assert out.metrics["agree"].item() == pytest.approx(0.75)


def test_masked_and_unlabelled_steps_have_no_part_in_it():
    assert step([[0.0, LN3, -50.0], [-LN3, 50.0, 50.0]]).loss.item() == pytest.approx(LOSS)
    labelled_pad = [[0.5, 1.0, 1.0], [0.0, NAN, 0.0]]
    assert step(labels=labelled_pad).loss.item() == pytest.approx(LOSS)


def test_a_soft_label_is_met_where_the_probability_equals_it():
    logits = double([[math.log(0.3 / 0.7)]], requires_grad=True)
    out = step(logits, [[0.3]], [[1.0]], [1.0])
    out.loss.backward()
    assert logits.grad.item() == pytest.approx(0.0, abs=1e-12)
    assert out.loss.item() == pytest.approx(-0.3 * math.log(0.3) - 0.7 * math.log(0.7))


def test_nothing_labelled_gives_no_gradient_and_no_nan():
    logits = double(LOGITS, requires_grad=True)
    out = step(logits, [[NAN] * 3] * 2)
    out.loss.backward()
    assert out.loss.item() == 0.0
    assert not logits.grad.any()


def test_large_logits_do_not_overflow():
    out = step([[1000.0, -1000.0]], [[0.0, 1.0]], [[1.0, 1.0]], [1.0])
    assert out.loss.item() == pytest.approx(1000.0)


def test_the_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(lambda logits: step(logits).loss, double(LOGITS, requires_grad=True))


def test_rows_without_labels_are_refused():
    with pytest.raises(ValueError, match="the step loss got rows without labels"):
        Step()(LossInput(double(LOGITS), double(MASK), double(WEIGHT)))


def test_it_says_what_it_learns_from():
    assert Step.example is Labelled
    assert Step.needs_reference is False
