from mmevolve.report.alarms import alarms
from mmevolve.report.folder import open_run
from mmevolve.report.page import page
from mmevolve.store import RunStore

WHY = "collapse: 'x' rose from 0.1 (round 0) to 0.9: <b>"


def told(path, *rows):
    store = RunStore(str(path), "evolve")
    store.write(store.round_folder(0) / "monitors.parquet", [])
    store.write(store.round_folder(1) / "monitors.parquet", rows)
    return open_run(str(path))


def test_what_was_seen_and_done_is_told_and_escaped(tmp_path):
    folder = told(
        tmp_path,
        {"monitor": "collapse", "action": "roll back", "why": WHY, "to": 0},
        {"monitor": "honesty", "action": "warn", "why": "w", "to": 0},
        {"monitor": "honesty", "action": "pause", "why": "p", "to": -1},
    )
    text = alarms(folder)
    assert "evolve round 1" in text and "to 0.9: &lt;b&gt;" in text and "<b>" not in text
    assert "put the learner back to that of round 0" in text and "does not count" in text
    assert "said so" in text and "stopped the run until its command was given again" in text
    assert "What the monitors said" in page(folder)


def test_a_roll_back_to_the_start_and_silence(tmp_path):
    said = alarms(told(tmp_path / "a", {"monitor": "collapse", "action": "roll back", "why": WHY, "to": -1}))
    assert "put the learner back to what it was before the first round" in said
    assert "none sounded" in alarms(told(tmp_path / "b"))
    RunStore(str(tmp_path / "c"), "evolve").write(tmp_path / "c" / "evolve" / "round=000" / "samples.parquet", [])
    assert alarms(open_run(str(tmp_path / "c"))) == ""
