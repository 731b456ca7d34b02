"""What must never reach the optimizer: one sentence each, with the row."""

import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import batch, double

from mmevolve.losses.chosen_sft import ChosenSFT
from mmevolve.losses.cpo import CPO
from mmevolve.losses.dpo import DPO
from mmevolve.losses.image_dpo import ImageDPO
from mmevolve.losses.mix import Mix
from mmevolve.losses.orpo import ORPO
from mmevolve.losses.simpo import SimPO
from mmevolve.losses.sppo import SPPO
from mmevolve.losses.step_dpo import StepDPO

PAIRS = [DPO(), Mix(), SimPO(), CPO(), ORPO(), SPPO(), StepDPO(), ImageDPO(), ChosenSFT()]
REFERENCED = [loss for loss in PAIRS if loss.needs_reference]
names = pytest.mark.parametrize("loss", PAIRS, ids=lambda loss: type(loss).__name__)


def spoilt(name, row, token, value):
    x = batch()
    tensor = getattr(x, name).detach().clone()
    tensor[row, token] = value
    return replace(x, **{name: tensor})


@names
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_log_probability_that_is_no_number_is_named_with_its_row(loss, value):
    sentence = rf"row 6 .rejected side of pair 2. from 's2/0/1' has log-probability {value} at token 3 under the policy"
    with pytest.raises(ValueError, match=sentence):
        loss(spoilt("logps", 6, 3, value))


@pytest.mark.parametrize("loss", REFERENCED, ids=lambda loss: type(loss).__name__)
def test_a_reference_that_is_no_number_is_named_with_its_row(loss):
    with pytest.raises(ValueError, match=r"row 1 .chosen side of pair 1. .* has log-probability nan .* the reference"):
        loss(spoilt("ref_logps", 1, 0, math.nan))


@pytest.mark.parametrize("loss", REFERENCED, ids=lambda loss: type(loss).__name__)
def test_a_missing_reference_is_said(loss):
    with pytest.raises(ValueError, match=r"needs `ref_logps` in its input, got none: score the rows under the ref"):
        loss(batch(ref_logps=None))


@names
def test_an_empty_completion_is_named_with_its_row(loss):
    x = batch()
    mask = x.mask.clone()
    mask[2] = 0
    with pytest.raises(ValueError, match=r"row 2 .chosen side of pair 2. from 's2/0/0' has no token that counts"):
        loss(replace(x, mask=mask))


@names
def test_half_a_pair_is_refused(loss):
    x = batch()
    odd = replace(x, logps=x.logps[:7], mask=x.mask[:7], weight=x.weight[:7], ref_logps=x.ref_logps[:7])
    with pytest.raises(ValueError, match=r"got 7 rows: pairs come as all chosen rows, then as many rejected ones"):
        loss(odd)


@names
def test_what_the_mask_leaves_out_has_no_part_in_value_or_gradient(loss):
    """The batch holds NaN there already."""
    x = batch()
    out = loss(x)
    (gradient,) = torch.autograd.grad(out.loss, x.logps)
    assert torch.isfinite(out.loss)
    assert not gradient[x.mask == 0].any()
    assert torch.isfinite(gradient).all()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"DPO sigmoid got `ref_logps` of shape \(8, 1\), expected that of `logps`"):
        DPO()(batch(ref_logps=double([[0.0]] * 8)))


def test_a_loss_that_is_no_number_names_its_pair():
    """SPPO at a log-ratio of 1e30, in single precision: its square is no number."""
    x = batch()
    wide = {name: getattr(x, name).detach().float() for name in ("logps", "mask", "weight", "ref_logps", "p_win")}
    wide["logps"][3, 0] = -1e30
    with pytest.raises(ValueError, match=r"SPPO: the loss of pair 3 from 's3/0/0' is inf, expected a finite number"):
        SPPO()(replace(x, **wide))


def test_weights_of_zero_give_no_gradient_and_no_nan():
    x = batch(weight=torch.zeros(8, dtype=torch.float64))
    out = DPO()(x)
    (gradient,) = torch.autograd.grad(out.loss, x.logps)
    assert out.loss.item() == 0.0
    assert not gradient.any()
