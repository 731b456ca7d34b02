"""`mmevolve critique`: any critic on a run's attempts or a file's answers, its numbers, and its grounding."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmevolve.cli import main
from mmevolve.config import ConfigError
from mmevolve.critique import critic_of
from mmevolve.critique_rows import given
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.store import RunStore
from mmevolve.text import split_steps
from mmevolve.types import Step, Trajectory

PARTS = '''
from dataclasses import dataclass, field
from typing import ClassVar
from mmevolve.controls.pictures import open_image
from mmevolve.models.scripted import Scripted
from mmevolve.types import Critique

ASKED = []

@dataclass(frozen=True)
class Red:
    """Right is the answer that names the colour of the picture's first pixel; every step is as good as the whole."""
    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False
    name: str = "red"
    blind: bool = False
    def __call__(self, items):
        for sample, t in items:
            ASKED.append(sample.id)
            red = self.blind or open_image(sample.images[0]).getpixel((0, 0))[0] > 200
            score = float((t.answer == "red") == red)
            yield Critique(t.id, self.name, score, (score,) * len(t.steps), sees_image=True)

@dataclass(frozen=True)
class Mute:
    name: str = "mute"
    def __call__(self, items):
        yield from (Critique(t.id, self.name, None, error="no words") for _, t in items)

def model():
    return Scripted(lambda said, seed, index: '{"step_1": {"correctness": "incorrect"}, "answer_correctness": "wrong"}')
'''


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory with parts of the user's own."""
    (tmp_path / "my_critics.py").write_text(PARTS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_critics", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


RED, BLUE = (250, 0, 0), (0, 0, 250)


def rows(folder, *answers):
    """Questions about an even red or blue picture in turn, answered as told."""
    made = []
    for i, answer in enumerate(answers):
        Image.new("RGB", (4, 4), (RED, BLUE)[i % 2]).save(folder / f"p{i}.png")
        made.append({"id": f"q{i}", "question": "Which colour?", "image": f"p{i}.png", "answer": answer})
    return made


def written(folder, made):
    file = folder / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, made)))
    return str(file)


def test_a_file_of_answers_becomes_a_run_and_is_measured(home, capsys):
    """Right: q0 red, q1 blue; wrong: q2 blue, q3 red, q4 blue. `Red(blind)` calls q1, q2, q4 wrong.

    F1 of wrong answers: 2 hits, 3 said, 3 true: 2/3. Right ones score 1 and 0, wrong ones 0, 1 and 0: the AUROC is
    (1 + 1/2 + 1 + 1/2 + 0 + 1/2) / 6.
    """
    made = [
        {**row, "label": label}
        for row, label in zip(
            rows(home, "red", "blue", "blue", "red", "blue"), ("red", "blue", "red", "blue", "red"), strict=True
        )
    ]
    words = ["critique", written(home, made), "--critic", "{_target_: my_critics.Red, blind: true}"]
    assert main([*words, "--allow", "my_critics"]) == 0
    out = capsys.readouterr().out
    numbers = json.loads(Path("runs/critique/answers/critique_red.json").read_text())["given/round=000/sampled"]
    assert numbers["answer_f1_red"] == pytest.approx(2 / 3)
    assert numbers["auroc_red"] == pytest.approx(3.5 / 6)
    assert "5 answers\n  answers       F1 0.667   AUROC 0.583   (3 of 5 are wrong)\n" in out
    assert "red: sees the image: yes, sees the outcome: no" in out
    said = RunStore("runs/critique/answers", "given").table(0, "score_red")
    assert [c.trajectory_id for c in said] == [f"q{i}/given/0" for i in range(5)]


def test_a_critic_whose_verdicts_stay_without_the_picture_is_not_grounded(home, capsys):
    """Six answers, right and wrong by turns of two. A grey picture is not red, so `Red` then takes all for not red."""
    made = rows(home, "red", "blue", "blue", "red", "red", "blue")
    made = [{**row, "answer_correctness": row["answer"] == ("red", "blue")[i % 2]} for i, row in enumerate(made)]
    file = written(home, made)
    sees = ["critique", file, "--critic", "{_target_: my_critics.Red}", "--allow", "my_critics"]
    assert main([*sees, "--controls", "blank,swapped"]) == 0
    out = capsys.readouterr().out
    numbers = json.loads(Path("runs/critique/answers/critique_red.json").read_text())["given/round=000/sampled"]
    assert numbers["auroc_red"] == 1.0 and numbers["blank/turned"] == 0.5 and numbers["blank/auroc"] < 1
    assert "not grounded" not in out and "  blank         0.500 of the verdicts turn; AUROC " in out
    blind = ["critique", file, "--critic", "{_target_: my_critics.Red, blind: true, name: blind}"]
    assert main([*blind, "--allow", "my_critics", "--controls", "blank"]) == 0
    out = capsys.readouterr().out
    assert "  not grounded: no verdict depends on the picture\n" in out
    numbers = json.loads(Path("runs/critique/answers/critique_blind.json").read_text())["given/round=000/sampled"]
    assert (numbers["grounded"], numbers["blank/turned"], numbers["blank/drop"]) == (0.0, 0.0, 0.0)


def test_asked_again_it_reads_what_it_said_and_after_a_kill_it_goes_on(home, capsys):
    made = rows(home, *["red", "blue"] * 40)  # three units of 32
    words = ["critique", written(home, made), "--critic", "{_target_: my_critics.Red}", "--allow", "my_critics"]
    assert main(words) == 0
    first = capsys.readouterr().out
    import my_critics

    assert len(my_critics.ASKED) == 80
    assert main(words) == 0 and len(my_critics.ASKED) == 80 and capsys.readouterr().out == first
    store = RunStore("runs/critique/answers", "given")
    whole = store.round_folder(0) / "score_red.parquet"
    kept = whole.read_bytes()
    whole.unlink()

    class Killed(Exception):
        pass

    def dying(self, items, plain=my_critics.Red.__call__):
        if len(my_critics.ASKED) >= 80 + 32:
            raise Killed
        return plain(self, items)

    plain, my_critics.Red.__call__ = my_critics.Red.__call__, dying
    with pytest.raises(Killed):
        main(words)
    my_critics.Red.__call__ = plain
    assert main(words) == 0 and len(my_critics.ASKED) == 80 + 80, "the first unit was kept"
    assert whole.read_bytes() == kept


def test_labelled_steps_are_counted_as_visco_counts_them(home, capsys):
    """VISCO's own row: two steps, the second wrong, answer wrong; the critic calls step 1 and the answer wrong."""
    Image.new("RGB", (4, 4), RED).save(home / "p.png")
    row = {
        "id": "test1_x", "question": "Which colour?", "image": "p.png", "label": ["red"],
        "response": {"reasoning": ["It is even.", "It is blue."], "answer": "blue"}, "answer_correctness": False,
        "reasoning_correctness": [True, False], "reasoning_critic": [[], ["It is red."]],
        "meta_data": {"critic_superskill": "Perception"},
    }  # fmt: skip
    call = "{_target_: critics.LookBack, look: false, retries: 0, model: {_target_: my_critics.model}}"
    assert main(["critique", written(home, [row]), "--critic", call, "--allow", "my_critics"]) == 0
    out = capsys.readouterr().out
    numbers = json.loads(Path("runs/critique/answers/critique_look_back.json").read_text())["given/round=000/sampled"]
    assert numbers["answer_f1_look_back"] == 1.0 and numbers["step_f1_look_back"] == 0.0
    assert numbers["unsaid_steps_look_back"] == pytest.approx(2 / 3), "step 2 and the answer line have no verdict"
    assert "perception    F1 of answers, steps, explanations: 1.000, 0.000, 0.000" in out
    assert "asked now: 1 calls, 0 saved: 1 critiques (0 saved); 1 critiques could not be read" in out


def test_a_runs_attempts_are_judged_with_the_worlds_oracle(home, capsys):
    """Gold and a wrong last line: the oracle as its own critic finds all, and says that it sees the outcome."""
    store = RunStore("run", "evolve")
    batch = shapes(n=4, families=("total", "count"))
    tried = []
    for s in batch:
        steps = split_steps(gold(s))
        for i, lines in enumerate([steps, [*steps[:-1], "answer : 99"]]):
            typed = tuple(map(Step, lines, ["reasoning"] * (len(lines) - 1) + ["answer"]))
            tried.append(Trajectory(f"{s.id}/0/{i}", s.id, "m", typed, lines[-1].split()[-1]))
    store.write(store.round_folder(0) / "samples.parquet", batch)
    store.write(store.round_folder(0) / "trajectories.parquet", tried)
    assert main(["critique", "run", "--critic", "critics.Oracle", "--controls", "blank"]) == 0
    out = capsys.readouterr().out
    numbers = json.loads(Path("run/critique_oracle.json").read_text())["evolve/round=000/sampled"]
    assert (numbers["answer_f1_oracle"], numbers["step_f1_oracle"], numbers["auroc_oracle"]) == (1.0, 1.0, 1.0)
    assert "sees the outcome: yes" in out and "not grounded" in out, "it reads the scene, not the picture"


def test_a_runs_own_critic_goes_by_its_name(home, capsys):
    store = RunStore("run", "evolve")
    batch = shapes(n=2, families=("count",))
    store.write(store.round_folder(0) / "samples.parquet", batch)
    tried = [
        Trajectory(f"{s.id}/0/{i}", s.id, "m", (Step("answer : 1", "answer"),), "1") for s in batch for i in (0, 1)
    ]
    store.write(store.round_folder(0) / "trajectories.parquet", tried)
    recipe = "store: {_target_: store.RunStore, path: run}\nballots: {_target_: critics.Vote, name: ballots}\n"
    (home / "run" / "recipe.yaml").write_text(f"{recipe}loop: {{_target_: loops.evolve, critics: [$ballots]}}\n")
    assert main(["critique", "run", "--critic", "ballots"]) == 0
    assert [c.score for c in store.table(0, "score_ballots")] == [1.0] * 4
    assert main(["critique", "run", "--critic", "ballot"]) == 2
    assert "the recipe has no critic 'ballot': the nearest is 'ballots'" in capsys.readouterr().err
    assert main(["critique", "run", "--critic", "ballots", "--out", "elsewhere"]) == 2
    assert "--out is for a file of answers" in capsys.readouterr().err


def test_a_critic_of_whole_answers_has_no_numbers_of_steps(home, capsys):
    row = {
        "question": "Which?",
        "steps": ["a", "b"],
        "answer": "x",
        "label": "y",
        "reasoning_correctness": [True, False],
    }
    assert main(["critique", written(home, [row]), "--critic", "critics.Vote"]) == 0
    assert "  steps         it says nothing of them\n" in capsys.readouterr().out
    numbers = json.loads(Path("runs/critique/answers/critique_vote.json").read_text())["given/round=000/sampled"]
    assert "step_f1_vote" not in numbers and numbers["answer_f1_vote"] == 0.0


def test_without_scores_there_is_no_number_and_that_is_said(home, capsys):
    file = written(home, rows(home, "red", "blue"))
    assert main(["critique", file, "--critic", "{_target_: my_critics.Mute}", "--allow", "my_critics"]) == 0
    out = capsys.readouterr().out
    assert "2 answers, 2 of them without a score" in out and "no label says which are wrong" in out
    assert "sees the image: it does not say" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["answers.jsonl", "--critic", "vote"], "'vote' is no critic: runs/critique/answers has no recipe"),
        (["answers.jsonl", "--critic", "critics.Vot"], "critics.Vote"),
        (["answers.jsonl", "--critic", "critics.Vote", "--controls", "blnk"], "no control 'blnk': the nearest is"),
        (["nothing.jsonl", "--critic", "critics.Vote"], "'nothing.jsonl': no such file"),
        (["empty.jsonl", "--critic", "critics.Vote"], "'empty.jsonl' has no rows: nothing to judge"),
        (["bad.jsonl", "--critic", "critics.Vote"], "'bad.jsonl', row 1: has neither 'answer' nor 'steps'"),
        ([".", "--critic", "critics.Vote"], "'.' is not a run folder"),
        (["text.jsonl", "--critic", "critics.Vote", "--controls", "blank"], "none of 1 samples has an image"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(home, capsys, words, said):
    written(home, rows(home, "red"))
    (home / "empty.jsonl").write_text("")
    (home / "bad.jsonl").write_text('{"question": "Which?"}')
    (home / "text.jsonl").write_text('{"question": "Which?", "answer": "x"}')
    assert main(["critique", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err


def test_other_answers_under_the_same_name_are_refused(home, capsys):
    assert main(["critique", written(home, rows(home, "red")), "--critic", "critics.Vote"]) == 0
    assert main(["critique", written(home, rows(home, "blue")), "--critic", "critics.Vote"]) == 2
    assert "was made with other settings" in capsys.readouterr().err
    assert main(["critique", written(home, rows(home, "blue")), "--critic", "critics.Vote", "--out", "runs/b"]) == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "", "answer": "x"}, "'question' is empty"),
        ({"question": "?", "answer": ["x"]}, "neither text nor a number"),
        ({"question": "?", "answer": "x", "image": "gone.png"}, "'image' 'gone.png': no such file"),
        ({"question": "?", "answer": "x", "image": "/etc/passwd.png"}, "is not a path relative to"),
        ({"question": "?", "steps": [1]}, "'steps' is [1], expected a list of texts"),
        ({"question": "?", "answer": "x", "answer_correctness": "yes"}, "answer_correctness holds 'yes'"),
        ({"question": "?", "steps": ["a"], "reasoning_correctness": [True, True]}, "for each of 1 steps"),
        ({"question": "?", "steps": ["a"], "reasoning_critic": ["x", "y"]}, "a list for each of 1 steps"),
        ({"id": "a", "question": "?", "response": {}}, "no column"),
    ],
)
def test_a_row_that_is_not_of_the_form_is_named(tmp_path, row, said):
    with pytest.raises(ValueError, match="row 1: ") as caught:
        given(written(tmp_path, [row]))
    assert said in str(caught.value)


def test_a_row_becomes_steps_with_the_answer_as_their_last(tmp_path):
    """The answer line is ours, so it has no label; a solution that ends in one keeps it; an id may not come twice."""
    made = [
        {"question": "?", "steps": ["a\nb", "c"], "answer": 4, "reasoning_correctness": [1, False], "why": "so"},
        {"question": "?", "steps": "a\nAnswer: 4", "answer": "4", "label": 4.0, "choices": ["3", "4"]},
        {"question": "?", "answer": "x"},
    ]
    one, two, three = given(written(tmp_path, made))
    assert [s.text for s in one.attempt.steps] == ["a b", "c", "Answer: 4"] and one.sample.meta == {"why": "so"}
    answer, oracle = one.labels
    assert (answer.score, oracle.score, oracle.step_scores[:2]) == (None, 0.0, (1.0, 0.0))
    assert oracle.step_scores[2] != oracle.step_scores[2], "NaN: no label"
    assert [s.text for s in two.attempt.steps] == ["a", "Answer: 4"] and two.labels[0].score == 1.0
    assert [s.kind for s in three.attempt.steps] == ["answer"] and three.sample.id == "answers-000003"
    with pytest.raises(ValueError, match="row 2: id 'a' is there twice"):
        given(written(tmp_path, [{"id": "a", "question": "?", "answer": "x"}] * 2))


def test_a_judge_is_made_without_a_recipe_by_part_or_call(tmp_path):
    assert critic_of(tmp_path, "critics.Vote")[0].name == "vote"
    assert critic_of(tmp_path, "{_target_: critics.Vote, name: v}")[0].name == "v"
    with pytest.raises(ConfigError, match=r"critics\.Vote"):
        critic_of(tmp_path, "critics.Vot")
