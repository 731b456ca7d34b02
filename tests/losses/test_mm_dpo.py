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


@pytest.mark.parametrize("margins", ["reward", "implicit"])
@pytest.mark.parametrize("margin", [-3.0, 0.0, 2.0])
def test_a_batch_of_one_pair_has_a_finite_loss_and_gradient(margins, margin):
    x = small([-1.0], [-3.0], margin=double([margin]))
    out = MMDPO(margins=margins)(x)
    out.loss.backward()
    assert all(torch.isfinite(value).all() for value in (out.loss, x.logps.grad, *out.metrics.values()))
    assert out.metrics["beta"].item() >= 0.1


def test_a_pair_that_the_reward_model_calls_wrong_is_still_pulled_its_labels_way():
    """By the formula beta(-4) = 0.1 (1 + 0.5 (1 - e^2)) = -0.22 would push it the other way."""
    x = small([-1.0], [-3.0], margin=double([-4.0]))
    MMDPO()(x).loss.backward()
    assert x.logps.grad[0].item() < 0 < x.logps.grad[1].item()


def test_the_implicit_margin_is_the_policys_own_and_carries_no_gradient():
    """beta D = 0.2: beta(0.2) = 0.1 (1.5 - 0.5 e^-0.1) = 0.104758; d loss / d logp_w = -beta sigma(-beta D)."""
    x = small([-1.0], [-3.0])
    out = MMDPO(margins="implicit")(x)
    out.loss.backward()
    beta = 0.1 * (1.5 - 0.5 * math.exp(-0.1))
    assert out.loss.item() == pytest.approx(math.log1p(math.exp(-2 * beta)))
    assert x.logps.grad[0].item() == pytest.approx(-beta / (1 + math.exp(2 * beta)))
    behind = MMDPO(margins="implicit")(small([-3.0], [-1.0]))
    assert (behind.metrics["beta"].item(), behind.metrics["margin_below_0"].item()) == (pytest.approx(0.1), 1.0)


def test_margins_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="MMDPO: margins are 'batch', expected reward or implicit"):
        MMDPO(margins="batch")
