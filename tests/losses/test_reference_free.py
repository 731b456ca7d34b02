"""SimPO, CPO, ORPO and the SFT term, worked by hand."""

import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import batch, double, small

from mmevolve.losses.chosen_sft import ChosenSFT
from mmevolve.losses.cpo import CPO
from mmevolve.losses.numbers import bounded_exp, log1mexp
from mmevolve.losses.orpo import ORPO
from mmevolve.losses.simpo import SimPO

# Means over tokens: chosen -1.2, -1.22, -1.375, -1.25; rejected -7/6, -1.4, -1.21875, -1.22.
NLL = 100.75 / 81


def softplus(x):
    return math.log1p(math.exp(x))


def test_simpo_compares_means_over_tokens_with_a_margin():
    gaps = [-1.2 + 7 / 6, -1.22 + 1.4, -1.375 + 1.21875, -1.25 + 1.22]
    expected = sum(softplus(0.5 - 2 * gap) for gap in gaps) / 4
    assert SimPO(beta=2.0, gamma=0.5)(batch()).loss.item() == pytest.approx(expected)


def test_simpo_and_its_gradient_of_one_pair():
    """Means -1 over 2 tokens and -2 over 1; beta 2, gamma 1: z = 2 * 1 - 1 = 1; d z / d logp = 2 / n."""
    x = replace(
        small([0.0], [0.0]),
        logps=double([[-0.5, -1.5], [-2.0, 9.0]], requires_grad=True),
        mask=double([[1, 1], [1, 0]]),
    )
    out = SimPO(beta=2.0, gamma=1.0)(x)
    out.loss.backward()
    pull = 1 / (1 + math.e)
    assert out.loss.item() == pytest.approx(softplus(-1.0))
    torch.testing.assert_close(x.logps.grad, double([[-pull, -pull], [2 * pull, 0.0]]))


def test_alphapo_shapes_the_reward_and_is_simpo_in_the_limit():
    """Alpha 1: r = 1 - 1/p; at means ln(1/2) and ln(1/4): -1 and -3."""
    x = small([-math.log(2)], [-math.log(4)])
    assert SimPO(beta=1.0, gamma=0.0, alpha=1.0)(x).loss.item() == pytest.approx(softplus(-2.0))
    near = SimPO(alpha=1e-6)(batch()).loss.item()
    assert near == pytest.approx(SimPO()(batch()).loss.item(), abs=1e-5)


def test_cpo_is_dpo_without_a_reference_and_with_sft():
    gaps = [2.0, -2.5, 1.5, 11.0]
    logistic = sum(softplus(-0.1 * d) for d in gaps) / 4
    assert CPO(cpo_alpha=0.5)(batch()).loss.item() == pytest.approx(logistic + 0.5 * NLL)
    smooth = 0.8 * logistic + 0.2 * sum(softplus(0.1 * d) for d in gaps) / 4
    assert CPO(cpo_alpha=0.0, label_smoothing=0.2)(batch()).loss.item() == pytest.approx(smooth)
    assert CPO("hinge", cpo_alpha=0.0)(batch()).loss.item() == pytest.approx((0.8 + 1.25 + 0.85 + 0) / 4)
    means = [-1.2 + 7 / 6, -1.22 + 1.4, -1.375 + 1.21875, -1.25 + 1.22]
    assert CPO("ipo", cpo_alpha=0.0)(batch()).loss.item() == pytest.approx(sum((m - 5) ** 2 for m in means) / 4)


def test_orpo_compares_odds():
    """p = 1/2 and 1/4: odds 1 and 1/3, log odds ratio ln 3, -log sigma = ln(4/3); NLL ln 2."""
    out = ORPO(beta=0.5)(small([-math.log(2)], [-math.log(4)]))
    assert out.loss.item() == pytest.approx(math.log(2) + 0.5 * math.log(4 / 3))
    assert out.metrics["log_odds"].item() == pytest.approx(math.log(3))


def test_a_sure_token_leaves_orpo_finite():
    x = replace(small([0.0], [0.0]), logps=torch.tensor([[0.0], [-1e-9]], requires_grad=True))
    x = replace(x, mask=torch.ones(2, 1), weight=torch.ones(2))
    (gradient,) = torch.autograd.grad(ORPO()(x).loss, x.logps)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("loss", [SimPO(), SimPO(alpha=0.3), CPO(), CPO("ipo"), ORPO(), ChosenSFT("sequence")])
def test_the_gradient_is_that_of_finite_differences(loss):
    logps = double([[-1.0, -2, 0], [-0.5, -1, -3], [-0.7, 0, 0], [-2, -0.2, -0.9]], requires_grad=True)
    x = replace(small([0.0, 0.0], [0.0, 0.0]), mask=double([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]]))
    assert torch.autograd.gradcheck(lambda values: loss(replace(x, logps=values)).loss, logps)


def test_the_sft_term_by_token_by_sequence_and_by_sum():
    assert ChosenSFT()(batch()).loss.item() == pytest.approx(NLL)
    assert ChosenSFT("sequence")(batch()).loss.item() == pytest.approx((1.2 + 1.22 + 1.375 + 1.25) / 4)
    assert ChosenSFT("sum")(batch()).loss.item() == pytest.approx(100.75 / 4)


def test_they_need_no_reference():
    for loss in (SimPO(), CPO(), ORPO(), ChosenSFT()):
        assert loss.needs_reference is False
        assert torch.isfinite(loss(batch(ref_logps=None)).loss)


def test_log_of_one_minus_exp_keeps_its_digits_on_both_sides():
    x = double([-1e-12, -1e-3, -0.6931, -0.6932, -5.0, -800.0])
    expected = [math.log(-math.expm1(v)) if v > -1 else math.log1p(-math.exp(v)) for v in x.tolist()]
    torch.testing.assert_close(log1mexp(x), double(expected), rtol=1e-14, atol=0)


def test_exponentials_stop_growing_before_they_are_infinite():
    x = torch.tensor([1.0, 80.0, 200.0], requires_grad=True)
    y = bounded_exp(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.isfinite(y).all()
    assert y[2] == y[1]
    assert gradient[2] == 0.0


def test_settings_out_of_range_are_refused():
    for make in (lambda: SimPO(beta=0.0), lambda: CPO(beta=-1.0), lambda: ORPO(beta=0.0)):
        with pytest.raises(ValueError, match=r"beta is .*, expected above 0"):
            make()
    with pytest.raises(ValueError, match=r"label_smoothing is 1.2, expected at least 0 and at most 1"):
        SimPO(label_smoothing=1.2)
    with pytest.raises(ValueError, match=r"CPO hinge has no label smoothing, got 0.1"):
        CPO("hinge", label_smoothing=0.1)
