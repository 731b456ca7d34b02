import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.loops import Probe
from mmevolve.metrics.accuracy import Accuracy, PassAtK
from mmevolve.metrics.reward import RewardPassAtK
from mmevolve.models.scripted import Scripted
from mmevolve.protocols import RoundState
from mmevolve.samplers.independent import Independent
from mmevolve.schedules.grid import grid
from mmevolve.schedules.temperature import Temperature
from mmevolve.types import Critique, Group, Sample, Trajectory
from mmevolve.verbs import tune

M_STAR = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)


def judged(*attempts, sample="s"):
    """Attempts as (is right, rank)."""
    tried = tuple(Trajectory(f"{sample}/0/{i}", sample, "m", (), "4") for i in range(len(attempts)))
    said = [
        (Critique(t.id, "answer", float(r)), Critique(t.id, "prm", p))
        for t, (r, p) in zip(tried, attempts, strict=True)
    ]
    return Group(Sample(sample, "?"), tried, tuple(c for pair in said for c in pair))


class FakeProbe:
    """Groups by temperature; keeps what it was asked."""

    def __init__(self, groups, sampler):
        self.groups, self.sampler, self.asked = groups, sampler, []

    def __call__(self, knobs):
        self.asked.append(knobs)
        return self.groups(knobs["temperature"])


def state(groups, round=0, temperature=1.0):
    return RoundState(round, (), FakeProbe(groups, Independent(temperature=temperature)))


def test_the_grid_of_the_paper_has_fourteen_temperatures():
    assert grid(0.3, 1.6, 0.1) == M_STAR
    assert grid(0.5, 0.5, 0.1) == (0.5,)
    assert grid(-1.0, 1.0, 0.5) == (-1.0, -0.5, 0.0, 0.5, 1.0)
    assert grid(0.0, 1.0, 0.3) == (0.0, 0.3, 0.6, 0.9), "the end is left out when it is not on the grid"


@pytest.mark.parametrize("ends", [(1.0, 0.5, 0.1), (0.3, 1.6, 0.0), (0.3, 1.6, -0.1), (0.3, 1.6, float("nan"))])
def test_an_empty_grid_is_refused(ends):
    with pytest.raises(ValueError, match="is empty: expected low <= high and a step above 0"):
        grid(*ends)


def at_rank(right_rank):
    """A group of three whose one right attempt has this rank from the top."""
    ranks = [0.9, 0.5, 0.1]
    return judged(*[(i == right_rank, ranks[i]) for i in range(3)])


def test_the_temperature_with_the_highest_reward_pass_at_2_is_taken():
    """Two samples. T 0.8: right at rank 0 and 2 -> 1/2. T 1.1: at 1 and 1 -> 1. Elsewhere 2 and 2 -> 0."""
    ranks = {0.8: (0, 2), 1.1: (1, 1)}
    row = Temperature(RewardPassAtK(k=2))(state(lambda t: [at_rank(r) for r in ranks.get(t, (2, 2))]))
    assert row["temperature"] == 1.1
    assert row["chosen/reward_pass@2"] == 1.0
    assert row["tried/temperature=0.8"] == 0.5
    assert row["tried/temperature=1.6"] == 0.0
    assert len([name for name in row if name.startswith("tried/temperature=")]) == 14
    assert row["tried/attempts"] == 14 * 2 * 3


def test_pass_at_k_as_the_objective_is_another_controller():
    """T 0.5: one right attempt, ranked first. T 1.5: two of three right, ranked last and last but one, one below."""

    def groups(t):
        if t == 0.5:
            return [judged((1, 0.9), (0, 0.5), (0, 0.1))]
        return [judged((0, 0.9), (0, 0.5), (1, 0.1), (1, 0.2))] if t == 1.5 else [judged((0, 1.0), (0, 0.5), (0, 0.1))]

    assert Temperature(RewardPassAtK(k=2))(state(groups))["temperature"] == 0.5
    row = Temperature(PassAtK(k=2))(state(groups))
    assert row["temperature"] == 1.5, "1 - C(2, 2) / C(4, 2) = 5/6 against 1 - C(2, 2) / C(3, 2) = 2/3"
    assert row["chosen/pass@2"] == pytest.approx(5 / 6)


@pytest.mark.parametrize(("present", "taken"), [(1.0, 1.0), (0.2, 0.3), (2.0, 1.6), (0.95, 0.9), (0.95000001, 1.0)])
def test_without_a_difference_the_temperature_stays_as_near_as_the_grid_lets_it(present, taken):
    row = Temperature(RewardPassAtK(k=2))(state(lambda t: [at_rank(0)], temperature=present))
    assert row["temperature"] == taken


def test_it_tunes_every_second_round_and_keeps_the_temperature_between():
    for r in range(6):
        now = state(lambda t: [at_rank(0 if t == 0.4 else 2)], round=r, temperature=0.7)
        row = Temperature(RewardPassAtK(k=2))(now)
        assert row["temperature"] == (0.7 if r % 2 else 0.4)
        assert len(now.probe.asked) == (0 if r % 2 else 14)


def test_a_probe_without_samples_is_refused():
    for nothing in ([], [Group(Sample("s", "?"), ())]):
        with pytest.raises(ValueError, match="give the loop probe_data, samples that are not trained on"):
            Temperature(RewardPassAtK(k=2))(state(lambda t, nothing=nothing: nothing))


def test_an_objective_of_several_numbers_is_refused():
    with pytest.raises(ValueError, match=r"Accuracy gives \['accuracy', 'accuracy_unparsed'\]: expected one number"):
        Temperature(Accuracy())(state(lambda t: [at_rank(0)]))


def test_with_the_loops_own_probe_it_finds_the_temperature_that_answers_right():
    """The script is right only where its seeds say so; the probe draws the same whatever is tried before."""
    data = [Sample(f"s{i}", f"{i} ?", answer="1") for i in range(8)]

    def say(said, seed, index):
        return f"answer : {(seed + index) % 3}"

    probe = Probe(Scripted(say), Independent(n=3, temperature=0.6), (AnswerMatch(),), data, 0)
    schedule = Temperature(PassAtK(k=1), low=0.0, high=0.6, step=0.3)
    (row,) = tune(schedule, probe.sampler, [], probe, round=0)
    greedy = PassAtK(k=1)(probe({"temperature": 0.0}))["pass@1"]
    drawn = PassAtK(k=1)(probe({"temperature": 0.6}))["pass@1"]
    assert row["tried/temperature=0"] == greedy and row["tried/temperature=0.6"] == drawn == pytest.approx(1 / 3)
    assert row["temperature"] == (0.0 if greedy > drawn else 0.6)
    assert [dict(row)] == tune(schedule, probe.sampler, [], probe, round=0)
