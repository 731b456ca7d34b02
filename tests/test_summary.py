import json

import pytest
from report.fake_run import fake_run

from mmevolve.finale import closing_lines
from mmevolve.report.folder import open_run
from mmevolve.report.page import page
from mmevolve.statistics import paired_interval
from mmevolve.store import RunStore
from mmevolve.summary import summarise, write_summary
from mmevolve.types import Critique, Step, Trajectory

LOOPS = ["warm_up", "step_reward", "evolve"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run(tmp_path_factory.mktemp("run"), warm_up=True, finished=False)


@pytest.fixture(scope="module")
def summary(run):
    return summarise(run, LOOPS, seconds=61.5, peak_rss_bytes=2_000_000_000)


def test_accuracy_and_gain_are_those_that_were_counted_by_hand(summary):
    # right of 12: 0 3 6 9 before; 3 6 9 and 1 4 7 10 at the end
    assert summary["accuracy_before"] == pytest.approx(4 / 12)
    assert summary["accuracy_after"] == pytest.approx(7 / 12)
    before = [float(i % 3 == 0) for i in range(12)]
    after = [float(i in (1, 3, 4, 6, 7, 9, 10)) for i in range(12)]
    gain = paired_interval(before, after)
    assert (summary["gain"], summary["gain_low"], summary["gain_high"]) == (gain.mean, gain.low, gain.high)
    assert summary["gain"] == pytest.approx(3 / 12)
    assert (summary["n_questions"], summary["seconds"], summary["peak_rss_bytes"]) == (12, 61.5, 2_000_000_000)


def test_measured_points_come_in_the_order_of_the_loops(summary):
    assert [(r["loop"], r["round"]) for r in summary["rounds"]] == [
        ("warm_up", "before"), ("warm_up", 0), ("step_reward", 0), ("evolve", "before"), ("evolve", 0), ("evolve", 1),
    ]  # fmt: skip
    last = summary["rounds"][-1]
    assert last["accuracy"] == pytest.approx(7 / 12) and last["pass@1"] == pytest.approx(7 / 12 - 0.05)
    assert last["pass@8"] == pytest.approx(0.72) and last["right_answer_wrong_step"] == pytest.approx(0.10)
    assert last["rows"] == 15 and summary["rounds"][0]["rows"] == 0
    assert last["held_out/accuracy_unparsed"] == 0.0


def test_a_loop_without_evaluations_is_listed_with_what_it_has(summary):
    reward = summary["rounds"][2]
    assert reward["rows"] == 48 and reward["step_auroc_prm"] == 0.8125
    assert reward["accuracy"] is None and reward["step_auroc_odd"] is None  # not a number is not a number


def test_a_round_that_a_monitor_undid_is_shown_and_does_not_count(tmp_path):
    run = fake_run(tmp_path, warm_up=True, finished=False)
    whole = summarise(run, LOOPS, seconds=1.0, peak_rss_bytes=1)
    alarm = {"monitor": "collapse", "action": "roll back", "why": "shorter", "to": 0}
    RunStore(run).stage("evolve").once(1, "monitors", list, [alarm])
    summary = summarise(run, LOOPS, seconds=1.0, peak_rss_bytes=1)
    assert [r.get("undone") for r in summary["rounds"]] == [None] * 5 + [True]
    assert summary["accuracy_after"] == whole["rounds"][-2]["accuracy"] != whole["accuracy_after"]
    assert summary["gain"] == pytest.approx(summary["accuracy_after"] - summary["accuracy_before"])
    assert "evolve round 1, undone" in "\n".join(closing_lines(summary, run=run))
    assert "evolve round 1, undone" in page(open_run(run))


def test_a_run_measured_once_has_no_gain(tmp_path):
    run = fake_run(tmp_path, rounds=0)
    summary = summarise(run, ["evolve"], seconds=1.0, peak_rss_bytes=1)
    assert summary["accuracy_before"] == summary["accuracy_after"] == pytest.approx(4 / 12)
    assert summary["gain"] is None and summary["n_questions"] == 0


def test_a_run_without_evaluations_is_summed_up_without_numbers(tmp_path):
    store = RunStore(str(tmp_path), "evolve")
    store.write(store.round_folder(0) / "metrics.parquet", [{"rows": 7}])
    summary = summarise(str(tmp_path), ["evolve", "never_begun"], seconds=1.0, peak_rss_bytes=1)
    assert summary["accuracy_before"] is None and summary["gain_low"] is None
    assert [r["rows"] for r in summary["rounds"]] == [7]


def test_the_file_is_plain_json_and_leaves_nothing_beside_it(run, summary):
    file = write_summary(run, summary)
    assert json.loads(file.read_text()) == summary
    assert file.name == "summary.json" and not list(file.parent.glob("*.tmp"))
    assert "NaN" not in file.read_text()


def test_a_run_that_is_measured_by_benchmarks_has_the_gain_of_each(tmp_path):
    """Two questions of one are mended of three, one of the other is broken of two."""
    right = {
        "nlvr1": {"before": (0, 0, 1), 0: (1, 1, 1)},
        "shapes": {"before": (1, 0), 0: (0, 0)},
    }
    store = RunStore(str(tmp_path), "evolve")
    for at in ("before", 0):
        row = {}
        for name, points in right.items():
            scores = points[at]
            row |= {f"{name}/accuracy": sum(scores) / len(scores), f"{name}/accuracy/low": 0.0}
            row |= {f"{name}/accuracy, kind x": 0.5, f"{name}/accuracy, kind x/low": 0.1}
            attempts = [Trajectory(f"{i}/0/0", str(i), "m", (Step("a"),)) for i in range(len(scores))]
            said = [Critique(t.id, "answer", float(score)) for t, score in zip(attempts, scores, strict=True)]
            store.write(store.round_folder(at) / f"{name}_trajectories.parquet", attempts)
            store.write(store.round_folder(at) / f"{name}_critiques.parquet", said)
        store.write(store.round_folder(at) / "metrics.parquet", [row])
    summary = summarise(str(tmp_path), ["evolve"], seconds=1.0, peak_rss_bytes=1)
    assert summary["evaluation"] == "nlvr1" and list(summary["benchmarks"]) == ["shapes"]
    assert (summary["accuracy_before"], summary["accuracy_after"]) == (pytest.approx(1 / 3), 1.0)
    assert (summary["gain"], summary["n_questions"]) == (pytest.approx(2 / 3), 3)
    other = summary["benchmarks"]["shapes"]
    assert (other["accuracy_before"], other["accuracy_after"], other["gain"], other["n_questions"]) == (
        0.5,
        0.0,
        -0.5,
        2,
    )
    assert summary["rounds"][1]["accuracy"] == 1.0
