import math
from dataclasses import replace

import pytest
import torch
from pairs_by_hand import double, small

from mmevolve.losses.critique_reward import CritiqueReward

# Two pairs of critiques of one token: NLL (0.5 + 1 + 2 + 0.1) / 4 = 0.9; scores 1 and -1 chosen, 0 and 0.5 rejected.
LOGPS = ([-0.5, -1.0], [-2.0, -0.1])
SCORES = [1.0, -1.0, 0.0, 0.5]
RANKED = [math.log1p(math.exp(-1.0)), math.log1p(math.exp(1.5))]


def pairs(**more):
    return small(*LOGPS, **{"scores": double(SCORES, requires_grad=True), **more})


def test_language_and_bradley_terry_terms_by_hand():
    out = CritiqueReward()(pairs())
    assert out.loss.item() == pytest.approx(0.9 + sum(RANKED) / 2)
    numbers = {name: value.item() for name, value in out.metrics.items()}
    assert numbers["nll"] == pytest.approx(0.9)
    assert numbers["accuracy"] == 0.5
    assert numbers["margin"] == pytest.approx((1.0 - 1.5) / 2)


def test_scores_alone_teach_no_words():
    x = pairs()
    out = CritiqueReward(critique=0.0)(x)
    out.loss.backward()
    assert out.loss.item() == pytest.approx(sum(RANKED) / 2)
    assert x.logps.grad is None
    torch.testing.assert_close(x.scores.grad[0], double(-0.5 / (1 + math.e)))


def test_centring_draws_both_scores_of_a_pair_to_zero():
    """((1 + 0)^2 + (-1 + 0.5)^2) / 2 = 0.625."""
    assert CritiqueReward(critique=0.0, centre=0.01)(pairs()).loss.item() == pytest.approx(sum(RANKED) / 2 + 0.00625)


def test_a_tie_draws_its_scores_together_and_has_no_part_in_accuracy():
    out = CritiqueReward(critique=0.0)(pairs(p_win=double([1.0, 0.5])))
    assert out.loss.item() == pytest.approx((RANKED[0] + 2.25) / 2)
    assert out.metrics["accuracy"].item() == 1.0
    assert "accuracy" not in CritiqueReward()(pairs(p_win=double([0.5, 0.5]))).metrics


def test_pairs_count_by_their_weight_and_tokens_by_the_mask():
    x = pairs()
    x = replace(x, weight=double([1.0, 3.0, 1.0, 3.0]))
    expected = (0.5 + 3 * 1.0 + 2.0 + 3 * 0.1) / 8 + (RANKED[0] + 3 * RANKED[1]) / 4
    assert CritiqueReward()(x).loss.item() == pytest.approx(expected)
    wide = replace(
        x,
        logps=torch.cat([x.logps, torch.full((4, 1), torch.nan)], 1),
        mask=torch.cat([x.mask, torch.zeros(4, 1, dtype=torch.float64)], 1),
    )
    assert CritiqueReward()(wide).loss.item() == pytest.approx(expected)


def test_a_batch_without_scores_or_with_broken_ones_is_refused():
    with pytest.raises(ValueError, match="CritiqueReward needs `scores` in its input, got none: it trains a"):
        CritiqueReward()(small(*LOGPS))
    with pytest.raises(ValueError, match=r"`scores` of shape \(2,\), expected one a row: 4"):
        CritiqueReward()(pairs(scores=double([1.0, 2.0])))
    with pytest.raises(ValueError, match="the loss of pair 0 from 'a' is nan"):
        CritiqueReward()(pairs(scores=double([math.nan, 0.0, 0.0, 0.0]), names=("a", "b", "a", "b")))
    with pytest.raises(ValueError, match="CritiqueReward: centre is -1"):
        CritiqueReward(centre=-1.0)
