import math

import pytest

from mmevolve.schedules.watch import BEFORE, Alarm, Goodhart, Watch


def rounds(*values, name="x"):
    """The first value was measured before the first round."""
    return {r: {name: v} for r, v in enumerate(values, start=BEFORE)}


def test_a_fall_from_the_best_is_told_with_both_numbers_and_rounds():
    """.80, .84, .79: .05 below the best, which was round 0."""
    watch = Watch("x", "exploration", fall=0.04)
    assert watch(rounds(0.80, 0.84, 0.81)) is None
    said = watch(rounds(0.80, 0.84, 0.79))
    assert said == Alarm("exploration", "warn", said.why, 0)
    assert said.why.startswith("exploration: 'x' fell from 0.84 (round 0) to 0.79: the policy tries less")


def test_a_rise_above_the_lowest_and_bounds():
    assert Watch("x", "collapse", rise=0.1)(rounds(0.2, 0.29)) is None
    assert "rose from 0.2 (before the first round) to 0.31" in Watch("x", "collapse", rise=0.1)(rounds(0.2, 0.31)).why
    assert "is 0.4, expected at least 0.5" in Watch("x", "honesty", least=0.5)(rounds(0.6, 0.4)).why
    assert "is 0.9, expected at most 0.5" in Watch("x", "honesty", most=0.5)(rounds(0.6, 0.9)).why


def test_several_rounds_in_a_row():
    watch = Watch("x", "exploitation", least=0.5, rounds=2)
    assert watch(rounds(0.1, 0.4)) is None, "what was measured before the first round is no round"
    assert watch(rounds(0.6, 0.6, 0.4)) is None
    assert watch(rounds(0.6, 0.4, 0.6, 0.4)) is None
    assert "for 2 rounds" in watch(rounds(0.6, 0.4, 0.3)).why


def test_a_roll_back_aims_at_the_round_before_or_the_best():
    said = rounds(0.5, 0.9, 0.8, 0.7)
    assert Watch("x", "exploration", fall=0.1, then="roll back")(said).to == 1
    assert Watch("x", "exploration", fall=0.1, then="roll back", back_to="best")(said).to == 0
    low = rounds(0.5, 0.2, 0.6, 0.9)
    assert Watch("x", "collapse", rise=0.5, then="roll back", back_to="best")(low).to == 0
    assert Watch("x", "collapse", most=0.5, then="roll back", back_to="best")(low).to == 0
    assert Watch("x", "collapse", most=0.5, then="roll back")(rounds(0.5, 0.9)).to == BEFORE


def test_rounds_that_were_undone_are_not_there():
    said = {BEFORE: {"x": 0.9}, 0: {"x": 0.8}, 3: {"x": 0.4}}
    assert Watch("x", "exploration", fall=0.3)(said).to == 0


def test_no_number_says_nothing_and_a_wrong_name_is_refused_with_the_nearest():
    assert Watch("x", "exploration", fall=0.1)(rounds(0.9, math.nan)) is None
    assert Watch("x", "exploration", fall=0.1)({BEFORE: {}, 0: {"x": 0.2}}) is None, "nothing to compare with"
    with pytest.raises(ValueError, match=r"watches 'pass@9', which round 0 did not measure: the nearest is 'pass@8'"):
        Watch("pass@9", "exploration", fall=0.1)({BEFORE: {}, 0: {"pass@8": 0.4}})
    with pytest.raises(ValueError, match="the monitor of 'x' has no bound"):
        Watch("x", "exploration")


def pairs(*values):
    return {r: {"proxy": p, "truth": t} for r, (p, t) in enumerate(values, start=BEFORE)}


def test_goodhart_a_proxy_that_climbs_while_the_truth_does_not():
    judge = Goodhart("proxy", "truth", by=0.1)
    assert judge(pairs((0.5, 0.6), (0.7, 0.7))) is None, "both climb"
    assert judge(pairs((0.5, 0.6), (0.55, 0.5))) is None, "it has hardly climbed"
    said = judge(pairs((math.nan, 0.6), (0.5, 0.6), (0.7, 0.6)))
    assert said.monitor == "honesty" and said.to == 0
    assert "'proxy' rose by 0.2 since round 0, 'truth' by 0" in said.why
    assert judge(pairs((0.5, 0.6))) is None


def test_a_truth_that_falls_from_its_best_while_the_proxy_climbs_is_noticed_above_where_both_began():
    """Truth .50, .60, .54; proxy .50, .55, .60: still better than at first, but .06 below the best."""
    said = {
        r: {"p": p, "t": t} for r, (p, t) in enumerate([(0.5, 0.5), (0.55, 0.6), (0.6, 0.54)], start=BEFORE)
    }  # fmt: skip
    assert Goodhart("p", "t")(said) is None
    alarm = Goodhart("p", "t", fall=0.05)(said)
    assert "'t' fell by 0.06 from its best (round 0) while 'p' rose by 0.05" in alarm.why
    assert Goodhart("p", "t", fall=0.07)(said) is None
    assert Goodhart("p", "t", fall=0.05)({**said, 1: {"p": 0.5, "t": 0.54}}) is None, "the proxy fell with it"


def test_a_setting_that_a_monitor_gained_does_not_change_what_older_runs_were_watched_by():
    assert "fall" not in Goodhart("p", "t").describe() and Goodhart("p", "t", fall=0.1).describe()["fall"] == 0.1
