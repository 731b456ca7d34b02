"""Draws: fixed numbers, uniform ones, and the inverse of the distribution function at its edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmevolve.models import draw as drawing
from mmevolve.models.draw import draw, mix, row_keys, truncate, uniforms

ALL = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
KEYS = [5199774590669546748, 10257114587443610966, 14410334998978661030, 441775961907197566]
FIRST = [0.16006461874122768, 0.04876156039276014, 0.7806724638331046, 0.9284171887779472]
SECOND = [0.4563472190783746, 0.8075739466164118, 0.7175874399713325, 0.0013999136744926588]


def test_mixing_is_splitmix64():
    """The first outputs of SplitMix64 from seed 0, as published with its reference code."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        states = np.arange(1, 4, dtype=np.uint64) * golden
    assert [hex(x) for x in mix(states)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]


def test_keys_and_uniforms_are_fixed_for_good():
    """A change of these numbers changes every run that was ever made."""
    keys = row_keys([0, 7], 2)
    assert keys.shape == (4,)
    assert [int(k) for k in keys] == KEYS
    assert uniforms(keys, 0).tolist() == FIRST
    assert uniforms(keys, 1).tolist() == SECOND


def test_a_key_does_not_depend_on_how_many_are_made():
    assert row_keys([3, 4, 5], 4).reshape(3, 4)[1, :2].tolist() == row_keys([4], 2).tolist()


def test_uniforms_are_uniform_and_independent():
    keys = row_keys(list(range(400)), 25)
    draws = np.stack([uniforms(keys, t) for t in range(20)])
    assert draws.min() >= 0.0 and draws.max() < 1.0
    counts = np.histogram(draws, bins=100, range=(0, 1))[0]
    expected = draws.size / 100
    assert ((counts - expected) ** 2 / expected).sum() < 99 + 4 * np.sqrt(2 * 99)
    assert abs(np.corrcoef(draws[0], draws[1])[0, 1]) < 0.04
    assert abs(np.corrcoef(draws[:, :-1].ravel(), draws[:, 1:].ravel())[0, 1]) < 0.01
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize("u", [0.0, 0.5, np.nextafter(1.0, 0.0)])
def test_a_token_without_probability_is_never_drawn(monkeypatch, u):
    monkeypatch.setattr(drawing, "uniforms", lambda keys, token: np.full(len(keys), u))
    inf = torch.inf
    logits = torch.tensor([[-inf, 0.0, -inf, 1.0, -inf], [0.0, -inf, -inf, -inf, -inf], [-inf, -inf, -inf, -inf, 3.0]])
    ids = draw(logits, np.zeros(3, dtype=np.uint64), 0, **ALL)
    assert ids[0] in (1, 3)
    assert ids[1:].tolist() == [0, 4]


def test_uniform_numbers_fall_into_the_cells_of_the_distribution(monkeypatch):
    logits = torch.tensor([[0.25, 0.5, 0.25]]).log()
    for u, token in [(0.0, 0), (0.2499, 0), (0.2501, 1), (0.7499, 1), (0.7501, 2), (1 - 2**-53, 2)]:
        monkeypatch.setattr(drawing, "uniforms", lambda keys, token, u=u: np.full(len(keys), u))
        assert draw(logits, np.zeros(1, dtype=np.uint64), 0, **ALL).item() == token


def test_the_last_uniform_number_stays_inside_large_vocabularies(monkeypatch):
    monkeypatch.setattr(drawing, "uniforms", lambda keys, token: np.full(len(keys), np.nextafter(1.0, 0.0)))
    logits = torch.randn(8, 50_000, generator=torch.Generator().manual_seed(0)) * 3
    logits[:, 40_000:] = -torch.inf
    assert draw(logits, np.zeros(8, dtype=np.uint64), 0, **ALL).max() < 40_000


def test_temperature_zero_takes_the_largest():
    logits = torch.tensor([[0.1, 0.3, 0.2]])
    assert draw(logits, row_keys([1], 1), 0, temperature=0.0, top_k=0, top_p=1.0).tolist() == [1]


def test_temperature_flattens():
    """ln 9 at T = 2 leaves odds of 3 to 1."""
    logits = torch.tensor([[np.log(9.0), 0.0]]).expand(4000, 2)
    share = draw(logits, row_keys([0], 4000), 0, temperature=2.0, top_k=0, top_p=1.0).eq(0).float().mean()
    assert abs(float(share) - 0.75) < 0.03


def kept(logits):
    return [torch.isfinite(row).nonzero()[:, 0].tolist() for row in logits]


def test_top_k_then_top_p_by_hand():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert kept(truncate(logits, 2, 1.0)) == [[0, 1]]
    assert kept(truncate(logits, 0, 0.69)) == [[0, 1]]  # 0.4 + 0.3 reach 0.69
    assert kept(truncate(logits, 0, 0.71)) == [[0, 1, 2]]
    assert kept(truncate(logits, 2, 0.5)) == [[0]]  # of 0.4 and 0.3 the first holds 4/7
    assert kept(truncate(logits, 9, 1.0)) == [[0, 1, 2, 3]]
    assert kept(truncate(logits, 0, 0.0)) == [[0]]


def test_truncation_keeps_the_order_of_tokens():
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    out = truncate(logits, 0, 0.69)
    assert kept(out) == [[1, 3]]
    assert out[0, [1, 3]].tolist() == logits[0, [1, 3]].tolist()
