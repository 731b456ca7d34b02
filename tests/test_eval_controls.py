"""`mmevolve eval` with controls, an overlap check and a page: asked once, kept, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmevolve import cli
from mmevolve.benchmarks import evaluate as engine
from mmevolve.models.scripted import Scripted

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from four import ROWS, SPEC, png, put_spec, write_rows

RIGHT = {"Which animal?": "dog", "How many?": "3", "Which colour?": "red", "What word?": "oak"}

OVER = ["model", "--benchmark", "four", "--overlap", "t.jsonl"]


class Looking(Scripted):
    """Right with a picture beside the question, undecided without."""

    def generate(self, chats, **words):
        return [[self.reply(chat)] for chat in chats]

    def reply(self, chat):
        parts = chat[0]["content"]
        text = next(part["text"] for part in parts if part["type"] == "text")
        seen = any(part["type"] == "image" for part in parts)
        said = (
            f"answer : {RIGHT.get(text.splitlines()[0], 'elm')}"
            if seen
            else "I am sorry, but I cannot see the image that you speak of."
        )
        return self._reply(said, 100, ())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_spec(tmp_path)
    write_rows(tmp_path / "data" / "four" / "test.jsonl", ROWS)
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        (tmp_path / "data" / "four" / name).write_bytes(png(colour))
    monkeypatch.setattr(engine, "_model", lambda name, settings: Looking({}, name=f"{name}@base"))
    monkeypatch.setattr(engine, "_model_problems", lambda name: [])
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_controls_are_asked_beside_the_benchmark_and_stand_on_its_card(folder, capsys):
    assert cli.main(["eval", "model", "--benchmark", "four", "--control", "blind,swapped,circular", "--out", "o"]) == 0
    out = capsys.readouterr().out
    assert "  control blind: right without any image; 4 responses to changed questions" in out
    gain = next(line for line in out.splitlines() if "accuracy/gain" in line)
    # every resample is the same: of two pictures, Wilson's 0.658 may be otherwise, and then the other way round
    assert gain.split() == ["accuracy/gain", "1.000", "95", "%", "interval", "-0.315", "to", "1.000"]
    kept = folder / "o" / "four"
    assert [row["outcome"] for row in rows(kept / "blind" / "results.jsonl")] == ["unparsed"] * 4
    assert [row["id"] for row in rows(kept / "circular" / "results.jsonl")] == ["q1@circular1", "q3@circular1"]
    numbers = json.loads((kept / "blind" / "scores.json").read_text())["numbers"]
    assert (numbers["blind/accuracy/seeing"], numbers["blind/accuracy/blind"]) == (1.0, 0.0)
    assert numbers["blind/declined/variant"] == 1.0 and numbers["blind/accuracy/leakage"] is None
    circular = json.loads((kept / "circular" / "scores.json").read_text())["numbers"]
    assert (circular["circular/all/circular"], circular["circular/flips/rate"]) == (1.0, 0.0)
    page = (folder / "o" / "report.html").read_text()
    assert "blind: nothing read" in page and "circular1: A" in page


def test_other_words_and_the_layers_stand_on_the_card_and_what_a_model_cannot_show_is_said(folder, capsys):
    words = ["eval", "model", "--benchmark", "four", "--control", "prompts,consistency", "--out", "o"]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "  control prompts: answers kept when the question is put in other words; 16 responses" in out
    assert "the wording is not shown to matter" in out
    assert "the latent layer is left out: model@base gives no hidden states; a model that is loaded here would" in out
    prompts = json.loads((folder / "o/four/prompts/scores.json").read_text())["numbers"]
    assert {name: v for name, v in prompts.items() if name.startswith("prompts/wording/accuracy/")}.keys() == {
        f"prompts/wording/accuracy/{name}{end}"
        for name in ("own", "polite", "labelled", "first", "dotted")
        for end in ("", "_low", "_high")
    }
    assert prompts["prompts/wording/spread"] == 1.0  # Looking knows questions by the first line
    kept = json.loads((folder / "o/four/consistency/scores.json").read_text())
    assert kept["responses"] == 20 and kept["numbers"]["consistency/response/mean"] == 0.0
    assert kept["notes"] and "consistency/decoding/mean" in kept["numbers"]
    before = files(folder / "o")
    assert cli.main(words) == 0 and files(folder / "o") == before


def test_a_control_leaves_the_benchmarks_own_results_as_they_are(folder):
    assert cli.main(["eval", "m", "--benchmark", "four", "--out", "plain"]) == 0
    assert cli.main(["eval", "m", "--benchmark", "four", "--out", "more", "--control", "grey"]) == 0
    for name in ("results.jsonl", "scores.json", "attempts.parquet"):
        assert (folder / "plain/four" / name).read_bytes() == (folder / "more/four" / name).read_bytes()


def test_what_cannot_be_asked_is_refused_before_anything_is(folder, capsys, monkeypatch):
    monkeypatch.setattr(engine, "_model", lambda name, settings: pytest.fail("the model was loaded"))
    put_spec(folder, SPEC.replace("name: four", "name: five\nshow_choices: false"), "five")
    write_rows(folder / "a.jsonl", [{"id": f"q{i}", "response": "x"} for i in range(1, 5)])
    write_rows(folder / "t.jsonl", [{"question": "Else?"}])
    for words, said in (
        (
            ["model", "--benchmark", "four,five", "--control", "circular"],
            "--control circular, five: its questions hold",
        ),
        (["model", "--benchmark", "four", "--control", "blnd"], "--control: no control 'blnd': the nearest is 'blind'"),
        (["a.jsonl", "--benchmark", "four", "--control", "blind"], "--control asks the model changed questions"),
        (["model", "--benchmark", "four", "--overlap", "gone.jsonl"], "gone.jsonl"),
        (["model", "--benchmark", "four", "--html", "data"], "--html 'data' is a folder, expected a file"),
        (
            ["model", "--benchmark", "four", "--embedder", "x"],
            "--embedder is about --overlap TABLE",
        ),
        ([*OVER, "--refuse", "byte"], "--refuse: no kind of overlap 'byte': the nearest is 'bytes'"),
        ([*OVER, "--refuse", "embedding"], "--refuse embedding needs --embedder MODEL"),
        ([*OVER, "--cosine", "2"], "--cosine is 2.0, expected a number above 0, at most 1"),
        ([*OVER, "--embedder", "mmevolve:tiny_clp"], "--embedder 'mmevolve:tiny_clp': there is no CLIP folder"),
    ):
        assert cli.main(["eval", *words]) == 2
        err = capsys.readouterr().err
        assert said in err and "Traceback" not in err
    assert not (folder / "runs").exists()


def test_the_page_of_a_comparison_shows_both_responses_and_what_changed(folder, capsys):
    old = [{"id": f"q{i}", "response": said} for i, said in enumerate(["the cat", "answer : 3", "(A)", "elm"], start=1)]
    write_rows(folder / "old.jsonl", old)
    assert cli.main(["eval", "old.jsonl", "--benchmark", "four", "--out", "old"]) == 0
    words = ["eval", "model", "--benchmark", "four", "--against", "old/four", "--html", "new/page.html"]
    assert cli.main(words) == 0
    assert "  page: new/page.html" in capsys.readouterr().out
    page = (folder / "new" / "page.html").read_text()
    assert page.count('data-change="[&quot;fixed&quot;]"') == 2 and page.count("kept right</span>") == 2
    assert "the <mark>cat</mark>" in page and "answer : <mark>dog</mark>" in page
    assert page.count('src="data:image/png;base64,') == 4
    assert "paired difference +0.500" in page


def test_stored_answers_have_their_pictures_on_the_page_where_these_are_here(folder):
    write_rows(folder / "a.jsonl", [{"id": f"q{i}", "response": "x"} for i in range(1, 5)])
    assert cli.main(["eval", "a.jsonl", "--benchmark", "four", "--out", "o"]) == 0
    assert (folder / "o/report.html").read_text().count("<img ") == 4
    (folder / "data/four/a.png").unlink()
    assert cli.main(["eval", "a.jsonl", "--benchmark", "four", "--out", "o"]) == 0
    assert (folder / "o/report.html").read_text().count("<img ") == 0


def test_a_benchmark_that_is_trained_on_is_not_scored_and_near_words_are_only_said(folder, capsys):
    (folder / "t.png").write_bytes(png("blue"))
    words = ["eval", "model", "--benchmark", "four", "--out", "o", "--overlap"]
    write_rows(folder / "words.jsonl", [{"id": "t", "question": "How many?"}])
    assert cli.main([*words, "words.jsonl"]) == 0
    out = capsys.readouterr().out
    assert "  overlap with 1 training samples of words.jsonl" in out
    assert "    question: 1 of 4 held-out samples, 0 refused, most 'q2' with 't' (1.00)" in out
    assert json.loads((folder / "o/four/overlap.json").read_text())["counts"]["question"] == 1
    scored = (folder / "o/four/results.jsonl").stat().st_mtime_ns
    write_rows(folder / "same.jsonl", [{"id": "t", "question": "Else?", "image": "t.png"}])
    assert cli.main([*words, "same.jsonl"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("--overlap: 2 samples of four are also trained on (2 by bytes, 2 by pixels), 'q3' with 't'")
    assert json.loads((folder / "o/four/overlap.json").read_text())["counts"]["bytes"] == 2
    assert (folder / "o/four/results.jsonl").stat().st_mtime_ns == scored and "accuracy" not in out


DRIVER = """\
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_eval_controls as own
own.engine._model = lambda name, settings: own.Scripted(own.counted(12))
own.engine._model_problems = lambda name: []
own.Scripted.describe = lambda self: {"name": self.name}
own.cli.main(own.ASKED + ["killed"])
"""
ASKED = ["eval", "model", "--benchmark", "four", "--n", "2", "--control", "blind", "--out"]


def counted(stop_at: int = 0):
    """Says what hangs on the seed; every draw is written down, and one of them is killed."""

    def says(text, seed, index):
        with open("drawn.txt", "a") as file:
            file.write(f"{seed}\n")
        if len(drawn()) == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return f"answer : {seed % 5}"

    return says


def drawn() -> list[str]:
    path = Path("drawn.txt")
    return path.read_text().split() if path.exists() else []


def test_killed_in_the_middle_of_a_control_it_goes_on_there_and_ends_with_the_same_bytes(folder, monkeypatch):
    monkeypatch.setattr(engine, "_model", lambda name, settings: Scripted(counted()))
    monkeypatch.setattr(Scripted, "describe", lambda self: {"name": self.name})
    assert cli.main([*ASKED, "whole"]) == 0
    assert len(set(drawn())) == len(drawn()) == 16  # two attempts at four questions and four variants
    (folder / "drawn.txt").unlink()
    (folder / "driver.py").write_text(DRIVER)
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "driver.py", here], cwd=folder, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = folder / "killed" / "four-n2"
    assert (kept / "attempts.parquet").exists() and len(list((kept / "blind/attempts.parts").glob("*.parquet"))) == 3
    assert cli.main([*ASKED, "killed"]) == 0
    assert files(folder / "killed") == files(folder / "whole")
    assert len(drawn()) == 17  # only the attempt in flight was made twice
