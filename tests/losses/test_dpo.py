"""DPO's fifteen: numbers worked from the formulas, laws that need no reference run, settings that are refused."""

import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import batch, double, small

from mmevolve.losses.divergences import DIVERGENCES
from mmevolve.losses.dpo import DPO
from mmevolve.losses.dpo_terms import LOSSES, SORTED, WITH_DIVERGENCE
from mmevolve.types import Preference

LN2 = math.log(2.0)
DIVERGED = [(kind, d) for kind in LOSSES for d in DIVERGENCES if d == "reverse_kl" or kind in WITH_DIVERGENCE]
E = {"exo_pair": 0.1, "robust": 0.1, "aot": 0.1, "aot_unpaired": 0.1}  # label smoothing where it is read

# beta 0.1, over the four pairs. sigmoid: D = 1.5, -1.5, 1, 5 -> ln(1 + e^-0.15), ln(1 + e^0.15), ...
MEANS = {
    "sigmoid": 0.627597,
    "hinge": 0.85,  # (0.85 + 1.15 + 0.9 + 0.5) / 4
    "ipo": 24.170579,
    "nca_pair": 1.353122,
    "bco_pair": 1.316321,
    "sppo_hard": 39.03125,  # (4^2 + 4.5^2 + 5.5^2 + 6^2 + 4.25^2 + 4.75^2 + 3^2 + 2^2) / 4
    "apo_zero": 0.962683,
    "apo_down": 0.983405,
    "discopop": 0.779787,
    "sft": 100.75 / 81,  # 12 + 30.5 + 8.25 + 50 nats over 10 + 25 + 6 + 40 tokens
    "sigmoid_norm": 0.688942,
    "robust": 0.608847,
    "aot": 0.642597,
    "aot_unpaired": 0.636384,
    "exo_pair": 0.439126,
}


def dpo(kind, **settings):
    return DPO(kind, label_smoothing=settings.pop("label_smoothing", E.get(kind, 0.0)), **settings)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_loss_of_four_pairs(kind):
    assert dpo(kind)(batch()).loss.item() == pytest.approx(MEANS[kind], abs=5e-7)


@pytest.mark.parametrize(("divergence", "mean"), [
    ("forward_kl", 0.542826), ("js_divergence", 0.654129), ("alpha_divergence", 0.601134),
])  # fmt: skip
def test_the_f_divergences_of_four_pairs(divergence, mean):
    assert DPO(f_divergence_type=divergence)(batch()).loss.item() == pytest.approx(mean, abs=5e-7)


def test_sigmoid_and_its_gradient_are_those_worked_by_hand():
    """One pair, u_w = 2, u_l = -1, beta 0.5: z = 1.5; loss ln(1 + e^-1.5), gradient -+ 0.5 sigma(-1.5)."""
    x = small([-1.0], [-3.0], [-3.0], [-2.0])
    out = DPO(beta=0.5)(x)
    out.loss.backward()
    pull = 0.5 / (1 + math.exp(1.5))
    assert out.loss.item() == pytest.approx(math.log1p(math.exp(-1.5)))
    torch.testing.assert_close(x.logps.grad, double([[-pull], [pull]]))
    assert out.metrics["reward_chosen"].item() == pytest.approx(1.0)
    assert out.metrics["reward_rejected"].item() == pytest.approx(-0.5)
    assert out.metrics["reward_margin"].item() == pytest.approx(1.5)
    assert not any(m.requires_grad for m in out.metrics.values())


def at_the_reference(beta=0.2):
    e = 0.1
    return {
        "sigmoid": LN2,
        "sigmoid_norm": LN2,
        "hinge": 1.0,
        "ipo": 1 / (4 * beta**2),
        "nca_pair": 2 * LN2,
        "bco_pair": 2 * LN2,
        "robust": LN2,
        "sppo_hard": 1 / (2 * beta**2),
        "apo_zero": 1.0,
        "apo_down": 1.0,
        "discopop": (LN2 + 1) / 2,
        "aot": LN2,
        "aot_unpaired": LN2,
        "exo_pair": -LN2 - (math.log(1 - e) + math.log(e)) / 2,
    }


@pytest.mark.parametrize(("kind", "divergence"), [(kind, d) for kind, d in DIVERGED if kind != "sft"])
def test_a_policy_that_is_its_reference_has_a_known_loss(kind, divergence):
    x = batch()
    out = dpo(kind, beta=0.2, f_divergence_type=divergence)(replace(x, ref_logps=x.logps.detach()))
    assert out.loss.item() == pytest.approx(at_the_reference()[kind])
    assert out.metrics["reward_accuracy"].item() == 0.0  # a tie is not won


def test_robust_undoes_the_wrong_labels_that_it_expects():
    """(1 - e) L(D) + e L(-D) is the loss without noise."""
    x = batch()
    swapped = replace(x, **{k: torch.cat(getattr(x, k).chunk(2)[::-1]) for k in ("logps", "ref_logps", "mask")})
    robust = DPO("robust", label_smoothing=0.3)
    assert (0.7 * robust(x).loss + 0.3 * robust(swapped).loss).item() == pytest.approx(DPO()(x).loss.item())


def test_ipo_has_no_gradient_at_its_target():
    x = small([-1.0], [-6.0], [-1.0], [-1.0])  # u_w - u_l = 5 = 1 / (2 beta)
    out = DPO("ipo", beta=0.1)(x)
    out.loss.backward()
    assert out.loss.item() == pytest.approx(0.0)
    assert not x.logps.grad.any()


def test_ld_dpo_counts_what_is_past_the_shorter_side_less():
    """Lengths 3 and 1: the first chosen token in full, the other two at alpha, under policy and reference."""
    logps = double([[-1.0, -2.0, -3.0], [-4.0, 0.0, 0.0]])
    ref = double([[-1.5, -2.5, -2.0], [-3.0, 0.0, 0.0]])
    x = replace(small([0.0], [0.0]), logps=logps, ref_logps=ref, mask=double([[1, 1, 1], [1, 0, 0]]))
    for alpha, u_w in ((0.0, 0.5), (0.5, 0.5 + 0.5 * (0.5 - 1.0)), (1.0, 0.0)):
        expected = math.log1p(math.exp(-0.1 * (u_w + 1.0)))
        assert DPO(ld_alpha=alpha)(x).loss.item() == pytest.approx(expected)
    assert DPO(ld_alpha=1.0)(x).loss.item() == pytest.approx(DPO()(x).loss.item())


def test_wpo_weighs_a_pair_by_how_likely_the_policy_finds_both_sides():
    """exp(-1 + 0.5) * exp(-3 + 1) = exp(-2.5), without gradient."""
    x = small([-1.0], [-3.0], [-3.0], [-2.0], log_sum_sq=double([[-0.5], [-1.0]]))
    out = DPO(use_weighting=True)(x)
    assert out.loss.item() == pytest.approx(math.exp(-2.5) * DPO()(x).loss.item())
    (gradient,) = torch.autograd.grad(out.loss, x.logps)
    torch.testing.assert_close(gradient, math.exp(-2.5) * torch.autograd.grad(DPO()(x).loss, x.logps)[0])


def test_weights_of_rows_weigh_pairs_and_a_common_factor_changes_nothing():
    """Pair losses L0 and L1 of weights 3 and 1: (3 L0 + L1) / 4; the rejected rows' weights have no say."""
    x = small([-1.0, -2.0], [-3.0, -1.0])
    each = [DPO()(small([c], [r])).loss for c, r in ((-1.0, -3.0), (-2.0, -1.0))]
    out = DPO()(replace(x, weight=double([3.0, 1.0, 9.0, 9.0]))).loss
    assert out.item() == pytest.approx(((3 * each[0] + each[1]) / 4).item())
    assert DPO()(replace(x, weight=double([6.0, 2.0, 0.0, 5.0]))).loss.item() == pytest.approx(out.item())


@pytest.mark.parametrize("kind", LOSSES)
def test_the_gradient_is_that_of_finite_differences(kind):
    mask = double([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]])
    logps = double([[-1.0, -2, 0], [-0.5, -1, -3], [-0.7, 0, 0], [-2, -0.2, -0.9]], requires_grad=True)
    ref = double([[-1.2, -1.5, 0], [-0.9, -1, -2], [-1.1, 0, 0], [-1.4, -0.4, -0.6]])
    x = replace(small([0.0, 0.0], [0.0, 0.0]), mask=mask, ref_logps=ref)
    assert torch.autograd.gradcheck(lambda values: dpo(kind)(replace(x, logps=values)).loss, logps)


@pytest.mark.parametrize(("kind", "divergence"), DIVERGED)
@pytest.mark.parametrize("size", [1e-30, 1.0, 90.0, 3000.0])
def test_no_nan_leaves_a_loss_however_far_policy_and_reference_are_apart(kind, divergence, size):
    """A number with finite gradients, or one sentence."""
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        policy = torch.tensor([[-4000 + size * s] for s in signs], requires_grad=True)
        x = replace(
            small([0.0], [0.0]), logps=policy, ref_logps=torch.full((2, 1), -4000.0),
            mask=torch.ones(2, 1), weight=torch.ones(2),
        )  # fmt: skip
        try:
            loss = dpo(kind, f_divergence_type=divergence)(x).loss
        except ValueError as error:
            assert "expected a finite number" in str(error)
            continue
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, policy)[0]).all()


REFUSED = {
    "label smoothing out of range": ({"loss_type": "robust", "label_smoothing": 0.5}, "at least 0 and below 0.5"),
    "EXO without smoothing": ({"loss_type": "exo_pair"}, "label_smoothing is 0.0, expected above 0"),
    "smoothing nobody reads": ({"label_smoothing": 0.1}, "DPO sigmoid has no label smoothing, got 0.1"),
    "AOT above 1": ({"loss_type": "aot", "label_smoothing": 1.5}, "label_smoothing is 1.5, expected at least 0"),
    "beta 0": ({"beta": 0.0}, "beta is 0.0, expected above 0"),
    "NaN beta": ({"beta": float("nan")}, "beta is nan"),
    "a divergence nobody reads": ({"loss_type": "apo_zero", "f_divergence_type": "forward_kl"}, "takes no f-div"),
    "WPO on a sorted batch": ({"loss_type": "aot", "use_weighting": True}, "use_weighting has no pair to weigh"),
    "LD-DPO out of range": ({"ld_alpha": 1.5}, "ld_alpha is 1.5, expected at least 0 and at most 1"),
    "unknown": ({"loss_type": "sigmiod"}, "loss_type is 'sigmiod', expected one of sigmoid"),
    "unknown divergence": ({"f_divergence_type": "kl"}, "f_divergence_type is 'kl', expected one of reverse_kl"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_out_of_range_or_without_effect_are_refused(case):
    settings, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=sentence):
        DPO(**settings)


@pytest.mark.parametrize("kind", SORTED)
def test_a_sorted_batch_cannot_be_weighted(kind):
    x = small([-1.0, -2.0], [-3.0, -1.0])
    with pytest.raises(ValueError, match=r"rows must weigh alike, got 2.0 in row 1"):
        DPO(kind)(replace(x, weight=double([1.0, 2.0, 1.0, 2.0])))


def test_it_says_what_it_learns_from():
    assert DPO.example is Preference
    assert DPO.needs_reference is True
