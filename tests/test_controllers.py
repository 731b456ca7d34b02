"""A schedule in a loop: it sets sampler and selector, its choice is measured, its trace is kept, a resume reads it."""

from __future__ import annotations

import pytest

from mmevolve.console import Console, shown_on
from mmevolve.critics.answer import AnswerMatch
from mmevolve.loops import NothingSelected, evolve
from mmevolve.metrics.accuracy import PassAtK
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.independent import Independent
from mmevolve.schedules.balance import Balance
from mmevolve.schedules.temperature import Temperature
from mmevolve.selectors.above import Above
from mmevolve.selectors.correct import Correct
from mmevolve.store import RunStore
from mmevolve.types import Sample

DATA = [Sample(f"train{i}", f"{i} ?", answer="1") for i in range(6)]
PROBE = [Sample(f"probe{i}", f"{i} !", answer="1") for i in range(6)]


def say(said, seed, index):
    return f"{index} = {index}\nanswer : {(seed + index) % 3}"


def trained(seen):
    def train(learner, examples, store, *, round):
        seen.append((round, len(examples)))
        return learner

    return train


def run(path, seen, **words):
    given = {"critics": [AnswerMatch()], "selector": Correct(), "rounds": 3, "probe_data": PROBE, **words}
    return evolve(
        store=RunStore(str(path)), policy=Scripted(say), data=DATA, sampler=Independent(n=3, temperature=0.6),
        train=trained(seen), **given,
    )  # fmt: skip


def table(path, at, name):
    return RunStore(str(path), "evolve").table(at, name)


def test_the_temperature_is_tuned_kept_measured_and_read_again(tmp_path):
    schedule = Temperature(PassAtK(k=1), low=0.0, high=0.6, step=0.3)
    seen = []
    run(tmp_path, seen, schedule=schedule)
    rows = [table(tmp_path, r, "knobs")[0] for r in range(3)]
    assert [("tried/attempts" in row) for row in rows] == [True, False, True]
    for r in range(3):
        used = {t.sampling["temperature"] for t in table(tmp_path, r, "trajectories")}
        assert used == {rows[r]["temperature"]} == {table(tmp_path, r, "metrics")[0]["chosen/temperature"]}
    again = []
    run(tmp_path, again, schedule=schedule)
    assert again == seen and len(seen) == 3


def test_the_threshold_of_the_selector_is_set_too(tmp_path):
    schedule = Balance(
        wanted=1, rank_by="answer", low=0.6, high=0.6, low_threshold=-1.0, high_threshold=1.0, step_threshold=0.5
    )
    seen = []
    run(tmp_path, seen, schedule=schedule, selector=Above(rank_by="answer", above=-1.0), rounds=1)
    (row,) = table(tmp_path, 0, "knobs")
    assert row["selector.above"] == 0.0, "right answers have 1, wrong ones 0"
    verdicts = {c.trajectory_id: c.score for c in table(tmp_path, 0, "critiques")}
    assert {verdicts[e.source] for e in table(tmp_path, 0, "examples")} == {1.0}
    assert table(tmp_path, 0, "metrics")[0]["chosen/balance"] > 0


def test_probe_samples_that_are_trained_on_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 samples of the held-out set 'probe_data' are also trained on"):
        run(tmp_path, [], schedule=Temperature(PassAtK(k=1)), probe_data=[*PROBE, DATA[0]])


def test_a_threshold_that_keeps_nothing_stops_or_goes_on_as_set(tmp_path, capsys):
    strict = Above(rank_by="answer", above=2.0)
    with pytest.raises(NothingSelected, match="Above kept none of 18 trajectories"):
        run(tmp_path / "stop", [], selector=strict)
    seen = []
    with shown_on(Console()):
        run(tmp_path / "on", seen, selector=strict, when_empty="go on")
    assert seen == [] and capsys.readouterr().err.count("Above kept none of 18 trajectories") == 3
    assert [table(tmp_path / "on", r, "metrics")[0]["rows"] for r in range(3)] == [0, 0, 0]
