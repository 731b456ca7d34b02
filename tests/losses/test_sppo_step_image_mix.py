"""Soft SPPO, step-level and image-conditional pairs, and mixes, worked by hand."""

import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import batch, double, small

from mmevolve.losses.chosen_sft import ChosenSFT
from mmevolve.losses.dpo import DPO
from mmevolve.losses.image_dpo import ImageDPO
from mmevolve.losses.mix import Mix
from mmevolve.losses.sft import SFT
from mmevolve.losses.simpo import SimPO
from mmevolve.losses.sppo import SPPO
from mmevolve.losses.step_dpo import StepDPO


def test_soft_sppo_aims_at_how_sure_the_win_is():
    """Beta 0.5: targets 2 (p - 1/2) = 1, 0.5, 0, -1; u_w = 1, -0.5, 0.75, 2; u_l = -0.5, 1, -0.25, -3."""
    won = [(1 - 1) ** 2, (-0.5 - 0.5) ** 2, 0.75**2, (2 + 1) ** 2]
    lost = [(-0.5 + 1) ** 2, (1 + 0.5) ** 2, 0.25**2, (-3 - 1) ** 2]
    assert SPPO(beta=0.5)(batch()).loss.item() == pytest.approx(sum(won + lost) / 4)


def test_a_tie_pulls_both_sides_back_to_the_reference():
    x = small([-1.0], [-5.0], [-2.0], [-2.0], p_win=double([0.5]))
    out = SPPO(beta=0.5)(x)
    (gradient,) = torch.autograd.grad(out.loss, x.logps)
    assert out.loss.item() == pytest.approx(1.0 + 9.0)
    torch.testing.assert_close(gradient, double([[2.0], [-6.0]]))


def test_sppo_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match=r"SPPO: pair 1 from 's1/0/0' has p_win 1.5, expected a probability"):
        SPPO()(batch(p_win=double([1.0, 1.5, 0.5, 0.0])))
    with pytest.raises(ValueError, match=r"SPPO: pair 0 from 's0/0/0' has p_win nan"):
        SPPO()(batch(p_win=double([math.nan, 1.0, 0.5, 0.0])))
    with pytest.raises(ValueError, match=r"SPPO needs `p_win` in its input, got none: the rows must carry"):
        SPPO()(batch(p_win=None))


PREFIX = double([[1, 1, 0, 0], [1, 1, 0, 0]])
STEPS = replace(
    small([0.0], [0.0]),
    logps=double([[-1, -2, -0.5, -0.5], [-1, -2, -3, 0]], requires_grad=True),
    ref_logps=double([[-7, -3, -1, -1], [-5, -4, -2, 0]]),
    mask=double([[1, 1, 1, 1], [1, 1, 1, 0]]),
    prefix=PREFIX,
)


def test_step_dpo_judges_the_step_after_the_shared_prefix():
    """u_w = -1 + 2 = 1, u_l = -3 + 2 = -1; the prefix, scored unlike on either side, has no part in it."""
    out = StepDPO(beta=0.5)(STEPS)
    (gradient,) = torch.autograd.grad(out.loss, STEPS.logps)
    pull = 0.5 / (1 + math.e)
    assert out.loss.item() == pytest.approx(math.log1p(math.exp(-1.0)))
    torch.testing.assert_close(gradient, double([[0, 0, -pull, -pull], [0, 0, pull, 0]]))
    assert out.metrics["reward_chosen"].item() == pytest.approx(0.5)


def test_step_dpo_refuses_sides_that_do_not_share_their_beginning():
    uneven = replace(STEPS, prefix=double([[1, 1, 0, 0], [1, 0, 0, 0]]))
    with pytest.raises(ValueError, match=r"row 0 .chosen side of pair 0. shares 2 tokens with .* that shares 1"):
        StepDPO()(uneven)
    with pytest.raises(ValueError, match=r"row 1 .rejected side of pair 0. has no token that counts"):
        StepDPO()(replace(STEPS, prefix=double([[1, 1, 1, 0], [1, 1, 1, 0]])))


def test_image_pairs_hold_the_answer_likelier_under_its_own_image():
    """The answer gains 1 under its image, 0.5 under the other; beta 2: -log sigma(1) - log sigma(2 - 1)."""
    x = small([-2.0], [-3.0], [-3.0], [-3.5])
    out = ImageDPO(beta=2.0, delta=1.0)(x)
    assert out.loss.item() == pytest.approx(2 * math.log1p(math.exp(-1.0)))
    assert ImageDPO(beta=2.0, anchor=0.0)(x).loss.item() == pytest.approx(math.log1p(math.exp(-1.0)))
    # Both terms pull the answer up under its image, only one pulls it down under the other.
    (gradient,) = torch.autograd.grad(out.loss, x.logps)
    assert gradient[0].item() == pytest.approx(-2 * gradient[1].item())


def test_a_mix_is_the_weighted_sum_of_its_losses_and_mpo_by_default():
    x = batch()
    parts = [DPO()(x).loss.item(), DPO("bco_pair")(x).loss.item(), DPO("sft")(x).loss.item()]
    assert Mix()(x).loss.item() == pytest.approx(0.8 * parts[0] + 0.2 * parts[1] + parts[2])
    assert Mix()(x).loss.item() == pytest.approx(2.009169, abs=5e-7)
    assert Mix()(x).metrics["0/loss"].item() == pytest.approx(parts[0])


def test_a_mix_asks_for_a_reference_only_when_a_loss_in_it_does():
    assert Mix().needs_reference is True
    free = Mix((SimPO(), ChosenSFT()), (1.0, 0.1))
    assert free.needs_reference is False
    assert torch.isfinite(free(batch(ref_logps=None)).loss)


def test_mixes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"Mix: 3 losses and 2 weights, expected one each"):
        Mix(weights=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"SFT trains on Demonstration rows, expected Preference"):
        Mix((DPO(), SFT()), (1.0, 1.0))
    with pytest.raises(ValueError, match=r"weights are .*nan.*, expected finite numbers"):
        Mix((DPO(),), (math.nan,))
