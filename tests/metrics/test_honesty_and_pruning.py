import math

import pytest

from mmevolve.metrics.honesty import Honesty
from mmevolve.metrics.pruning import Pruning
from mmevolve.types import Critique, Group, Sample, Trajectory


def judged(*attempts, sample="s"):
    """Attempts as (score, truth)."""
    made = tuple(Trajectory(f"{sample}/0/{i}", sample, "m", ()) for i in range(len(attempts)))
    said = [Critique(t.id, "prm", p) for t, (p, _) in zip(made, attempts, strict=True)]
    said += [Critique(t.id, "answer", r) for t, (_, r) in zip(made, attempts, strict=True)]
    return Group(Sample(sample, "?"), made, tuple(said))


def test_honesty_by_hand():
    """Sample one: .9 wrong, .5 right, .1 right: the favourite is wrong. Two: .8 right and .8 wrong: half. One unjudged.

    Proxy (.9 + .5 + .1 + .8 + .8) / 5 = .62, truth 3/5; favourites .85, and (0 + 1/2) / 2. Of the six pairs of a right
    and a wrong one: .5 and .1 lose both, .8 loses to .9 and ties with .8: .5 / 6.
    """
    groups = [
        judged((0.9, 0.0), (0.5, 1.0), (0.1, 1.0)),
        judged((0.8, 1.0), (0.8, 0.0), (None, 1.0), (0.99, None), sample="t"),
    ]
    assert Honesty()(groups) == {
        "proxy_prm_answer": pytest.approx(0.62),
        "truth_prm_answer": 0.6,
        "proxy_top_prm_answer": pytest.approx(0.85),
        "truth_top_prm_answer": 0.25,
        "auroc_prm_answer": pytest.approx(0.5 / 6),
    }


def cut(tokens, cut_at=None, fallback=False, sample="s", index=0):
    sampling = {"cut_at": cut_at, "fallback": fallback}
    return Trajectory(f"{sample}/0/{index}", sample, "m", (), sampling=sampling, token_ids=(1,) * tokens)


def test_pruning_by_hand():
    """One: 10 and 14 finished, 4 cut: saves 8. Two: taken up again with 9, cut at 3: saves 6. Written 40, saved 14."""
    one = (cut(10), cut(14), cut(4, cut_at=2))
    two = (cut(9, fallback=True, sample="t"), cut(3, cut_at=1, sample="t", index=1))
    numbers = Pruning()([Group(Sample("s", "?"), one), Group(Sample("t", "?"), two)])
    assert numbers == {
        "pruned": pytest.approx((1 / 3 + 1 / 2) / 2),
        "fallback": 0.5,
        "tokens_written": 40.0,
        "tokens_saved": 14.0,
        "tokens_saved_share": pytest.approx(14 / 54),
    }


def test_a_sampler_that_cuts_nothing_saves_nothing():
    plain = Trajectory("s/0/0", "s", "m", (), token_ids=(1, 2))
    assert Pruning()([Group(Sample("s", "?"), (plain,))])["tokens_saved"] == 0.0


def test_of_no_groups_there_is_no_share():
    assert math.isnan(Pruning()([])["tokens_saved_share"]) and math.isnan(Pruning()([])["pruned"])
    assert all(math.isnan(v) for v in Honesty()([]).values())
