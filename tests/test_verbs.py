from random import Random

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.vote import Vote
from mmevolve.metrics.accuracy import Accuracy
from mmevolve.models.scripted import Scripted
from mmevolve.protocols import RoundState
from mmevolve.samplers.independent import Independent
from mmevolve.selectors.correct import Correct
from mmevolve.text import stable_seed
from mmevolve.types import Critique, Sample, Trajectory
from mmevolve.verbs import UNIT, critique, group, measure, sample, select, take, tune

DATA = [Sample(f"s{i}", f"{i} ?", answer=str(i % 2)) for i in range(30)]


def flip(said, seed, index):
    return f"answer : {(seed + index) % 2}"


def rows(units):
    return [row for part in units.work(units.items) for row in part]


def ids(things):
    return [t.id for t in things]


def test_take_gives_consecutive_windows_of_one_seeded_order():
    order = list(DATA)
    Random(stable_seed(7, "take")).shuffle(order)
    taken = [take(DATA, 0.3, 7, round=r) for r in range(4)]
    assert ids(taken[0]) == ids(order[:9])
    assert ids(taken[1]) == ids(order[9:18])
    assert ids(taken[2]) == ids(order[18:27])
    assert ids(taken[3]) == ids(order[27:] + order[:6]), "windows wrap round at the end"


@pytest.mark.parametrize(
    ("n", "fraction", "size"),
    # 0.1 * 30 is 3.0000000000000004 in binary, 0.29 * 100 is 28.999999999999996
    [(30, 0.1, 3), (100, 0.29, 29), (30, 1.0, 30), (30, 0.01, 1), (1, 0.5, 1), (10, 0.25, 2)],
)
def test_take_gives_the_share_that_was_meant(n, fraction, size):
    data = [Sample(str(i), "?") for i in range(n)]
    assert len(take(data, fraction, 0, round=0)) == size


def test_take_reads_a_rounded_third_as_a_third():
    data = [Sample(str(i), "?") for i in range(2400)]
    assert len(take(data, 0.3333333, 0, round=0)) == 800


def test_every_sample_is_taken_once_before_any_is_taken_twice():
    taken = [s.id for r in range(10) for s in take(DATA, 0.1, 0, round=r)]
    assert sorted(taken) == sorted(ids(DATA))
    assert ids(take(DATA, 0.1, 0, round=10)) == ids(take(DATA, 0.1, 0, round=0))


def test_take_depends_on_its_seed_and_leaves_the_data_alone():
    data = list(DATA)
    assert take(data, 1.0, 0, round=0) == take(data, 1.0, 0, round=0) != take(data, 1.0, 1, round=0)
    assert data == DATA


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_a_fraction_outside_zero_to_one_is_refused(fraction):
    with pytest.raises(ValueError, match="expected more than 0 and at most 1"):
        take(DATA, fraction, 0, round=0)


def test_there_must_be_something_to_take():
    with pytest.raises(ValueError, match="the training data hold no samples"):
        take([], 1.0, 0, round=0)


def test_sampling_comes_in_units_whose_rows_are_those_of_one_call():
    data = [Sample(f"s{i}", f"{i} ?") for i in range(2 * UNIT + 3)]
    sampler = Independent(n=2)
    units = sample(Scripted(flip), sampler, data, round=1)
    assert [len(u) for u in units.items] == [UNIT, UNIT, 3]
    assert units.at_once == 1
    assert rows(units) == list(sampler(Scripted(flip), data, round=1))


def test_units_do_not_depend_on_which_are_worked_on_together():
    data = [Sample(f"s{i}", f"{i} ?") for i in range(2 * UNIT + 3)]
    units = sample(Scripted(flip), Independent(n=2), data, round=1)
    apart = [units.work([unit])[0] for unit in reversed(units.items)]
    assert list(units.work(units.items)) == apart[::-1]


def test_every_critic_speaks_of_every_trajectory_with_a_samples_attempts_in_one_unit():
    data = [Sample(f"s{i}", f"{i} ?", answer="1") for i in range(UNIT + 1)]
    attempts = rows(sample(Scripted(flip), Independent(n=4), data, round=0))
    mixed = attempts[::2] + attempts[1::2]
    units = critique([AnswerMatch(), Vote()], mixed, data)
    assert [len({s.id for s, _ in unit}) for unit in units.items] == [UNIT, 1]
    said = rows(units)
    assert sorted((c.critic, c.trajectory_id) for c in said) == sorted(
        (name, t.id) for name in ("answer", "vote") for t in attempts
    )
    assert {c.score for c in said if c.critic == "vote"} == {0.5}, "two of four, wherever the attempts lay"


def test_spreading_hands_over_the_policy_the_work_and_all_units_at_once():
    policy, asked = Scripted(flip), []

    def spread(policy, work, units):
        asked.append((policy, len(units), work.describe()))
        return work(units)

    units = sample(policy, Independent(n=2), DATA, spread, round=0)
    assert rows(units) == rows(sample(policy, Independent(n=2), DATA, round=0))
    assert units.at_once == len(units.items) == 1
    assert asked == [(policy, 1, {})]


def test_groups_are_in_the_batchs_order_with_what_belongs_to_them():
    batch = DATA[:3]
    attempts = [Trajectory(i, s, "m", ()) for i, s in (("x", "s2"), ("y", "s0"), ("z", "s2"))]
    said = [Critique("z", "answer", 1.0), Critique("y", "answer", 0.0), Critique("x", "vote", 0.5)]
    groups = group(batch, attempts, said)
    assert [g.sample.id for g in groups] == ["s0", "s1", "s2"]
    assert [ids(g.trajectories) for g in groups] == [["y"], [], ["x", "z"]]
    assert [[c.trajectory_id for c in g.critiques] for g in groups] == [["y"], [], ["z", "x"]]


def test_a_trajectory_of_no_sample_and_a_critique_of_no_trajectory_are_errors():
    with pytest.raises(KeyError):
        group(DATA[:1], [Trajectory("x", "other", "m", ())], [])
    with pytest.raises(KeyError):
        group(DATA[:1], [], [Critique("x", "answer", 1.0)])


def test_two_samples_with_one_id_are_refused():
    with pytest.raises(ValueError, match="twin"):
        group([Sample("twin", "1 ?"), Sample("twin", "2 ?")], [Trajectory("x", "twin", "m", ())], [])


def test_select_gives_the_selectors_rows():
    batch = [Sample("s", "?", answer="1")]
    attempts = rows(sample(Scripted({"?": ["answer : 1", "answer : 2"]}), Independent(n=2), batch, round=0))
    said = rows(critique([AnswerMatch()], attempts, batch))
    assert [r.source for r in select(Correct(), batch, attempts, said)] == ["s/0/0"]


def test_tune_asks_the_schedule_with_the_round_and_its_history():
    seen = []

    def schedule(state):
        seen.append(state)
        return {"temperature": 0.7}

    assert tune(schedule, Independent(), [{"accuracy": 0.1}], "probe", round=4) == [{"temperature": 0.7}]
    assert seen == [RoundState(4, ({"accuracy": 0.1},), "probe")]


def test_measure_joins_the_numbers_of_all_metrics():
    attempts = [Trajectory("x", "s0", "m", (), "0"), Trajectory("y", "s0", "m", ())]
    groups = group(DATA[:1], attempts, [Critique("x", "answer", 1.0), Critique("y", "answer", 0.0)])
    assert measure([Accuracy(), Accuracy(name="again")], groups) == {
        "accuracy": 0.5,
        "accuracy_unparsed": 0.5,
        "again": 0.5,
        "again_unparsed": 0.5,
    }


def test_two_metrics_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two metrics are called 'accuracy'"):
        measure([Accuracy(), Accuracy(critic="vote")], group(DATA[:1], [], []))
