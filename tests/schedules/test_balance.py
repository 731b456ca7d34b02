import math

import pytest

from mmevolve.critics.answer_plus_step import AnswerPlusStep
from mmevolve.protocols import RoundState
from mmevolve.samplers.independent import Independent
from mmevolve.schedules.balance import Balance, balance_score, judge, select
from mmevolve.schedules.knobs import apply, numbers
from mmevolve.selectors.top_k import TopK
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def judged(*attempts, sample="s"):
    """Attempts as (text, is right, reward)."""
    tried = tuple(
        Trajectory(f"{sample}/0/{i}", sample, "m", (Step(text),), "4") for i, (text, _, _) in enumerate(attempts)
    )
    said = [
        c
        for t, (_, right, reward) in zip(tried, attempts, strict=True)
        for c in (Critique(t.id, "answer", right), Critique(t.id, "reward", reward))
    ]
    return Group(Sample(sample, "?"), tried, tuple(said))


class FakeProbe:
    def __init__(self, groups, temperature=1.0):
        self.groups, self.sampler, self.asked = groups, Independent(temperature=temperature), []

    def __call__(self, knobs):
        self.asked.append(knobs["temperature"])
        return self.groups(knobs["temperature"])


def run(schedule, groups, *, round=0, temperature=1.0):
    return schedule(RoundState(round, (), FakeProbe(groups, temperature)))


@pytest.mark.parametrize(
    ("selected", "right", "wanted", "score"),
    [
        (4, 3, 6, 0.375),  # min(3/6, 1) * 3/4
        (6, 6, 6, 1.0),
        (8, 8, 6, 1.0),  # more than wanted is no better
        (12, 6, 6, 0.5),  # wrong ones, or repeats, cost
        (3, 0, 6, 0.0),
        (0, 0, 6, 0.0),
        (1, 1, 8, 0.125),
    ],
)
def test_the_balance_score_by_hand(selected, right, wanted, score):
    assert balance_score(selected, right, wanted) == score


def test_the_wanted_number_is_the_budget_a_query_rounded_up():
    assert Balance(budget=67_500, queries=11_500).target == 6
    assert Balance(budget=13_500, queries=2_627).target == 6
    assert Balance(budget=6, queries=3).target == 2
    assert Balance(wanted=8).target == 8, "the reference code's"


@pytest.mark.parametrize("lacks", [{}, {"budget": 10}, {"queries": 10}, {"budget": 0, "queries": 10}])
def test_without_a_budget_there_is_no_wanted_number(lacks):
    with pytest.raises(ValueError, match=r"needs a label budget and a number of queries above 0"):
        Balance(**lacks)


def test_what_is_selected_counts_every_attempt_and_what_is_right_only_distinct_texts():
    rows = judge(
        judged(("a", 1.0, 1.5), ("a", 1.0, 1.2), ("b", 1.0, 0.3), ("c", 0.0, 0.6), ("d", 1.0, None)),
        "reward",
        "answer",
    )
    assert select(rows, 0.0) == (4, 2)
    assert select(rows, 0.3) == (3, 1), "above, not at"
    assert select(rows, 1.5) == (0, 0)


def groups_at(temperature):
    """Two queries, n* 2.

    T 0.5: one text again and again: above 0, q1 selects a a (n 2, n' 1): 1/2 * 1/2 = .25; q2 the same; mean .25.
    T 1.0: above 0: q1 selects a b (2, 2): 1; q2 selects a b c-wrong (3, 2): 2/3; mean 5/6. Above 0.5: q1 a b: 1;
           q2 a b: 1; mean 1. Above 1: q1 a (1, 1): 1/2; q2 nothing: 0; mean 1/4.
    """
    if temperature == 0.5:
        return [judged(("a", 1.0, 0.6), ("a", 1.0, 0.6), sample=s) for s in ("q1", "q2")]
    return [
        judged(("a", 1.0, 1.4), ("b", 1.0, 0.9), sample="q1"),
        judged(("a", 1.0, 0.8), ("b", 1.0, 0.6), ("c", 0.0, 0.4), sample="q2"),
    ]


def balance(**given):
    words = {"budget": 4, "queries": 2, "low": 0.5, "high": 1.0, "step": 0.5}
    return Balance(**{**words, "low_threshold": 0.0, "high_threshold": 1.0, "step_threshold": 0.5, **given})


def test_temperature_and_threshold_are_chosen_together_over_all_queries():
    row = run(balance(), groups_at)
    assert (row["temperature"], row["selector.above"]) == (1.0, 0.5)
    assert row["chosen/balance"] == 1.0
    assert row["tried/temperature=0.5,above=0"] == 0.25
    assert row["tried/temperature=1,above=0"] == pytest.approx(5 / 6)
    assert row["tried/temperature=1,above=1"] == 0.25, "the query without a survivor counts as 0"
    assert row["tried/temperature=0.5,above=1"] == 0.0
    assert row["tried/attempts"] == 4 + 5


def test_every_temperature_is_drawn_once_whatever_the_number_of_thresholds():
    probe = FakeProbe(groups_at)
    balance(step_threshold=0.01)(RoundState(0, (), probe))
    assert probe.asked == [0.5, 1.0]


def test_of_equal_settings_the_nearest_temperature_and_the_lowest_threshold_are_taken():
    same = [judged(("a", 1.0, 2.0), ("b", 1.0, 2.0))]
    for present, taken in ((1.0, 1.0), (0.4, 0.5), (0.75, 0.5)):
        row = run(balance(), lambda t: same, temperature=present)
        assert (row["temperature"], row["selector.above"]) == (taken, 0.0)


def test_when_nothing_right_is_selected_it_stops_or_stays_as_set():
    wrong = [judged(("a", 0.0, 0.9))]
    with pytest.raises(ValueError, match="selects an attempt that 'answer' passes: lower the thresholds"):
        run(balance(), lambda t: wrong)
    row = run(balance(nothing="stay"), lambda t: wrong, temperature=0.7)
    assert row["temperature"] == 0.7 and "selector.above" not in row and row["chosen/balance"] == 0.0


def test_between_tunings_nothing_is_drawn():
    probe = FakeProbe(groups_at, temperature=0.8)
    assert balance(every=2)(RoundState(1, (), probe)) == {"temperature": 0.8}
    assert probe.asked == []


def test_the_row_sets_sampler_and_selector_and_leaves_the_trace():
    row = run(balance(), groups_at)
    sampler, selector, train = apply(row, Independent(n=4, temperature=0.3), TopK(rank_by="reward"), "as it is")
    assert train == "as it is"
    assert sampler == Independent(n=4, temperature=1.0)
    assert selector == TopK(rank_by="reward", above=0.5)
    assert numbers(row) == {
        "chosen/temperature": 1.0, "chosen/selector.above": 0.5, "chosen/balance": 1.0, "chosen/balance_empty": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"temprature": 1.0}, "sets 'temprature', which sampler Independent has not: the nearest is 'temperature'"),
        ({"selector.abov": 1.0}, "sets 'abov', which selector TopK has not: the nearest is 'above'"),
    ],
)
def test_a_field_that_is_not_there_is_named_with_the_nearest(row, said):
    with pytest.raises(ValueError, match=said):
        apply(row, Independent(), TopK())


class Says:
    def __init__(self, name, scores):
        self.name, self.scores = name, scores

    def __call__(self, items):
        for (_, t), s in zip(items, self.scores, strict=True):
            error = "no idea" if s is None else None
            yield Critique(t.id, self.name, s, () if s is None else (1.0, s), error=error)


def test_the_reward_is_one_for_a_right_answer_plus_the_step_reward_from_minus_one_to_one():
    items = [(Sample("s", "?"), Trajectory(f"s/0/{i}", "s", "m", ())) for i in range(5)]
    critic = AnswerPlusStep(Says("prm", [1.0, 0.0, 0.25, 0.5, None]), Says("answer", [1.0, 1.0, 0.0, None, 1.0]))
    said = list(critic(items))
    assert [c.score for c in said] == [2.0, 0.0, -0.5, None, None]
    assert said[2].step_scores == (1.0, 0.25)
    assert [c.error for c in said] == [None, None, None, "no idea", "no idea"]


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan])
def test_a_step_reward_that_is_no_probability_is_refused(score):
    items = [(Sample("s", "?"), Trajectory("s/0/0", "s", "m", ()))]
    with pytest.raises(ValueError, match=r"critic 'prm' scores .*, expected 0 to 1"):
        list(AnswerPlusStep(Says("prm", [score]), Says("answer", [1.0]))(items))
