"""`mmevolve score`: a run's critic as trained, on what the run stored."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from mmevolve.cli import main
from mmevolve.config import ConfigError, load
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.labelled_steps import Patient
from mmevolve.protocols import TooLong
from mmevolve.scoring import critic_node, refuse_other_words, trained_critic
from mmevolve.store import RunStore
from mmevolve.text import split_steps
from mmevolve.types import Critique, Sample, Step, Trajectory

PARTS = '''
from dataclasses import dataclass, field
from pathlib import Path
from mmevolve.text import split_steps

class Model:
    """Says of each step what its weights say: a number a file gives, less for steps that hold a 9."""
    def __init__(self, name):
        self.name, self.home, self.value = name, None, 0.0
    def start_from(self, policy):
        self.home = policy.value
    def load(self, folder, version):
        self.value, self.name = float((Path(folder) / "value").read_text()), version
    def describe(self):
        return {"model": [self.value, self.home]}
    def score_steps(self, chats, completions):
        return [tuple(self.value - 0.5 * ("99" in step) for step in split_steps(t)) for t in completions]
'''
RECIPE = """\
# A run made by hand.
store: {_target_: store.RunStore, path: elsewhere}
policy: {_target_: my_models.Model, name: policy}
prm: {_target_: my_models.Model, name: prm}
data: {_target_: data.shapes, n: -1}
loop:
  - {_target_: loops.evolve, name: warmup, store: $store, policy: $policy, data: $data}
  - {_target_: loops.evolve, name: reward, store: $store, policy: $policy, student: $prm, data: $data}
  - _target_: loops.evolve
    store: $store
    policy: $policy
    data: $data
    critics: [{_target_: critics.AnswerMatch}, {_target_: critics.StepReward, model: $prm, fold: min}]
"""


def attempts(sample, at):
    """Gold, gold with a wrong answer at its end, and no answer."""
    steps = split_steps(gold(sample))
    for i, lines in enumerate([steps, [*steps[:-1], "answer : 99"], steps[:-1]]):
        answer = (sample.answer, "99", None)[i]
        kinds = ["reasoning"] * (len(lines) - 1) + ["answer" if answer else "reasoning"]
        yield Trajectory(f"{sample.id}/{at}/{i}", sample.id, "m", tuple(map(Step, lines, kinds)), answer)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of one round: tables of the loop `evolve`, checkpoints of all three loops."""
    (tmp_path / "my_models.py").write_text(PARTS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    folder = tmp_path / "moved"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    store = RunStore(str(folder), "evolve")
    batch = shapes(n=4, families=("total", "count"))
    for at, name in ((0, ""), ("before", "held_")):
        tried = [t for s in batch for t in attempts(s, at)]
        store.write(store.round_folder(at) / f"{name}samples.parquet", batch)
        store.write(store.round_folder(at) / f"{name}trajectories.parquet", tried)
        old = [Critique(t.id, "prm", 0.1, (0.1,) * len(t.steps)) for t in tried]
        store.write(store.round_folder(at) / f"{name}critiques.parquet", old)
    for loop, r, value in (("warmup", 0, 0.7), ("reward", 0, 0.2), ("reward", 1, 0.8), ("evolve", 0, 0.4)):
        checkpoint = RunStore(str(folder), loop).checkpoint(r)
        checkpoint.mkdir(parents=True)
        (checkpoint / "value").write_text(str(value))
    return str(folder)


def test_models_go_through_the_loops_and_nothing_else_is_built(run):
    critic, trained = trained_critic(run, "prm", ["my_models"])
    assert trained == ["policy: warmup/round=000", "prm: reward/round=001", "policy: evolve/round=000"]
    assert (critic.name, critic.model.value, critic.model.home) == ("prm", 0.8, 0.7), "the reward saw the warm policy"


def test_a_student_that_goes_on_from_itself_is_not_given_the_policys_weights(run):
    recipe = Path(run) / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("student: $prm,", "student: $prm, student_from: itself,"))
    critic, _ = trained_critic(run, "prm", ["my_models"])
    assert (critic.model.value, critic.model.home) == (0.8, None)


def test_every_stored_attempt_is_judged_beside_what_was_said_before(run, capsys):
    assert main(["score", run, "--critic", "prm", "--allow", "my_models"]) == 0
    store = RunStore(run, "evolve")
    said = store.table(0, "score_prm")
    assert [c.score for c in said] == pytest.approx([0.8, 0.3, 0.8] * 4)
    assert len(store.table("before", "score_prm_held")) == 12
    assert {c.score for c in store.table(0, "critiques")} == {0.1}, "the old table is as it was"
    out = capsys.readouterr().out
    assert "evolve/round=000/sampled" in out and "evolve/before/held" in out


def test_the_page_holds_the_numbers_by_hand(run, capsys):
    """Of each sample's three attempts one is right with .8, one wrong with .3, one without an answer with .8.

    Wrong steps are the four `answer : 99`, all at .3 and all others at .8: AUROC and AUPRC 1, first error found. Best
    of 1 is 1/3; best of 2: right and wrong 1, right and silent 1/2, wrong and silent 0, so 1/2.
    """
    assert main(["score", run, "--critic", "prm", "--allow", "my_models"]) == 0
    numbers = json.loads((Path(run) / "score_prm.json").read_text())["evolve/round=000/sampled"]
    assert (numbers["attempts"], numbers["judged"]) == (12, 12)
    assert (numbers["step_auroc_prm"], numbers["step_auprc_wrong_prm"]) == (1.0, 1.0)
    assert (numbers["first_error_prm_f1"], numbers["first_error_prm_tuned_f1"]) == (1.0, 1.0)
    assert numbers["best_of@1_prm"] == pytest.approx(1 / 3) and numbers["oracle@2"] == pytest.approx(2 / 3)
    # pairs: right and wrong: right; right and silent: 4 alone votes: right; wrong and silent: wrong
    assert numbers["weighted_vote@2_prm"] == pytest.approx(2 / 3)
    assert numbers["step_auroc_prm_perception"] is None, "no step of that type"
    assert numbers["step_auroc_prm_answer"] == 1.0
    said = capsys.readouterr().out.splitlines()
    row = next(line for line in said if line.startswith("best of k"))
    assert row.split() == ["best", "of", "k", "0.333", "0.500"]


def test_asked_again_it_reads_what_it_said(run, capsys, monkeypatch):
    words = ["score", run, "--critic", "prm", "--allow", "my_models"]
    assert main(words) == 0
    first = capsys.readouterr().out
    import my_models

    monkeypatch.setattr(my_models.Model, "score_steps", None)
    assert main(words) == 0
    assert capsys.readouterr().out == first


def test_a_critic_may_be_a_part_or_a_call_in_braces(run, capsys):
    assert main(["score", run, "--critic", "critics.Vote", "--allow", "my_models"]) == 0
    assert len(RunStore(run, "evolve").table(0, "score_vote")) == 12
    call = "{_target_: critics.StepReward, model: $prm, fold: mean, name: prm_mean}"
    assert main(["score", run, "--critic", call, "--allow", "my_models"]) == 0
    assert (Path(run) / "score_prm_mean.json").is_file()


def test_other_settings_under_the_same_name_are_refused(run, capsys):
    assert main(["score", run, "--critic", "prm", "--allow", "my_models"]) == 0
    call = "{_target_: critics.StepReward, model: $prm, fold: mean}"
    assert main(["score", run, "--critic", call, "--allow", "my_models"]) == 2
    assert "was made with other settings" in capsys.readouterr().err


def test_an_unknown_critic_is_named_with_the_nearest(run, capsys):
    assert main(["score", run, "--critic", "prn", "--allow", "my_models"]) == 2
    assert "the recipe has no critic 'prn': the nearest is 'prm'" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        critic_node(load(Path(run) / "recipe.yaml"), "value")


def test_a_reward_that_is_not_trained_yet_is_said(run, capsys):
    import shutil

    for r in (0, 1):
        shutil.rmtree(RunStore(run, "reward").checkpoint(r))
    assert main(["score", run, "--critic", "prm", "--allow", "my_models"]) == 2
    assert "'prm' is not trained yet: loop 'reward' has no finished round" in capsys.readouterr().err


def test_what_is_no_run_is_said(tmp_path, capsys):
    assert main(["score", str(tmp_path / "no"), "--critic", "prm"]) == 2
    assert "is not a run folder" in capsys.readouterr().err


class Reads:
    """A model with a tokenizer of these words."""

    def __init__(self, *words):
        self.name, self.encoder, self.tokenizer = "mine", self, self
        self.get_vocab = lambda: {word: i for i, word in enumerate(words)}


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path):
    for vocabulary in ({"a": 0, "b": 1}, [["a", -1.0], ["b", -2.0]]):
        (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
        refuse_other_words(Reads("a", "b", "<added>"), tmp_path)
        with pytest.raises(ValueError, match=r"another tokenizer than 'mine': 2 words against 2, .* differs is 'b'"):
            refuse_other_words(Reads("a", "c"), tmp_path)
    refuse_other_words(object(), tmp_path)


def test_the_page_is_html_too_with_curves_and_nothing_loaded(run, capsys):
    assert main(["score", run, "--critic", "prm", "--allow", "my_models"]) == 0
    html = (Path(run) / "score_prm.html").read_text()
    assert html.startswith("<!doctype html>") and "default-src 'none'" in html and "<script" not in html
    for words in ("steps against the oracle", "AUROC by type of step", "Best of k", "0.333", "prm: reward/round=001"):
        assert words in html
    assert "score_prm.html" in capsys.readouterr().out


def benchmark(folder):
    """Three solutions: a wrong second step, all right, and one whose step holds a 99 but is right."""
    chains = [(["a : b", "99 wrong", "c"], [1, 0, 1]), (["a : b", "c"], [1, 1]), (["99", "d"], [1, 1])]
    rows = [
        {"id": f"x{i}", "task": "what is wrong ?", "image": "p.png", "steps": steps, "step_labels": labels}
        for i, (steps, labels) in enumerate(chains)
    ]
    place = folder / "chocolate_critique"
    place.mkdir()
    Image.new("RGB", (4, 4)).save(place / "p.png")
    more = {"response_model": "m", "source": "x", "response_correct": False}
    (place / "lvlm_with_images.jsonl").write_text("\n".join(json.dumps({**row, **more}) for row in rows))


def test_labelled_steps_of_a_benchmark_are_judged_too(run, tmp_path, capsys):
    """Scores .8, .3 for a step with 99. Right steps: .8 x 5, .3 once; the wrong one .3: AUROC (5 + 1/2) / 6."""
    benchmark(tmp_path)
    words = ["score", run, "--critic", "prm", "--allow", "my_models", "--benchmark", "chocolate"]
    assert main([*words, "--data", str(tmp_path)]) == 0
    numbers = json.loads((Path(run) / "score_prm.json").read_text())
    (name,) = [place for place in numbers if place.startswith("CHOCOLATE")]
    assert "subset" in name, "never the bare name"
    assert numbers[name]["step_auroc_prm"] == pytest.approx(5.5 / 6)
    # the first error of one chain is found, of the two right ones one is called right: F1 of 1 and 1/2
    assert numbers[name]["first_error_prm_f1"] == pytest.approx(2 / 3)
    assert numbers[name]["false_alarm_prm"] == 0.5 and numbers[name]["attempts"] == 3
    assert name in capsys.readouterr().out
    assert main([*words[:-1], "mmstar", "--data", str(tmp_path)]) == 2
    assert "'mmstar' has no labelled steps" in capsys.readouterr().err


class Short:
    """Reads one step at most."""

    name = "short"

    def __call__(self, items):
        for _, t in items:
            if len(t.steps) > 1:
                raise TooLong(f"{t.id} has {len(t.steps)} steps")
            yield Critique(t.id, "short", 0.5, (0.5,))


def test_a_solution_that_is_too_long_has_no_score_and_the_others_keep_theirs():
    tried = [(Sample("s", "?"), Trajectory(f"s/{i}", "s", "m", (Step("a"),) * n)) for i, n in enumerate((1, 2, 1))]
    said = list(Patient(Short())(tried))
    assert [c.score for c in said] == [0.5, None, 0.5] and said[1].error == "s/1 has 2 steps"


def test_rounds_that_a_monitor_undid_are_not_loaded(run):
    store = RunStore(run, "reward")
    alarm = {"monitor": "collapse", "action": "roll back", "why": "it fell", "to": 0}
    store.write(store.round_folder(1) / "monitors.parquet", [alarm])
    _, trained = trained_critic(run, "prm", ["my_models"])
    assert "prm: reward/round=000" in trained
