"""A loop under monitors: what they did is kept, obeyed, and done again by a resume; and rounds, passes and steps."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import pytest

from mmevolve import ranks
from mmevolve.console import Console, shown_on
from mmevolve.critics.answer import AnswerMatch
from mmevolve.loops import count_rounds, evolve, share
from mmevolve.metrics.accuracy import PassAtK
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.independent import Independent
from mmevolve.schedules.temperature import Temperature
from mmevolve.schedules.watch import Watch
from mmevolve.selectors.correct import Correct
from mmevolve.store import RunStore
from mmevolve.types import Sample
from mmevolve.watched import Paused, Watched, undone

DATA = [Sample(f"train{i}", f"{i} ?", answer="1") for i in range(12)]
PROBE = [Sample(f"probe{i}", f"{i} !", answer="1") for i in range(40)]


def say(said, seed, index):
    return f"{index} = {index}\nanswer : {(seed + index) % 3}"


class Learner:
    """Weights are the rounds that it learned from; its optimizer's moments too."""

    def __init__(self):
        self.policy, self.weights, self.moments, self.version, self.home = Scripted(say), (), (), "base", ()
        self.generate, self.asked = self.draw, []

    @property
    def name(self):
        return f"learner@{self.version}"

    def draw(self, chats, **words):
        self.asked.append(words["temperature"])
        return self.policy.generate(chats, **words)

    def describe(self):
        return {"weights": list(self.weights)}

    def mark_home(self):
        self.home = self.weights

    def go_home(self):
        self.weights = self.home

    def load(self, folder, version):
        self.weights = tuple(map(int, (folder / "weights").read_text().split()))
        self.version = version


@dataclass(frozen=True)
class Train:
    """Adds the round to the weights, and to the moments that the newest checkpoint has."""

    steps: int | None = None

    def __call__(self, learner, examples, store, *, round):
        folder = store.checkpoint(round)
        if not folder.exists():
            before = next((f for r in reversed(range(round)) if (f := store.checkpoint(r)).exists()), None)
            moments = (before / "moments").read_text() if before else ""
            folder.mkdir(parents=True)
            (folder / "weights").write_text(" ".join(map(str, (*learner.weights, round))))
            (folder / "moments").write_text(f"{moments} {round}x{self.steps}")
        learner.load(folder, f"evolve/round={round:03d}")
        return learner


@dataclass(frozen=True)
class Numbers:
    """A number a point, as given: before, round 0, round 1, ..."""

    values: tuple[float, ...]
    name: str = "held"
    data: tuple[Sample, ...] = ()

    def __call__(self, policy, store, *, at):
        return {"held/x": self.values[0 if at == "before" else at + 1]}


def run(path, learner, *, values=(0.5,) * 9, **words):
    given = {
        "critics": [AnswerMatch()], "selector": Correct(), "train": Train(), "evaluations": [Numbers(values)], **words,
    }  # fmt: skip
    if "passes" not in given:
        given.setdefault("rounds", 4)
    return evolve(
        store=RunStore(str(path)), policy=learner, data=DATA, sampler=Independent(n=3, temperature=0.6), **given
    )


def table(path, at, name):
    return RunStore(str(path), "evolve").table(at, name)


def files(path):
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


FALLS = (0.5, 0.6, 0.3, 0.7, 0.7)


def test_a_warning_is_kept_and_changes_nothing_else(tmp_path, capsys):
    watch = Watch("held/x", "exploration", fall=0.1)
    with shown_on(Console()):
        run(tmp_path / "a", Learner(), values=FALLS, monitors=[watch])
    run(tmp_path / "b", Learner(), values=FALLS)
    assert [len(table(tmp_path / "a", r, "monitors")) for r in range(4)] == [0, 1, 0, 0]
    (row,) = table(tmp_path / "a", 1, "monitors")
    assert (row["monitor"], row["action"]) == ("exploration", "warn")
    assert "!! evolve round 1, warn: exploration: 'held/x' fell from 0.6" in capsys.readouterr().err
    with_, without = files(tmp_path / "a"), files(tmp_path / "b")
    assert {k: v for k, v in with_.items() if "monitors" not in k} == without


def test_a_pause_lasts_until_the_command_is_given_again(tmp_path):
    watch = Watch("held/x", "exploration", fall=0.1, then="pause")
    with pytest.raises(Paused, match=r"evolve, round 1: paused by a monitor\. exploration: 'held/x' fell from 0\.6"):
        run(tmp_path / "a", Learner(), values=FALLS, monitors=[watch])
    assert not (tmp_path / "a" / "evolve" / "round=002").exists()
    learner = run(tmp_path / "a", Learner(), values=FALLS, monitors=[watch])
    assert learner.weights == (0, 1, 2, 3)


def test_a_kill_between_the_alarm_and_the_stop_does_not_lose_the_pause(tmp_path, monkeypatch):
    watch = Watch("held/x", "exploration", fall=0.1, then="pause")
    words = {"values": FALLS, "monitors": [watch]}
    with monkeypatch.context() as patch:
        patch.setattr(Watched, "pause", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, Learner(), **words)
    assert len(table(tmp_path, 1, "monitors")) == 1
    with pytest.raises(Paused, match="round 1: paused by a monitor"):
        run(tmp_path, Learner(), **words)
    assert run(tmp_path, Learner(), **words).weights == (0, 1, 2, 3)
    assert "fell from 0.6" in table(tmp_path, 1, "resumed")[0]["why"]


def test_a_finished_run_that_was_paused_before_pauses_were_kept_is_not_paused_again(tmp_path):
    watch = Watch("held/x", "exploration", fall=0.1, then="pause")
    with pytest.raises(Paused):
        run(tmp_path, Learner(), values=FALLS, monitors=[watch])
    run(tmp_path, Learner(), values=FALLS, monitors=[watch])
    for name in ("paused", "resumed"):
        (tmp_path / "evolve" / "round=001" / f"{name}.parquet").unlink()
    assert run(tmp_path, Learner(), values=FALLS, monitors=[watch]).weights == (0, 1, 2, 3)


@pytest.mark.parametrize("resumes", [True, False])
def test_a_process_that_helps_does_as_the_first_one_whatever_the_clock_says(tmp_path, monkeypatch, resumes):
    """It waits for the table that says the command came again, or for the first process to be gone."""
    watched = Watched(RunStore(str(tmp_path), "evolve"), Learner())
    monkeypatch.setenv("LOCAL_RANK", "1")
    if resumes:
        path = tmp_path / "evolve" / "round=000" / "resumed.parquet"
        RunStore(str(tmp_path)).write(path, [{"why": "x"}])
        os.utime(path, (4e9, 4e9))
        assert watched.pause(["x"], 0) is None
    else:
        parents = iter([1, 2])
        monkeypatch.setattr(ranks.os, "getppid", lambda: next(parents))
        with pytest.raises(Paused):
            watched.pause(["x"], 0)


def test_a_roll_back_takes_weights_and_optimizer_back_and_a_resume_does_the_same(tmp_path):
    watch = Watch("held/x", "exploration", fall=0.1, then="roll back")
    learner = run(tmp_path / "a", Learner(), values=FALLS, monitors=[watch])
    assert learner.weights == (0, 2, 3), "round 1 is undone"
    moments = (tmp_path / "a" / "evolve" / "round=003" / "checkpoint" / "moments").read_text()
    assert moments == " 0xNone 2xNone 3xNone"
    assert undone(RunStore(str(tmp_path / "a"), "evolve")) == (1,)
    before = files(tmp_path / "a")
    again = Learner()
    assert run(tmp_path / "a", again, values=FALLS, monitors=[watch]).weights == (0, 2, 3)
    assert files(tmp_path / "a") == before and again.asked == []


def test_a_roll_back_in_the_first_round_goes_home(tmp_path):
    watch = Watch("held/x", "exploration", fall=0.1, then="roll back")
    learner = run(tmp_path, Learner(), values=(0.5, 0.1), rounds=1, monitors=[watch])
    assert learner.weights == () and learner.version == "base"


def test_rounds_that_were_undone_do_not_count_for_what_is_best(tmp_path):
    """Round 1 rises too far, is undone, and round 2 is compared with .5, not with .9."""
    watch = Watch("held/x", "collapse", rise=0.3, then="roll back")
    fall = Watch("held/x", "exploration", fall=0.3, then="roll back")
    learner = run(tmp_path, Learner(), values=(0.5, 0.5, 0.9, 0.5, 0.5), monitors=[watch, fall])
    assert learner.weights == (0, 2, 3)


def test_other_monitors_on_a_finished_round_are_refused_by_name(tmp_path):
    run(tmp_path, Learner(), monitors=[Watch("held/x", "exploration", fall=0.1)])
    with pytest.raises(RuntimeError, match=r"monitors.*made with other settings: 'monitors\[0\]\.fall' was 0\.1"):
        run(tmp_path, Learner(), monitors=[Watch("held/x", "exploration", fall=0.2)])


class Dies(Learner):
    """Killed when it is asked at this temperature."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def draw(self, chats, **words):
        if words["temperature"] == self.at:
            raise KeyboardInterrupt
        return super().draw(chats, **words)


def test_a_kill_while_settings_are_tried_costs_at_most_the_unit_in_flight(tmp_path):
    words = {
        "schedule": Temperature(PassAtK(k=1), low=0.1, high=0.5, step=0.2), "probe_data": PROBE, "rounds": 1,
    }  # fmt: skip
    run(tmp_path / "whole", Learner(), **words)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", Dies(0.5), **words)
    kept = sorted(f.name for f in (tmp_path / "cut" / "evolve" / "round=000" / "knobs.parts").glob("*.parquet"))
    assert kept == [f"temperature={t}_{what}.parquet" for t in (0.1, 0.3) for what in ("critiques", "trajectories")]
    again = Learner()
    run(tmp_path / "cut", again, **words)
    tried = [t for t in again.asked if t != table(tmp_path / "cut", 0, "knobs")[0]["temperature"]]
    assert set(tried) <= {0.5}, "what was tried before is read"
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert not list((tmp_path / "cut").rglob("*.parts"))


def test_every_interval_sees_the_same_questions_and_takes_the_same_steps(tmp_path):
    for fraction in (1.0, 0.5, 0.25):
        folder = tmp_path / str(fraction)
        run(folder, Learner(), passes=1, steps=10, fraction=fraction)
        rounds = round(1 / fraction)
        seen = [s.id for r in range(rounds) for s in table(folder, r, "samples")]
        assert sorted(seen) == sorted(s.id for s in DATA)
        last = folder / "evolve" / f"round={rounds - 1:03d}" / "checkpoint" / "moments"
        assert sum(map(int, re.findall(r"x(\d+)", last.read_text()))) == 10


def test_passes_and_steps_are_the_same_as_rounds_and_steps_a_round(tmp_path):
    run(tmp_path / "a", Learner(), passes=1, steps=12, fraction=0.25)
    run(tmp_path / "b", Learner(), rounds=4, train=Train(steps=3), fraction=0.25)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_rounds_are_counted_and_steps_shared_out():
    assert [count_rounds(None, 1, f) for f in (1.0, 0.5, 0.3333333, 0.125)] == [1, 2, 3, 8]
    assert count_rounds(7, None, 0.3) == 7 and count_rounds(None, 1.5, 0.5) == 3
    assert [share(180, 8, r) for r in range(8)] == [22, 23, 22, 23, 22, 23, 22, 23]
    for rounds, passes, fraction, said in [
        (None, None, 1.0, "needs `rounds` or `passes`"),
        (2, 1.0, 0.5, "got rounds 2 and passes 1.0, expected one"),
        (None, 1.0, 0.3, r"1 passes of 0\.3 of the samples a round are 3\.333 rounds, expected a whole number"),
    ]:
        with pytest.raises(ValueError, match=said):
            count_rounds(rounds, passes, fraction)
    with pytest.raises(ValueError, match="3 gradient steps for 4 rounds"):
        share(3, 4, 0)


class Student(Learner):
    """Starts from a policy's weights where it is told to."""

    def start_from(self, policy):
        self.weights = (*policy.weights, -1)


@pytest.mark.parametrize(("source", "begins"), [("policy", (5, -1)), ("itself", (7,))])
def test_a_student_starts_from_the_policy_or_goes_on_from_itself(tmp_path, source, begins):
    policy, student = Learner(), Student()
    policy.weights, student.weights = (5,), (7,)
    assert run(tmp_path, policy, student=student, student_from=source, rounds=2) is student
    assert (student.weights, student.home) == ((*begins, 0, 1), begins)
    assert policy.weights == (5,)


def test_a_student_that_cannot_take_over_weights_is_named(tmp_path):
    with pytest.raises(ValueError, match="a Learner cannot start from the policy's weights; expected a student"):
        run(tmp_path, Learner(), student=Learner())


def test_where_a_student_starts_from_needs_a_student(tmp_path):
    with pytest.raises(ValueError, match="student_from is 'itself' and no student is given"):
        run(tmp_path, Learner(), student_from="itself")
