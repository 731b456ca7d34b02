import sys

import pytest
from report.fake_run import fake_run

from mmevolve.browse import show, status
from mmevolve.store import RunStore


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run(tmp_path_factory.mktemp("run"))


def test_status_lists_what_is_there_and_where_to_look(run, capsys):
    assert status(run) == 0
    out = capsys.readouterr().out
    assert "finished" in out.splitlines()[0] and "not finished" not in out
    assert "12 questions, 48 attempts, 144 critiques, 15 training rows, trained, measured (held_out)" in out
    assert f"mmevolve report {run}" in out and f"mmevolve show {run}" in out


def test_status_of_a_stopped_run_says_what_was_under_way_and_how_to_go_on(tmp_path, capsys):
    run = fake_run(tmp_path, rounds=1, finished=False)
    store = RunStore(run, "evolve")
    rows = store.table(0, "trajectories")
    store.write(store.round_folder(1) / "trajectories.parts/000000.parquet", rows[:5])
    assert status(run) == 0
    out = capsys.readouterr().out
    assert "not finished" in out and "evolve round 1" in out and "trajectories under way, 5 rows so far" in out
    assert "go on with mmevolve run recipes/quickstart.yaml" in out


def test_show_prints_questions_steps_and_marks_without_colours_in_a_pipe(run, capsys):
    assert show(run) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines() if run not in line) <= 100
    assert "Fixed by training" in out and "reference answer:" in out and "[trained on]" in out
    assert "prm 0.20  oracle ✗" in out and "misreads the picture" in out


def test_show_colours_a_terminal_and_lets_no_model_text_through(run, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert show(run) == 0
    out = capsys.readouterr().out
    assert "\x1b[32m" in out and "\x1b[31mred" not in out


def test_show_of_fewer_groups(run, capsys):
    assert show(run, n=1) == 0
    assert capsys.readouterr().out.count("reference answer:") == 1


def test_show_of_one_sample_prints_every_attempt(run, capsys):
    assert show(run, "shapes-train-0-000001") == 0
    out = capsys.readouterr().out
    assert out.count("attempt ") == 4 and "evolve round 0" in out


def test_an_unknown_sample_is_answered_with_the_nearest(run, capsys):
    assert show(run, "shapes-train-0-00001") == 2
    assert "the nearest sample is 'shapes-train-0-0000" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [status, show])
def test_a_folder_that_is_no_run_is_answered_with_one_sentence(verb, tmp_path, capsys):
    assert verb(str(tmp_path)) == 2
    assert verb(str(tmp_path / "nowhere")) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and len(shown.err.splitlines()) == 2
    assert "is not a run folder" in shown.err and "does not exist" in shown.err


def test_a_run_that_has_only_begun_has_nothing_to_show(tmp_path, capsys):
    (tmp_path / "evolve/before").mkdir(parents=True)
    assert show(str(tmp_path)) == 0 and status(str(tmp_path)) == 0
    assert "nothing to show" in capsys.readouterr().out
