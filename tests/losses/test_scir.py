"""SCIR: agreement of two internal rewards, by hand, and its gradient into both."""

import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import double, small

from mmevolve.losses.dpo import DPO
from mmevolve.losses.scir import SCIR, bernoulli_entropy, both_orders

LN3, LN4 = math.log(3), math.log(4)
# Two pairs of answers, z = ln 4 (p_i = 0.8) each. The judge prefers y1 of the first with 3/4 and 1/2 (p_j = 5/8), y1 of
# the second with 1/4 in both orders.
ODDS = {"a": (LN4, LN3, 0.0), "b": (LN4, -LN3, -LN3)}


def batch(order=(0, 1, 2, 3, 4, 5), weight=None, names=("a", "a", "a", "b", "b", "b")):
    """Three rows a pair: answers, the judge with y1 first, with y1 second; all of it in the chosen side's number."""
    odds = [x for own in ODDS.values() for x in own]
    x = small([odds[i] for i in order], [0.0] * 6, names=tuple(names[i] for i in order) * 2)
    judging = double([float(i % 3 > 0) for i in order] * 2)[:, None]
    return replace(x, prefix=judging, **({} if weight is None else {"weight": double([weight[i] for i in order] * 2)}))


def entropy(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def test_the_loss_of_an_agreed_and_of_a_disputed_pair_by_hand():
    """0.625 ln 1.25 + 0.175 (ln 4 - ln 5/3) + 0.1 (H(5/8) + H(4/5)), and without DPO 0.55 (ln 4 + ln 3) + 0.1 (...)."""
    agreed = 0.625 * math.log(1.25) + 0.175 * (LN4 - math.log(5 / 3)) + 0.1 * (entropy(0.625) + entropy(0.8))
    disputed = 0.55 * (LN4 + LN3) + 0.1 * (entropy(0.25) + entropy(0.8))
    assert agreed == pytest.approx(0.408868, abs=1e-6) and disputed == pytest.approx(1.472973, abs=1e-6)
    out = SCIR(beta=1.0)(batch())
    assert out.loss.item() == pytest.approx((agreed + disputed) / 2)
    assert out.metrics["agreement"].item() == 0.5
    assert out.metrics["dpo"].item() == pytest.approx(0.625 * math.log(1.25) / 2)
    assert out.metrics["p_judge"].item() == pytest.approx((0.625 + 0.25) / 2)
    assert out.metrics["p_implicit"].item() == pytest.approx(0.8)
    assert out.metrics["confidence"].item() == pytest.approx((0.625 + 0.75) / 2)


def test_the_gradient_goes_into_both_rewards_by_hand():
    """Of the first pair, at l = logit p_j = ln 5/3: dL/dz and dL/dl; dl/dthere = (3/4 1/4 / 2) / (5/8 3/8) = 0.4."""
    x = batch()
    SCIR(beta=1.0)(x).loss.backward()
    ours = x.logps.grad[:, 0]
    l, gap = math.log(5 / 3), math.log(5 / 3) - LN4  # noqa: E741
    dz = -0.625 * 0.2 + (-0.16 * gap + 0.175) + 0.1 * (-LN4 * 0.16)
    dl = 0.625 * 0.375 * gap - 0.175 + 0.1 * (-l * 0.625 * 0.375)
    there, back = 0.4, 0.5 * 0.25 / (0.625 * 0.375)
    assert ours[:3].tolist() == pytest.approx([dz / 2, dl * there / 2, dl * back / 2])
    assert ours[6:9].tolist() == pytest.approx([-v for v in ours[:3].tolist()]), "the other side, with the other sign"


def test_the_penalty_alone_moves_both_rewards_toward_each_other():
    x = batch()
    out = SCIR(beta=1.0, entropy=0.0)(x)
    (gradient,) = torch.autograd.grad(out.loss, x.logps)
    assert gradient[3, 0] > 0, "p_i is above p_j: a step down the gradient lowers it"
    assert gradient[4, 0] < 0 and gradient[5, 0] < 0, "and raises p_j in both orders"


def test_a_disputed_pair_has_no_gradient_without_the_penalty():
    x = batch()
    (gradient,) = torch.autograd.grad(SCIR(beta=1.0, consistency=0.0, entropy=0.0)(x).loss, x.logps)
    assert gradient[0, 0] < 0 and not gradient[[1, 2, 3, 4, 5]].any(), "DPO on the agreed pair; its weight is no path"


def test_autograd_agrees_with_differences():
    x = batch()
    loss = SCIR(beta=0.7)

    def value(logps):
        return loss(replace(x, logps=logps)).loss

    # The weight of DPO is held fixed in the gradient: leave DPO out, as a disputed pair does.
    other = replace(x, logps=(x.logps.detach() * double([-1.0, 1, 1, 1, 1, 1] * 2)[:, None]).requires_grad_())
    assert loss(other).metrics["agreement"].item() == 0.0
    assert torch.autograd.gradcheck(value, (other.logps,))


def test_rows_of_a_pair_are_found_wherever_they_stand():
    whole = SCIR()(batch()).loss.item()
    assert SCIR()(batch(order=(4, 0, 5, 1, 3, 2))).loss.item() == pytest.approx(whole)


def test_a_pair_has_the_weight_of_its_answers():
    first = SCIR(beta=1.0)(batch(weight=(1, 7, 7, 0, 7, 7))).loss.item()
    assert first == pytest.approx(0.408868, abs=1e-6)


def test_rows_that_were_torn_apart_are_refused():
    with pytest.raises(ValueError, match=r"pair from 'b' has 1 rows of answers and 1 of the judge in its batch, expec"):
        SCIR()(batch(names=("a", "a", "a", "b", "b", "c")))
    x = small([1.0, 2.0], [0.0, 0.0], names=("a", "b", "a", "b"), prefix=torch.zeros(4, 1))
    with pytest.raises(ValueError, match=r"shuffle: false, bucket: 1 and a batch_size that is a multiple of 3"):
        SCIR()(x)
    with pytest.raises(ValueError, match=r"SCIR needs `prefix` in its input, got none"):
        SCIR()(small([1.0], [0.0], names=("a", "a")))


def test_a_frozen_judge_is_the_rows_own_probability():
    """One row a pair, p_win = 5/8: the same number as with a judge that learns; sure verdicts stay finite."""
    x = small([LN4], [0.0], p_win=double([0.625]))
    assert SCIR(judge="frozen", beta=1.0)(x).loss.item() == pytest.approx(0.408868, abs=1e-6)
    sure = SCIR(judge="frozen", beta=1.0)(small([LN4, LN4], [0.0, 0.0], p_win=double([1.0, 0.0])))
    assert torch.isfinite(sure.loss) and sure.metrics["agreement"].item() == 0.5


def test_without_penalty_and_with_a_sure_judge_it_is_dpo_weighted_by_the_policys_own_confidence():
    x = small([1.0, 2.0], [0.0, -1.0], p_win=double([1.0, 1.0]))
    plain = SCIR(judge="frozen", beta=1.0, consistency=0.0, entropy=0.0)(x).loss.item()
    sigma = [1 / (1 + math.exp(-z)) for z in (1.0, 3.0)]
    assert plain == pytest.approx(sum(-s * math.log(s) for s in sigma) / 2)
    assert plain < DPO(beta=1.0)(x).loss.item()


def test_a_reward_without_an_opinion_agrees_with_nothing():
    out = SCIR(judge="frozen")(small([0.0], [0.0], p_win=double([0.9])))
    assert out.metrics["agreement"].item() == 0.0 and out.loss.item() > 0


def test_far_log_odds_stay_finite():
    far = double([-800.0, 0.0, 800.0], requires_grad=True)
    value = bernoulli_entropy(far).sum() + both_orders(far, far).sum()
    (gradient,) = torch.autograd.grad(value, far)
    assert torch.isfinite(gradient).all() and bernoulli_entropy(far)[1].item() == pytest.approx(math.log(2))
    torch.testing.assert_close(both_orders(far, far), far)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"beta": 0.0}, "SCIR: beta is 0.0, expected above 0"),
        ({"consistency": -1.0}, "SCIR: consistency is -1.0, expected at least 0"),
        ({"entropy": math.nan}, "SCIR: entropy is nan, expected at least 0"),
        ({"judge": "sleeps"}, "SCIR: judge is 'sleeps', expected learns or frozen"),
    ],
)
def test_settings_out_of_range_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        SCIR(**settings)
