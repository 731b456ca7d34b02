"""GRPO and RLOO on rows of the policy's own, worked by hand."""

import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import double

from mmevolve.losses.inputs import LossInput
from mmevolve.losses.policy_gradient import GRPO, RLOO
from mmevolve.types import Rollout

NAN = math.nan
# Ratios e^0 = 1, 1.5, 0.5; row 0 has two tokens of advantage 2, row 1 one token of advantage -1.
ROWS = LossInput(
    double([[-1.0, -2.0 + math.log(1.5)], [-3.0 + math.log(0.5), NAN]], requires_grad=True),
    double([[1, 1], [1, 0]]),
    double([1, 1]),
    ref_logps=double([[-1.0, -2.0 + math.log(1.5)], [-3.0 - math.log(2) + math.log(3), NAN]]),
    old_logps=double([[-1.0, -2.0], [-3.0, NAN]]),
    advantages=double([[2.0], [-1.0]]),
    names=("a/0/0", "b/0/0"),
)


def gradient(part, rows=ROWS):
    out = part(rows)
    return out.loss.item(), torch.autograd.grad(out.loss, rows.logps)[0]


def test_grpo_clips_what_has_moved_too_far_for_its_advantage():
    """Row 0: min(1 * 2, 1 * 2) = 2, min(1.5 * 2, 1.2 * 2) = 2.4 (clipped); row 1: min(-0.5, -0.8) = -0.8 (clipped)."""
    loss, slope = gradient(GRPO())
    assert loss == pytest.approx(-((2 + 2.4) / 2 - 0.8) / 2)
    torch.testing.assert_close(slope, double([[-2 / 4, 0.0], [0.0, 0.0]]))
    assert GRPO()(ROWS).metrics["clipped"].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(("part", "expected"), [
    (GRPO("bnpo"), -(2 + 2.4 - 0.8) / 3),
    (GRPO("dr_grpo", max_tokens=10), -(2 + 2.4 - 0.8) / 20),
    (GRPO(epsilon_high=0.6), -((2 + 3.0) / 2 - 0.8) / 2),
    (GRPO(epsilon=0.6), -((2 + 3.0) / 2 - 0.5) / 2),
])  # fmt: skip
def test_grpos_means_and_bounds(part, expected):
    assert part(ROWS).loss.item() == pytest.approx(expected)


def test_the_sequence_ratio_is_the_geometric_mean_of_its_tokens():
    """Row 0: sqrt(1.5) = 1.2247 clipped to 1.2."""
    loss, slope = gradient(GRPO(epsilon=0.25, importance_sampling_level="sequence"))
    assert loss == pytest.approx(-(2 * math.sqrt(1.5) - 0.75) / 2)
    torch.testing.assert_close(slope[0], double([-math.sqrt(1.5) / 2] * 2))


def test_the_upper_bound_holds_where_the_advantage_is_negative():
    far = replace(ROWS, old_logps=double([[-1.0, -2.0], [-9.0, NAN]]))  # ratio e^6 / 2
    assert GRPO()(far).loss.item() == pytest.approx(-((2 + 2.4) / 2 - math.exp(6) / 2) / 2)
    assert GRPO(delta=2.0)(far).loss.item() == pytest.approx(-((2 + 2.4) / 2 - 2.0) / 2)


def test_the_kl_term_is_k3():
    """Row 1 only: ref / pi = 3, so 3 - ln 3 - 1; a half of it in the mean of two rows."""
    part = GRPO(beta=0.5)
    kl = 2 - math.log(3)
    assert part(ROWS).loss.item() == pytest.approx(GRPO()(ROWS).loss.item() + 0.5 * kl / 2)
    assert part(ROWS).metrics["kl"].item() == pytest.approx(kl / 3)
    assert part.needs_reference is True
    assert GRPO().needs_reference is GRPO.needs_reference is False


@pytest.mark.parametrize(
    ("kl", "held"), [(None, 1.0), (double([1, 1]), 1.0), (double([1, 0]), 0.0), (double([7, 2]), 2.0)]
)
def test_the_kl_term_of_a_row_has_the_rows_own_weight(kl, held):
    """k3 is 0 on row 0 and 2 - ln 3 on row 1, of one token: GRPO's token mean and RLOO's sum of it agree."""
    rows, moved = replace(ROWS, kl=kl), 0.5 * held * (2 - math.log(3)) / 2
    for part in (GRPO(beta=0.5), RLOO(beta=0.5)):
        assert part(rows).loss.item() == pytest.approx(replace(part, beta=0.0)(rows).loss.item() + moved)
        assert part(rows).metrics["kl"].item() == pytest.approx((2 - math.log(3)) / 3)


def test_rloos_kl_term_is_summed_over_the_completion_and_pulls_towards_the_reference():
    """Row 0, two tokens with ref / pi = 2 and 1/2: (2 - ln 2 - 1) + (1/2 + ln 2 - 1) = 1/2; its slope 1 - ref / pi."""
    far = ROWS.logps.detach() + double([[math.log(2), -math.log(2)], [0, 0]])
    rows = replace(ROWS, ref_logps=far, advantages=double([[0.0], [0.0]]), kl=double([3, 1]))
    loss, slope = gradient(RLOO(beta=0.1), rows)
    assert loss == pytest.approx(0.1 * 3 * 0.5 / 2)
    torch.testing.assert_close(slope, double([[0.15 * (1 - 2), 0.15 * (1 - 0.5)], [0.0, 0.0]]))
    assert RLOO(beta=0.1).needs_reference is True
    assert RLOO().needs_reference is RLOO.needs_reference is False


def test_rloo_is_described_as_before_it_had_a_kl_term():
    assert "beta" not in RLOO().describe()
    assert RLOO(beta=0.1).describe()["beta"] == 0.1


def test_advantages_may_differ_from_token_to_token():
    each = double([[2.0, 1.0], [-1.0, NAN]])
    assert GRPO()(replace(ROWS, advantages=each)).loss.item() == pytest.approx(-((2 + 1.2) / 2 - 0.8) / 2)


def test_rloo_has_one_ratio_a_row():
    """Row 0: 1.5 * 2 against 1.2 * 2; row 1: 0.5 and 0.8 times -1."""
    assert RLOO()(ROWS).loss.item() == pytest.approx(-(2.4 - 0.8) / 2)
    loss, slope = gradient(RLOO(epsilon=0.6, epsilon_high=0.6))
    assert loss == pytest.approx(-(3.0 - 0.5) / 2)
    torch.testing.assert_close(slope, double([[-1.5, -1.5], [0.25, 0.0]]))


def test_at_the_behaviour_policy_rloo_is_reinforce():
    fresh = replace(ROWS, old_logps=ROWS.logps.detach())
    _, slope = gradient(RLOO(), fresh)
    torch.testing.assert_close(slope, double([[-2 / 2, -2 / 2], [1 / 2, 0.0]]))


@pytest.mark.parametrize("part", [GRPO(), GRPO("bnpo", beta=0.1), RLOO()])
def test_a_group_that_is_all_ties_moves_nothing_but_the_kl(part):
    level = replace(ROWS, advantages=double([[0.0], [0.0]]), ref_logps=ROWS.logps.detach())
    loss, slope = gradient(part, level)
    assert loss == pytest.approx(0.0)
    assert not slope.any()


@pytest.mark.parametrize("part", [GRPO(), GRPO(beta=1.0), GRPO("bnpo", importance_sampling_level="sequence"), RLOO()])
@pytest.mark.parametrize("far", [-1000.0, 1000.0])
def test_no_nan_leaves_them_however_far_the_policy_has_moved(part, far):
    rows = {f: getattr(ROWS, f).detach().float() for f in ("logps", "mask", "weight", "ref_logps", "advantages")}
    logps = rows.pop("logps").requires_grad_()
    loss, slope = gradient(part, LossInput(logps, **rows, old_logps=logps.detach() + far))
    assert math.isfinite(loss)
    assert torch.isfinite(slope).all()


def test_what_they_cannot_learn_from_is_refused():
    with pytest.raises(ValueError, match=r"GRPO: row 1 from 'b/0/0' has advantage nan, expected a finite number"):
        GRPO()(replace(ROWS, advantages=double([[1.0], [NAN]])))
    with pytest.raises(ValueError, match=r"RLOO needs `old_logps` in its input, got none: it trains on Rollout rows"):
        RLOO()(replace(ROWS, old_logps=None))
    with pytest.raises(ValueError, match=r"GRPO got advantages of shape .2,., expected"):
        GRPO()(replace(ROWS, advantages=double([1.0, 2.0])))
    with pytest.raises(ValueError, match=r"dr_grpo divides by the longest completion: set max_tokens"):
        GRPO("dr_grpo")
    with pytest.raises(ValueError, match=r"RLOO: beta is -1, expected at least 0"):
        RLOO(beta=-1)
    with pytest.raises(ValueError, match=r"RLOO needs `ref_logps` in its input, got none: score the rows"):
        RLOO(beta=1.0)(replace(ROWS, ref_logps=None))
    with pytest.raises(ValueError, match=r"delta is 1.1, expected above 1.2"):
        GRPO(delta=1.1)


def test_they_say_what_they_learn_from():
    assert GRPO.example is RLOO.example is Rollout
