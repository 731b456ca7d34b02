"""Intervals of shares that are all alike, where a bootstrap would know no doubt."""

import math

import pytest

from mmevolve.controls.resampling import Resampling
from mmevolve.statistics import wilson
from mmevolve.types import Sample

Z2 = 1.959964**2
QUICK = Resampling(draws=200)


def ends(interval):
    return interval.mean, interval.low, interval.high


SAMPLES = [Sample(f"q{i}", "?", (f"{i}.png",)) for i in range(20)]


def test_shares_that_are_all_alike_have_wilsons_ends():
    assert ends(QUICK.share(SAMPLES, [0.0] * 20)) == pytest.approx((0.0, 0.0, Z2 / (20 + Z2)))
    assert ends(QUICK.share(SAMPLES, [1.0] * 20)) == pytest.approx((1.0, 20 / (20 + Z2), 1.0))
    assert wilson(0, 20).high == pytest.approx(Z2 / (20 + Z2))


def test_trials_are_clusters_and_one_is_none():
    paired = [Sample(f"q{i}", "?", (f"{i // 10}.png",)) for i in range(20)]
    assert QUICK.share(paired, [1.0] * 20).low == pytest.approx(2 / (2 + Z2))
    alone = QUICK.share([Sample(f"q{i}", "?", ("a.png",)) for i in range(3)], [1.0] * 3)
    assert (alone.low, alone.high) == (-math.inf, math.inf)


def test_a_difference_that_is_the_same_everywhere_leaves_the_doubt_of_a_share():
    doubt = Z2 / (20 + Z2)
    assert ends(QUICK.shift(SAMPLES, [1.0] * 20, [1.0] * 20)) == pytest.approx((0.0, -doubt, doubt))
    assert ends(QUICK.shift(SAMPLES, [0.0] * 20, [1.0] * 20)) == pytest.approx((1.0, 1 - 2 * doubt, 1.0))
    assert ends(QUICK.shift(SAMPLES, [1.0] * 20, [0.0] * 20)) == pytest.approx((-1.0, -1.0, 2 * doubt - 1))


def test_anything_else_is_resampled():
    mixed = [0.0, 1.0] * 10
    assert QUICK.share(SAMPLES, mixed) == QUICK.mean(SAMPLES, mixed)
    assert QUICK.shift(SAMPLES, mixed, [1.0] * 20) == QUICK.paired(SAMPLES, mixed, [1.0] * 20)
    assert QUICK.share(SAMPLES, [0.5] * 20).low == 0.5
