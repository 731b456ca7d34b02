"""`mmevolve eval` from the command line: figures printed, results kept, killed and gone on with, bad input refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmevolve import cli
from mmevolve.benchmarks import evaluate as engine
from mmevolve.config.check import check
from mmevolve.evaluation import benchmark
from mmevolve.models.scripted import Scripted
from mmevolve.statistics import minimum_detectable_effect
from mmevolve.store import RunStore

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from four import ROWS, SPEC, png, put_spec, write_rows

DATA = Path(os.environ.get("MMEVOLVE_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")


def says(text, seed, index):
    """Right on the animal, undecided on the colour, wrong on the rest."""
    return "dog" if "animal" in text else "either, who knows" if "colour" in text else f"answer : {seed % 7 + 10}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_spec(tmp_path)
    write_rows(tmp_path / "data" / "four" / "test.jsonl", ROWS)
    for name in ("a.png", "b.png"):
        (tmp_path / "data" / "four" / name).write_bytes(png())
    monkeypatch.setattr(engine, "_model", lambda name, settings: Scripted(says, name=f"{name}@base"))
    monkeypatch.setattr(engine, "_model_problems", lambda name: [])
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_score_stands_beside_everything_that_qualifies_it(folder, capsys):
    assert cli.main(["eval", "model", "--benchmark", "four"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Four Questions"
    assert out[1] == "  model@base; data: data/four/test.jsonl"
    assert out[2].startswith(
        "  accuracy          0.250   95 % interval 0.000 to 0.500   bounds 0.250 to 0.500   n 4 (2"
    )
    assert "  unparsed 25.0%, errors 0.0% of 4 responses; chance 0.250" in out
    assert "  licence CC0; version 1" in out
    kept = [json.loads(line) for line in (folder / "runs/eval/model/four/results.jsonl").read_text().splitlines()]
    assert [(row["id"], row["read"], row["outcome"]) for row in kept][::2] == [
        ("q1", "B", "correct"),
        ("q3", None, "unparsed"),
    ]
    said = json.loads((folder / "runs/eval/model/four/scores.json").read_text())
    assert (said["figures"]["accuracy"]["value"], said["unparsed"], said["subset"]) == (0.25, 0.25, None)


def test_a_subset_is_never_called_by_the_bare_name(folder, capsys):
    assert cli.main(["eval", "model", "--benchmark", "four", "--limit", "2", "--log", "log"]) == 0
    assert capsys.readouterr().out.startswith("Four Questions, subset: first 2 of 4\n")
    assert json.loads((folder / "log/results.json").read_text())["results"].keys() == {"four_subset"}


def test_scoring_again_needs_no_model_and_gives_the_same_bytes(folder, monkeypatch, capsys):
    assert cli.main(["eval", "model", "--benchmark", "four", "--n", "2", "--out", "first"]) == 0
    monkeypatch.setattr(engine, "_model", lambda name, settings: pytest.fail("the model was loaded"))
    again = ["eval", "model@base", "--benchmark", "four", "--answers", "first/four-n2/results.jsonl", "--n", "2"]
    assert cli.main([*again, "--out", "second"]) == 0
    for name in ("results.jsonl", "scores.json"):
        assert (folder / "first/four-n2" / name).read_bytes() == (folder / "second/four-n2" / name).read_bytes()
    assert cli.main(["eval", "first/four-n2", "--benchmark", "four"]) == 0  # the folder itself will do


def test_another_rule_scores_the_attempts_that_are_there(folder, monkeypatch, capsys):
    assert cli.main(["eval", "model", "--benchmark", "four"]) == 0
    put_spec(folder, SPEC.replace("extract: [stated, own]", "extract: [stated]"))
    deaf = Scripted(lambda *_: pytest.fail("a finished attempt was made again"), name="model@base")
    described = Scripted(says, name="model@base")
    monkeypatch.setattr(type(deaf), "describe", lambda self: {"name": self.name}, raising=False)
    monkeypatch.setattr(engine, "_model", lambda name, settings: described)
    assert cli.main(["eval", "model", "--benchmark", "four", "--out", "o"]) == 0
    monkeypatch.setattr(engine, "_model", lambda name, settings: deaf)
    assert cli.main(["eval", "model", "--benchmark", "four", "--out", "o"]) == 0
    assert "unparsed 50.0%" in capsys.readouterr().out


def test_neither_batch_nor_order_changes_a_byte(folder):
    for out, batch in (("one", "1"), ("many", "3")):
        assert cli.main(["eval", "m", "--benchmark", "four", "--n", "3", "--out", out, "--batch", batch]) == 0
    assert files(folder / "one") == files(folder / "many")


def test_all_faults_of_all_benchmarks_are_said_and_nothing_is_scored(folder, capsys):
    put_spec(folder, SPEC.replace("name: four", "name: five").replace("four/", "five/"), "five")
    write_rows(folder / "data" / "four" / "test.jsonl", [{**ROWS[0], "image": "gone.png"}, {**ROWS[1], "answer": []}])
    assert cli.main(["eval", "model", "--benchmark", "four,five,sxi", "--n", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and not (folder / "runs").exists()
    for said in (
        "--n is 0, expected at least 1",
        "four, 'data/four/test.jsonl': 2 problems, nothing was scored",
        "row 1: image 'gone.png': no such file",
        "row 2: answer is [], expected text or a number",
        "five: needs five/test.jsonl with its images below --data FOLDER",
        "no benchmark 'sxi': `mmevolve ls benchmarks` lists them",
    ):
        assert said in err
    assert "Traceback" not in err


def test_stored_answers_with_unknown_ids_are_refused_unless_partial(folder, capsys):
    write_rows(folder / "a.jsonl", [{"id": "q1", "response": "dog"}, {"id": "q7", "response": "x"}])
    assert cli.main(["eval", "a.jsonl", "--benchmark", "four"]) == 2
    err = capsys.readouterr().err
    assert "id 'q7' is no question of four" in err and "question 'q4' has no stored answer" in err
    assert cli.main(["eval", "a.jsonl", "--benchmark", "four", "--partial"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Four Questions, subset: 1 of 4 (those with stored answers)\n")
    assert "1 stored answers are to questions that the data do not have: left out" in out


def test_two_evaluations_are_compared_question_by_question(folder, capsys):
    old = [{"id": f"q{i}", "response": said} for i, said in enumerate(["cat", "3", "(A)", "oak"], start=1)]
    write_rows(folder / "old.jsonl", old)
    assert cli.main(["eval", "old.jsonl", "--benchmark", "four"]) == 0
    words = ["eval", "model", "--benchmark", "four", "--against"]
    assert cli.main([*words, "runs/eval/old/four"]) == 0
    out = capsys.readouterr().out
    # old is right on q2, q3 and q4, new on q1 alone
    assert (
        "  paired difference -0.500, 95 % interval -1.000 to +0.000, 4 responses of 4 paired: "
        "1 fixed, 3 broken, 0 kept right, 0 kept wrong" in out
    )
    assert "exact McNemar p 0.625" in out
    assert cli.main([*words, "nowhere"]) == 2
    assert "--against 'nowhere': no results.jsonl there" in capsys.readouterr().err
    write_rows(folder / "odd.jsonl", [{"id": "z", "index": 0, "outcome": "wrong"}])
    assert cli.main([*words, "odd.jsonl"]) == 2
    assert "none of its responses is to a question of four" in capsys.readouterr().err


def test_several_benchmarks_are_compared_at_once_and_their_p_values_corrected(folder, capsys):
    """1 fixed and 3 broken, p 0.625, on one; 1 and 1, p 1, on the other: twice the smaller is above 1."""
    put_spec(folder, SPEC.replace("name: four", "name: five"), "five")
    for name, said in (("four", ["cat", "3", "(A)", "oak"]), ("five", ["cat", "3", "who knows", "elm"])):
        rows = [{"id": f"q{i}", "response": text} for i, text in enumerate(said, start=1)]
        write_rows(folder / f"{name}.jsonl", rows)
        assert cli.main(["eval", f"{name}.jsonl", "--benchmark", name, "--out", "before"]) == 0
    capsys.readouterr()
    assert cli.main(["eval", "model", "--benchmark", "four,five", "--against", "before"]) == 0
    out = capsys.readouterr().out
    assert "exact McNemar p 0.625" in out and "1 fixed, 1 broken, " in out and "exact McNemar p 1" in out
    assert "p of the differences, corrected for 2 benchmarks (Holm): four 1, five 1" in out


def test_what_a_comparison_on_the_questions_could_find_is_said(folder, capsys):
    rows = [{**ROWS[1], "id": str(i), "image": f"{i}.png"} for i in range(100)]
    for row in rows:
        (folder / "data" / "four" / row["image"]).write_bytes(png())
    write_rows(folder / "data" / "four" / "test.jsonl", rows)
    assert cli.main(["eval", "model", "--benchmark", "four"]) == 0
    out = capsys.readouterr().out
    least = minimum_detectable_effect(100, discordant=0.3)
    assert f"a comparison on these questions finds a difference of {least:.3f} with 80 % power" in out


def test_the_log_has_lmms_evals_keys(folder):
    assert cli.main(["eval", "org/model", "--benchmark", "four", "--n", "2", "--log", "log"]) == 0
    results = json.loads((folder / "log/results.json").read_text())
    assert results["n-samples"] == {"four": {"original": 4, "effective": 4}}
    assert set(results["results"]["four"]) >= {"alias", "accuracy,none", "accuracy_stderr,none", "unparsed,none"}
    assert (results["model_name"], results["model_name_sanitized"]) == ("org/model@base", "org__model@base")
    rows = [json.loads(line) for line in (folder / "log/samples_four.jsonl").read_text().splitlines()]
    assert [row["doc_id"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["resps"] == [["dog", "dog"]] and rows[0]["filtered_resps"] == ["B", "B"] and rows[0]["acc"] == 1.0
    assert {"target", "input", "doc_hash"} <= set(rows[0])


def test_listing_says_which_benchmarks_run_here_and_what_the_others_need(folder, capsys):
    put_spec(folder, SPEC.replace("four/", "five/"), "five")
    put_spec(folder, "name: bad\n", "bad")
    assert cli.main(["ls", "benchmarks", "--data", "data"]) == 0
    out = capsys.readouterr().out
    runs, _, others = out.partition("data are not here")
    assert "  four              Four Questions, from data/four/test.jsonl\n" in runs
    assert (
        "  shapes            Embedded world (shapes), test split, from world shapes\n" in runs
    )  # shipped, beside these
    needs, _, broken = others.partition("broken specs:\n")
    five = " ".join(needs.partition("  five ")[2].split())
    assert five.startswith("Four Questions needs five/test.jsonl with its images below --data FOLDER; nothing more")
    assert "  bad               eval/benchmarks/bad.yaml:1:1: a benchmark needs 'title'" in broken
    assert all(len(line) <= 110 for line in needs.splitlines())


def test_ones_own_spec_goes_before_a_shipped_one_of_the_same_name(folder, capsys):
    put_spec(folder, SPEC.replace("name: four", "name: shapes").replace("Four Questions", "My Shapes"), "shapes")
    assert cli.main(["ls", "benchmarks"]) == 0
    out = capsys.readouterr().out
    assert "  shapes            My Shapes, from data/four/test.jsonl\n" in out and "Embedded world" not in out


def test_a_recipe_evaluates_a_benchmark_under_a_name_that_says_subset(folder):
    held = benchmark(path="eval/benchmarks/four.yaml", limit=3)
    numbers = held(Scripted(says), RunStore("run").stage("loop"), at="before")
    assert numbers["four_subset/accuracy"] == pytest.approx(1 / 3)
    assert numbers["four_subset/unparsed"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="limit is 0"):
        benchmark(path="four", limit=0)


def test_a_recipes_check_says_what_is_wrong_with_its_benchmark(folder):
    recipe = """\
store: {_target_: store.RunStore, path: runs/x}
policy: {_target_: models.TransformersVLM, name: org/model}
adam: {_target_: torch.optim.AdamW, _partial_: true, lr: 1.0e-3}
train: {_target_: training.Fit, loss: {_target_: losses.SFT}, optimizer: $adam}
held:
  - {_target_: evaluation.benchmark, path: fourr}
  - {_target_: evaluation.benchmark, path: four, data: nowhere}
  - {_target_: evaluation.benchmark, path: four}
loop: {_target_: loops.finetune, store: $store, policy: $policy, rows: [], train: $train, evaluations: $held}
"""
    (folder / "r.yaml").write_text(recipe)
    assert [f"{p.place.line}: {p.what}" for p in check("r.yaml")] == [
        "6: evaluation.benchmark: no benchmark 'fourr': the nearest is 'four'",
        "7: evaluation.benchmark: four: needs four/test.jsonl with its images below --data FOLDER; nothing more",
    ]


DRIVER = """\
import os, sys, time
from mmevolve import cli
from mmevolve.benchmarks import evaluate as engine
from mmevolve.models.scripted import Scripted

def says(text, seed, index):
    with open("drawn.txt", "a") as file:
        file.write(f"{seed}\\n")
    while os.environ.get("STOP_AT") == str(len(open("drawn.txt").readlines())):
        time.sleep(0.05)
    return f"answer : {seed % 5}"

engine._model = lambda name, settings: Scripted(says)
engine._model_problems = lambda name: []
Scripted.describe = lambda self: {"name": self.name}
out = sys.argv[1]
sys.exit(cli.main(["eval", "model", "--benchmark", "four", "--n", "3", "--out", out, "--log", out + "/log"]))
"""


def drive(folder: Path, out: str, stop_at: int = 0) -> subprocess.Popen:
    environment = {**os.environ, "STOP_AT": str(stop_at)}
    command = [sys.executable, "driver.py", out]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def drawn(folder: Path) -> list[str]:
    path = folder / "drawn.txt"
    return path.read_text().split() if path.exists() else []


def test_killed_anywhere_it_ends_with_the_same_bytes_and_no_attempt_is_made_twice(folder):
    (folder / "driver.py").write_text(DRIVER)
    whole = drive(folder, "whole")
    said = whole.communicate(timeout=120)[0]
    assert whole.returncode == 0, said
    asked = drawn(folder)
    assert len(asked) == len(set(asked)) == 12
    (folder / "drawn.txt").unlink()
    for stop_at in (2, 9):  # in the middle of a question's three attempts
        process = drive(folder, "killed", stop_at)
        deadline = time.monotonic() + 120
        while len(drawn(folder)) < stop_at:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(list((folder / "killed/four-n3/attempts.parts").glob("*.parquet"))) == stop_at - 1 - (stop_at > 2)
    last = drive(folder, "killed")
    assert last.communicate(timeout=120)[0] is not None and last.returncode == 0
    assert files(folder / "killed") == files(folder / "whole")
    twice = [seed for seed in set(drawn(folder)) if drawn(folder).count(seed) > 1]
    assert len(drawn(folder)) == 14 and len(twice) == 2  # those that were in flight when it was killed, and no other


@needs_data
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "total", "tolerance"),
    [
        ("m3cot", "m3cot/llava-7b_direct.jsonl.gz", 0.36583, 0.0005),
        ("mmmu_pro", "mmmu_pro/gpt-4o_standard10_options_cot.jsonl.gz", 0.55029, 0.002),
    ],
)
def test_published_answers_score_what_was_published(folder, name, file, total, tolerance):
    beside = Path(__file__).parents[1] / "eval" / "benchmarks" / f"{name}.yaml"
    words = ["--data", str(DATA), "--out", "out"]
    assert cli.main(["eval", str(DATA / "goldens" / file), "--benchmark", str(beside), *words]) == 0
    (scores,) = (folder / "out").glob("*/scores.json")
    assert json.loads(scores.read_text())["figures"]["accuracy"]["value"] == pytest.approx(total, abs=tolerance)
