"""Explanations held against references by a model: by hand, asked once, named after it; questions too long to ask."""

from __future__ import annotations

import pytest
from four import png, put_spec, write_rows

from mmevolve import cli
from mmevolve.benchmarks import evaluate as engine
from mmevolve.benchmarks.ask import Ask
from mmevolve.models.scripted import Scripted
from mmevolve.protocols import TooLong
from mmevolve.types import Sample

SPEC = """\
# Solutions with their steps labelled and explained.
name: why
title: Why
items: 2
version: "1"
licence: CC0
paper: none
needs: nothing more
sources:
  - {path: why/test.jsonl, answer: null, choices: null}
prompt: "{question}\\n{steps}"
extract: [step_scores, critique]
score: all_steps
figures: [viscore_local, explanation_f1, f1, answer_f1]
kind: critique
cluster: item
"""
ROWS = [
    {
        "id": "a", "image": "a.png", "question": "How many?", "steps": ["There are 3.", "So 4."],
        "step_labels": [0, 0], "answer_right": False,
        "step_explanations": [["it has 5 bars", "five of them"], ["3 is not 4"]],
    },
    {
        "id": "b", "image": "b.png", "question": "Which?", "steps": ["The red one."],
        "step_labels": [1], "answer_right": True, "step_explanations": [[]],
    },
]  # fmt: skip
CRITIC = {
    "How many?": "1: incorrect. I count otherwise\n2: incorrect. The sum is off\nanswer: incorrect",
    "Which?": "1: correct\nanswer: correct",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_spec(tmp_path, SPEC, "why")
    write_rows(tmp_path / "data" / "why" / "test.jsonl", ROWS)
    for name in ("a.png", "b.png"):
        (tmp_path / "data" / "why" / name).write_bytes(png())
    asked = []

    def critic(text, seed, index):
        return next(said for question, said in CRITIC.items() if question in text)

    def explains(text, seed, index):
        asked.append(text)
        return "Yes." if "5 bars" in text else "perhaps" if "five" in text else "no"

    made = {"model": Scripted(critic, name="model@base"), "reader": Scripted(explains, name="reader@base")}
    monkeypatch.setattr(engine, "_model", lambda name, settings: made[name])
    monkeypatch.setattr(engine, "_model_problems", lambda name: [])
    return asked


def test_a_model_that_judges_explanations_is_asked_once_and_gives_viscore_its_name(folder, capsys):
    """Of step 1's two references one is met, of step 2's one none: hits 1/2, said 2, true 2."""
    assert cli.main(["eval", "model", "--benchmark", "why"]) == 0
    plain = capsys.readouterr().out
    assert "viscore_local" in plain and "explanation_f1  0.000" in plain and folder == []
    again = ["eval", "model", "--benchmark", "why", "--judge", "reader"]
    assert cli.main(again) == 0
    said = capsys.readouterr().out
    assert "explanation_f1       0.250" in said  # 2 x 0.5 / (2 + 2)
    assert "viscore_reader@base  0.630" in said and "viscore_local" not in said  # cube root of 1 x 1 x 0.25
    assert len(folder) == 3 and all("Question: How many?" in text and "A critic says:" in text for text in folder)
    assert cli.main(again) == 0
    assert len(folder) == 3 and capsys.readouterr().out == said


def test_a_judge_of_explanations_without_any_is_refused(folder, tmp_path, capsys):
    put_spec(tmp_path, SPEC.replace("[viscore_local, explanation_f1, f1, answer_f1]", "[f1]"), "why")
    assert cli.main(["eval", "model", "--benchmark", "why", "--judge", "reader"]) == 2
    assert "--judge is about explanations of errors, which none of these benchmarks counts" in capsys.readouterr().err


class Short(Scripted):
    def generate(self, chats, **how):
        if "long" in str(chats):
            raise TooLong("a prompt of 9 tokens does not fit into 8")
        return super().generate(chats, **how)


def test_a_question_too_long_for_the_model_is_an_error_and_the_others_are_asked(folder, tmp_path, monkeypatch, capsys):
    short = Short(lambda text, seed, index: f"{text} {seed}")
    samples = [Sample("a", "one"), Sample("b", "long"), Sample("c", "two")]
    many = list(Ask("{question}", temperature=1.0)(short, samples, round=0))
    alone = [next(iter(Ask("{question}", temperature=1.0)(short, [s], round=0))) for s in samples]
    assert many == alone
    assert [t.stop_reason == "error" for t in many] == [False, True, False]
    assert many[1].sampling["error"] == "a prompt of 9 tokens does not fit into 8" and many[1].steps == ()
    write_rows(tmp_path / "data" / "why" / "test.jsonl", [{**ROWS[0], "question": "long How many?"}, ROWS[1]])
    monkeypatch.setattr(engine, "_model", lambda *_: Short(lambda *_: CRITIC["Which?"], name="model@base"))
    assert cli.main(["eval", "model", "--benchmark", "why", "--batch", "2"]) == 0
    out, err = capsys.readouterr()
    assert "errors 50.0% of 2 responses" in out
    assert "1 of 2 got no response; the first: a prompt of 9 tokens does not fit into 8" in err
