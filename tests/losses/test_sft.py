import pytest
import torch

from mmevolve.losses.inputs import LossInput
from mmevolve.losses.sft import SFT
from mmevolve.types import Demonstration

# Row 0: tokens -1 and -2 count; row 1: token -4 counts, at weight 1/2. Sum of w m = 1 + 1 + 0.5 = 2.5.
# loss = (1 + 2 + 0.5 * 4) / 2.5 = 2; d loss / d logp = -w m / 2.5.
LOGPS = [[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]]
MASK = [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
WEIGHT = [1.0, 0.5]
LOSS = 2.0
GRADIENT = [[-0.4, -0.4, 0.0], [-0.2, 0.0, 0.0]]


def double(values, **kwargs):
    return torch.tensor(values, dtype=torch.float64, **kwargs)


def test_loss_and_gradient_are_those_worked_by_hand():
    logps = double(LOGPS, requires_grad=True)
    out = SFT()(LossInput(logps, double(MASK), double(WEIGHT)))
    out.loss.backward()
    assert out.loss.item() == pytest.approx(LOSS, abs=1e-12)
    torch.testing.assert_close(logps.grad, double(GRADIENT))
    assert out.metrics["nll"].item() == pytest.approx(LOSS)
    assert not out.metrics["nll"].requires_grad


def test_masked_tokens_have_no_part_in_it():
    other = [[-1.0, -2.0, 99.0], [-4.0, 99.0, -99.0]]
    assert SFT()(LossInput(double(other), double(MASK), double(WEIGHT))).loss.item() == pytest.approx(LOSS)


def test_every_token_counts_alike_so_a_long_row_weighs_more():
    """One token at -4, three at -1: 7 / 4, not (4 + 1) / 2."""
    out = SFT()(LossInput(double([[-4.0, 0, 0], [-1.0] * 3]), double([[1.0, 0, 0], [1.0] * 3]), double([1.0, 1.0])))
    assert out.loss.item() == pytest.approx(1.75)


def test_a_common_factor_of_the_weights_changes_nothing():
    out = SFT()(LossInput(double(LOGPS), double(MASK), double([4.0, 2.0])))
    assert out.loss.item() == pytest.approx(LOSS)


def test_it_is_the_usual_causal_lm_loss():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7, dtype=torch.float64)
    targets = torch.randint(0, 7, (2, 5))
    mask = double([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    logps = logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.masked_fill(mask == 0, -100).flatten(), ignore_index=-100
    )
    torch.testing.assert_close(SFT()(LossInput(logps, mask, double([1, 1]))).loss, expected)


def test_nothing_to_learn_gives_no_gradient_and_no_nan():
    logps = double(LOGPS, requires_grad=True)
    out = SFT()(LossInput(logps, torch.zeros_like(logps), double(WEIGHT)))
    out.loss.backward()
    assert out.loss.item() == 0.0
    assert not logps.grad.any()


def test_the_gradient_is_that_of_finite_differences():
    def loss(logps):
        return SFT()(LossInput(logps, double(MASK), double(WEIGHT))).loss

    assert torch.autograd.gradcheck(loss, double(LOGPS, requires_grad=True))


def test_it_says_what_it_learns_from():
    assert SFT.example is Demonstration
    assert SFT.needs_reference is False
