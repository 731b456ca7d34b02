import math

import numpy as np
import pytest

from mmevolve import statistics as st


def verdicts(n, seed, share=0.5):
    return (np.random.default_rng(seed).random(n) < share).astype(float).tolist()


def test_the_bootstrap_interval_is_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).normal(size=150)
    ours = st.mean_interval(values.tolist(), draws=20_000, seed=1)
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=2).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)
    assert ours.mean == pytest.approx(values.mean())
    assert ours.n == 150


def test_the_paired_interval_is_that_of_scipy_on_the_differences():
    from scipy.stats import bootstrap

    before, after = verdicts(300, 1), verdicts(300, 2, 0.6)
    ours = st.paired_interval(before, after, draws=20_000)
    theirs = bootstrap(
        (np.array(before), np.array(after)),
        lambda b, a, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=5,
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_the_same_seed_gives_the_same_interval_whatever_the_block_size(monkeypatch):
    values = verdicts(200, 4)
    one = st.mean_interval(values, draws=500, seed=7)
    monkeypatch.setattr(st, "_BLOCK", 1_000)
    assert st.mean_interval(values, draws=500, seed=7) == one
    assert st.mean_interval(values, draws=500, seed=8) != one


def test_clusters_of_one_change_nothing_and_copies_in_a_cluster_widen_the_interval():
    values = verdicts(80, 5)
    plain = st.mean_interval(values, draws=2_000)
    assert st.mean_interval(values, clusters=list(range(80)), draws=2_000) == plain
    copied = [v for v in values for _ in range(5)]
    naive = st.mean_interval(copied, draws=2_000)
    clustered = st.mean_interval(copied, clusters=[i // 5 for i in range(400)], draws=2_000)
    assert clustered.high - clustered.low == pytest.approx(plain.high - plain.low, rel=0.02)
    assert naive.high - naive.low < 0.6 * (clustered.high - clustered.low)


def test_the_clustered_interval_matches_the_clustered_standard_error_of_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(120), 5)
    values = rng.normal(size=120)[clusters] + rng.normal(size=600)
    fitted = sm.OLS(values, np.ones(600)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    ours = st.mean_interval(values.tolist(), clusters=clusters.tolist(), draws=20_000)
    assert (ours.high - ours.low) / (2 * 1.959964) == pytest.approx(float(fitted.bse[0]), rel=0.03)


def test_one_cluster_has_no_finite_interval():
    interval = st.mean_interval([1.0, 0.0], clusters=["a", "a"])
    assert interval.low == -math.inf and interval.high == math.inf


@pytest.mark.parametrize(("fixed", "broken"), [(0, 5), (3, 9), (12, 12), (40, 25), (1, 0), (0, 0), (700, 620)])
def test_mcnemar_is_that_of_statsmodels_and_of_the_binomial_test(fixed, broken):
    from scipy.stats import binomtest
    from statsmodels.stats.contingency_tables import mcnemar

    ours = st.mcnemar(fixed, broken)
    if fixed + broken:
        assert ours == pytest.approx(mcnemar([[10, fixed], [broken, 10]], exact=True).pvalue, rel=1e-9)
        assert ours == pytest.approx(binomtest(fixed, fixed + broken, 0.5).pvalue, rel=1e-9)
    else:
        assert ours == 1.0


def test_mcnemar_of_huge_counts_stays_a_probability():
    assert 0 <= st.mcnemar(60_000, 50_000) < 1e-100


def test_changes_count_fixed_broken_and_kept():
    found = st.changes([0, 0, 1, 1, 1], [1, 0, 0, 1, 1])
    assert found == st.Changes(fixed=1, broken=1, kept_right=2, kept_wrong=1)
    assert found.n == 5 and found.gain == 0.0


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": 0.7}
    assert list(st.holm(p).values()) == pytest.approx(multipletests(list(p.values()), method="holm")[1].tolist())
    assert list(st.holm(p)) == list(p)
    assert st.holm({}) == {}


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (3, 7), (450, 1000)])
def test_wilson_is_that_of_statsmodels(right, n):
    from statsmodels.stats.proportion import proportion_confint

    interval = st.wilson(right, n, level=0.9)
    low, high = proportion_confint(right, n, alpha=0.1, method="wilson")
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_the_minimum_detectable_effect_is_found_with_the_promised_power():
    n, discordant = 400, 0.2
    effect = st.minimum_detectable_effect(n, discordant=discordant)
    rng = np.random.default_rng(0)
    share_fixed = (discordant + effect) / 2
    draws = rng.multinomial(n, [share_fixed, discordant - share_fixed, 1 - discordant], size=4_000)
    p = np.array([st.mcnemar(int(fixed), int(broken)) for fixed, broken, _ in draws])
    # the exact test is a little more careful than the normal formula
    assert 0.72 < (p <= 0.05).mean() < 0.84


def test_the_minimum_detectable_effect_solves_connors_sample_size():
    from scipy.stats import norm

    effect, discordant = 0.05, 0.15
    needed = (
        norm.ppf(0.975) * math.sqrt(discordant) + norm.ppf(0.8) * math.sqrt(discordant - effect**2)
    ) ** 2 / effect**2
    assert st.minimum_detectable_effect(math.ceil(needed), discordant=discordant) == pytest.approx(effect, rel=0.01)
    clustered = st.minimum_detectable_effect(math.ceil(needed) * 3, discordant=discordant, design_effect=3.0)
    assert clustered == pytest.approx(effect, rel=0.01)


def test_an_effect_that_cannot_be_seen_is_infinite():
    assert st.minimum_detectable_effect(4, discordant=0.1) == math.inf


@pytest.mark.parametrize(
    "call",
    [
        lambda: st.mean_interval([]),
        lambda: st.mean_interval([1.0, math.nan]),
        lambda: st.mean_interval([1.0, 2.0], clusters=["a"]),
        lambda: st.mean_interval([1.0, 2.0], level=1.5),
        lambda: st.paired_interval([1.0], [1.0, 0.0]),
        lambda: st.changes([True], []),
        lambda: st.mcnemar(-1, 3),
        lambda: st.holm({"a": 1.2}),
        lambda: st.wilson(5, 3),
        lambda: st.minimum_detectable_effect(0, discordant=0.1),
    ],
)
def test_bad_input_is_refused_with_a_reason(call):
    with pytest.raises(ValueError, match=r"\w"):
        call()
