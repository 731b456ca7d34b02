"""`mmevolve correct`: a stored run's second turns, counted again without a model."""

import json
from pathlib import Path

import pytest

from mmevolve.cli import main
from mmevolve.correct import counted, stored
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.metrics.two_turns import TwoTurns
from mmevolve.models.scripted import Scripted
from mmevolve.report.folder import open_run
from mmevolve.samplers.feedback import Feedback
from mmevolve.samplers.review import Review
from mmevolve.store import RunStore
from mmevolve.types import Critique
from mmevolve.verbs import group

QUESTIONS = shapes(n=24, families=("total", "count"))
GOLD = {s.question: gold(s) for s in QUESTIONS}


def reply(said, seed, index):
    """Wrong at its last step two times in three, whatever is told."""
    right = GOLD[next(q for q in GOLD if said.startswith(q))]
    return right if seed % 3 == 0 else "\n".join([*right.splitlines()[:-1], "answer : 99"])


def keep(store, at, name, attempts, critics=()):
    prefix = f"{name}_" if name else ""
    by_id = {s.id: s for s in QUESTIONS}
    items = [(by_id[t.sample_id], t) for t in attempts]
    said = [c for critic in critics for c in critic(items)]
    for table, rows in (("samples", QUESTIONS), ("trajectories", attempts), ("critiques", said)):
        store.write(store.round_folder(at) / f"{prefix}{table}.parquet", rows)
    return said


@pytest.fixture
def run(tmp_path):
    (tmp_path / "recipe.yaml").write_text("# by hand\nloop: {_target_: loops.evolve}\n")
    store, policy = RunStore(str(tmp_path), "evolve"), Scripted(reply)
    keep(store, "before", "review", list(Review(n=2, review="check")(policy, QUESTIONS, round=0)), [AnswerMatch()])
    sampler = Feedback(AnswerMatch(), Oracle(), donors=QUESTIONS, words="world")
    keep(store, 0, "feedback", list(sampler(policy, QUESTIONS, round=0)))
    first = [t for t in Review()(policy, QUESTIONS, round=0) if t.parent is None]
    keep(store, 0, "held_out", first, [AnswerMatch()])
    return tmp_path


def test_reviews_and_arms_are_counted_and_plain_attempts_passed_over(run, capsys):
    assert main(["correct", str(run)]) == 0
    numbers = json.loads((run / "correction.json").read_text())
    assert list(numbers) == ["evolve/before/review", "evolve/round=000/feedback"]
    attempts = RunStore(str(run), "evolve").table("before", "review_trajectories")
    by_id = {s.id: s for s in QUESTIONS}
    said = [c for critic in (AnswerMatch(), Oracle()) for c in critic([(by_id[t.sample_id], t) for t in attempts])]
    expected = TwoTurns(steps="oracle")(group(QUESTIONS, attempts, said))
    own = numbers["evolve/before/review"]
    assert own["two_turns/delta"] == pytest.approx(expected["two_turns/delta"])
    assert own["two_turns/first_wrong=answer/pairs"] == expected["two_turns/first_wrong=answer/pairs"] > 0
    assert own["two_turns/family=total/questions"] == 12
    arms = numbers["evolve/round=000/feedback"]
    assert {"feedback/effect", "feedback/content_effect_low", "feedback/acc_shuffled"} <= set(arms)
    out = capsys.readouterr().out
    assert "24 questions" in out and "feedback effect" in out and f"page in {run}/correction.html" in out
    html = (run / "correction.html").read_text()
    assert "flow way-broken" in html and "By kind of question" in html and "What feedback is worth" in html


def test_the_page_can_go_elsewhere_and_is_the_same_again(run, capsys):
    assert main(["correct", str(run), "--html", str(run / "a.html")]) == 0
    assert main(["correct", str(run), "--html", str(run / "b.html")]) == 0
    assert (run / "a.html").read_bytes() == (run / "b.html").read_bytes()
    assert not (run / "correction.html").exists()


def test_no_gate_where_one_kind_is_missing_is_said(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("# by hand\n")
    always = Scripted(lambda said, seed, index: reply(said, 0 if "check" in said else 1, index))
    store = RunStore(str(tmp_path), "evolve")
    keep(store, 0, "", list(Review(review="check")(always, QUESTIONS, round=0)), [AnswerMatch()])
    assert main(["correct", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "No gate:" in out and "and 0 broke one: a gate needs 5 of each" in out
    assert "Undefined: CL, RSS" in out


def test_mistakes_are_one_sentence(run, tmp_path, capsys):
    assert main(["correct", str(run / "nothing")]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert main(["correct", str(run), "--critic", "judge"]) == 2
    assert "no critic 'judge'" in capsys.readouterr().err
    assert main(["correct", str(run), "--gate", "answer"]) == 2
    assert "'answer' knows the answer" in capsys.readouterr().err
    (run / "evolve" / "before" / "review_samples.parquet").unlink()
    assert main(["correct", str(run)]) == 0
    assert "left out: evolve/before/review: the questions of 24 of 24 were not kept" in capsys.readouterr().err


def test_a_run_without_second_turns_says_so(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("# by hand\n")
    store = RunStore(str(tmp_path), "evolve")
    first = [t for t in Review()(Scripted(reply), QUESTIONS, round=0) if t.parent is None]
    keep(store, 0, "", first, [AnswerMatch()])
    assert main(["correct", str(tmp_path)]) == 2
    assert "holds no revised answers" in capsys.readouterr().err


def test_a_damaged_table_is_said(run, capsys):
    file = Path(run) / "evolve" / "before" / "review_trajectories.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    assert main(["correct", str(run)]) == 0
    assert "is damaged" in capsys.readouterr().err


def test_a_critic_that_may_is_a_feature_of_the_gate(run, capsys):
    store = RunStore(str(run), "evolve")
    file = store.round_folder("before") / "review_critiques.parquet"
    said = store.read(file)
    store.write(file, [*said, *(Critique(c.trajectory_id, "prm", c.score) for c in said)])
    store.round_folder(0).rename(store.folder / "arms")
    place = counted(next(stored(open_run(str(run)), [])), gate=None)
    assert place.numbers["gate/changed_fixed"] == 14
    assert main(["correct", str(run), "--gate", "prm"]) == 0
    assert "No gate: 11 of 38 corrections" in capsys.readouterr().out
