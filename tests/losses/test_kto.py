import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import double

from mmevolve.losses.inputs import LossInput
from mmevolve.losses.kto import KTO
from mmevolve.types import Labelled


def sigma(x):
    return 1 / (1 + math.exp(-x))


# Log-ratios 2 (good), -1 (bad), 0.5 (good); their mean is 0.5.
ROWS = LossInput(
    double([[-1.0, -1.0], [-2.0, 0.0], [-1.0, -0.5]], requires_grad=True),
    double([[1, 1], [1, 0], [1, 1]]),
    double([1, 1, 1]),
    ref_logps=double([[-2.0, -2.0], [-1.0, 0.0], [-1.0, -1.0]]),
    labels=double([[math.nan, 1.0], [0.0, math.nan], [1.0, 1.0]]),
    kl_logps=double([[-1.0], [-2.0]]),
    kl_ref_logps=double([[-1.5], [-2.1]]),
    kl_mask=double([[1], [1]]),
    names=("a/0/0", "b/0/0", "c/0/0"),
)


@pytest.mark.parametrize(("part", "zero"), [
    (KTO(beta=0.5), 0.5),
    (KTO(beta=0.5, reference_point="mismatched"), 0.3),  # (0.5 + 0.1) / 2
    (KTO("apo_zero_unpaired", beta=0.5), 0.0),
])  # fmt: skip
def test_good_rows_rise_above_the_reference_point_and_bad_ones_fall_below(part, zero):
    good = [1 - sigma(0.5 * (u - zero)) for u in (2.0, 0.5)]
    expected = (sum(good) + 1 - sigma(0.5 * (zero + 1.0))) / 3
    out = part(ROWS)
    assert out.loss.item() == pytest.approx(expected)
    assert out.metrics["kl"].item() == pytest.approx(zero)
    assert out.metrics["good"].item() == pytest.approx(2 / 3)


def test_the_two_kinds_have_weights_of_their_own_and_the_reference_point_no_gradient():
    part = KTO("apo_zero_unpaired", beta=1.0, desirable_weight=2.0, undesirable_weight=3.0)
    (gradient,) = torch.autograd.grad(part(ROWS).loss, ROWS.logps)
    slope = [sigma(u) * sigma(-u) for u in (2.0, -1.0, 0.5)]
    expected = [[-2 * slope[0] / 3] * 2, [3 * slope[1] / 3, 0.0], [-2 * slope[2] / 3] * 2]
    torch.testing.assert_close(gradient, double(expected))
    (gradient,) = torch.autograd.grad(KTO(beta=1.0)(ROWS).loss, ROWS.logps)
    slope = [sigma(u) * sigma(-u) for u in (1.5, -1.5, 0.0)]
    torch.testing.assert_close(gradient[:, 0], double([-slope[0] / 3, slope[1] / 3, -slope[2] / 3]))


def test_the_reference_point_is_never_below_zero():
    out = KTO()(replace(ROWS, ref_logps=ROWS.ref_logps + 10))
    assert out.metrics["kl"].item() == 0.0


def test_one_kind_alone_is_a_batch_too():
    out = KTO()(replace(ROWS, labels=double([[1.0], [1.0], [1.0]])))
    assert torch.isfinite(out.loss)
    assert out.metrics["reward_bad"].item() == 0.0


def test_what_it_cannot_learn_from_is_refused():
    with pytest.raises(ValueError, match=r"KTO: row 1 from 'b/0/0' has no label, expected 1 for a good answer"):
        KTO()(replace(ROWS, labels=double([[1.0], [math.nan], [0.0]])))
    with pytest.raises(ValueError, match=r"KTO needs `kl_logps` in its input, got none: completions of other rows"):
        KTO(reference_point="mismatched")(replace(ROWS, kl_logps=None))
    with pytest.raises(ValueError, match=r"mismatched completion 1 has log-ratio inf"):
        KTO(reference_point="mismatched")(replace(ROWS, kl_ref_logps=double([[-1.0], [-math.inf]])))
    with pytest.raises(ValueError, match=r"desirable_weight is -1.0, expected at least 0"):
        KTO(desirable_weight=-1.0)


def test_it_says_what_it_learns_from():
    assert KTO.example is Labelled
    assert KTO.needs_reference is True
