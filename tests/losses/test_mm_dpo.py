import math

import pytest
import torch
from pairs_by_hand import batch, double, small

from mmevolve.losses.dpo import DPO
from mmevolve.losses.mm_dpo import MMDPO


def test_beta_rises_with_the_margin_to_one_and_a_half_times():
    """0.1 (1 + 0.5 (1 - e^-0.5)) = 0.1197 at margin 1; a margin below 0 counts as 0."""
    beta = MMDPO().beta_of(double([-2.2, 0.0, 1.0, 1e9]))
    torch.testing.assert_close(beta, double([0.1, 0.1, 0.1 * (1.5 - 0.5 * math.exp(-0.5)), 0.15]))
    assert beta[2].item() == pytest.approx(0.1197, abs=5e-5)


def test_each_pair_has_the_beta_of_its_own_margin():
    """Margins 0 and 2 ln 2: beta 0.1 and 0.1 (1 + 0.5 / 2) = 0.125; D = 2 and -1."""
    x = small([-1.0, -2.0], [-3.0, -1.0], margin=double([0.0, 2 * math.log(2)]))
    out = MMDPO()(x)
    expected = [math.log1p(math.exp(-0.2)), math.log1p(math.exp(0.125))]
    assert out.loss.item() == pytest.approx(sum(expected) / 2)
    assert out.metrics["beta"].item() == pytest.approx(0.1125)


def test_without_margins_to_speak_of_it_is_dpo():
    x = batch(margin=double([0.0, -1.0, 0.0, -9.0]))
    assert MMDPO()(x).loss.item() == pytest.approx(DPO()(x).loss.item())
    assert MMDPO()(x).metrics["margin_below_0"].item() == 0.5


def test_margins_that_are_missing_or_no_number_are_refused():
    with pytest.raises(ValueError, match=r"MMDPO needs `margin` in its input, got none: the rows must carry"):
        MMDPO()(batch())
    with pytest.raises(ValueError, match=r"MMDPO: pair 2 from 's2/0/0' has margin nan, expected a finite number"):
        MMDPO()(batch(margin=double([0.0, 1.0, math.nan, 1.0])))
