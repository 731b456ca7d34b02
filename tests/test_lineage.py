"""Lineage against the tables it was read from: every row, every checkpoint, every picture."""

import json
import shutil
from pathlib import Path

import pytest
from explorer.rich_run import KINDS, SELECTOR, attempt, judged

from mmevolve.cli import main
from mmevolve.config.errors import ConfigError
from mmevolve.data.shapes.dataset import shapes
from mmevolve.lineage import index
from mmevolve.lineage.index import FILE
from mmevolve.lineage.query import Lineage
from mmevolve.store import RunStore, StoreError
from mmevolve.text import ask
from mmevolve.types import Critique, Demonstration, Labelled, Preference

RECIPE = """\
# Three loops: a warm-up, a reward model, two rounds that it judges.
policy: {_target_: models.TransformersVLM}
prm: {_target_: models.StepRewardModel}
step_reward: {_target_: critics.StepReward, model: $prm}
value: {_target_: critics.RolloutValue, policy: $policy}
loop:
- {_target_: loops.evolve, name: warmup, policy: $policy, critics: []}
- {_target_: loops.evolve, name: reward, policy: $policy, student: $prm, critics: [$value]}
- {_target_: loops.evolve, name: evolve, policy: $policy, critics: [$step_reward], selector: {_target_: selectors.TopK}}
"""
AUTHORS = {("warmup", 0): "tiny@base", ("reward", 0): "tiny@warmup/round=000", ("evolve", 0): "tiny@warmup/round=000",
           ("evolve", 1): "tiny@evolve/round=000"}  # fmt: skip
FIRST = {("warmup", 0): 0, ("reward", 0): 10, ("evolve", 0): 20, ("evolve", 1): 30}


def make_round(run, name, *, carry="weights", rows=None):
    loop, r = name
    store = RunStore(run, loop)
    folder = store.round_folder(r)
    samples = shapes(n=4, first=FIRST[name], split="train", families=["total"])
    tries = [
        type(t)(**{**vars(t), "author": AUTHORS[name]}) for s in samples for k in KINDS for t in [attempt(s, k, r)]
    ]
    by_id = {s.id: s for s in samples}
    store.write(folder / "samples.parquet", samples)
    store.write(folder / "trajectories.parquet", tries)
    critics = {"critics": [{"_target_": "mmevolve.critics.answer.AnswerMatch", "name": "answer"}]}
    store.write(folder / "critiques.parquet", [c for t in tries for c in judged(by_id[t.sample_id], t)], critics)
    made = rows(samples, tries) if rows else [
        Demonstration(ask(by_id[t.sample_id], "{question}"), t.text, source=t.id) for t in tries if t.id.endswith("/0")
    ]  # fmt: skip
    store.write(folder / "examples.parquet", made, {"selector": SELECTOR})
    store.checkpoint(r).mkdir()
    (store.checkpoint(r) / "made_by.json").write_text(json.dumps({"train": {"carry": carry}}))


def labels(samples, tries):
    return [Labelled((), t.text, (1.0, float("nan")), source=t.id) for t in tries if not t.id.endswith("/0")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = str(tmp_path_factory.mktemp("runs") / "three")
    Path(run).mkdir()
    Path(run, "recipe.yaml").write_text(RECIPE)
    for name in AUTHORS:
        make_round(run, name, rows=labels if name[0] == "reward" else None)
    held = shapes(n=2, split="test", families=["total"])
    RunStore(run, "warmup").write(RunStore(run, "warmup").round_folder("before") / "held_out_samples.parquet", held)
    return run


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "three").as_posix()


@pytest.fixture(scope="module")
def lineage(made):
    return Lineage(made)


def test_every_row_is_traced_to_what_the_tables_say(lineage, made):
    seen = 0
    for loop, r in AUTHORS:
        store = RunStore(made, loop)
        tries = {t.id: t for t in store.table(r, "trajectories")}
        samples = {s.id: s for s in store.table(r, "samples")}
        for i, row in enumerate(store.table(r, "examples")):
            found = lineage.trace(f"{loop}/{r}/{i}")
            t = tries[row.source]
            said = [c for c in store.table(r, "critiques") if c.trajectory_id == t.id]
            assert found["attempt"]["id"] == t.id and found["attempt"]["author"] == t.author
            assert found["attempt"]["sampling"] == t.sampling and found["attempt"]["seed"] == 7
            assert found["attempt"]["pictures"] == [Path(ref).stem for ref in samples[t.sample_id].images]
            assert found["attempt"]["question"] == samples[t.sample_id].question
            assert [(c["critic"], c["score"], tuple(c["step_scores"]), c["text"]) for c in found["critiques"]] == [
                (c.critic, c.score, c.step_scores, c.text) for c in said
            ]
            assert found["text"]["completion"] == row.completion and found["selector"] == SELECTOR
            assert found == lineage.trace(f"{loop}/round={r:03d}/{i}") == lineage.trace(f"{loop}/{r}/examples/{i}")
            seen += 1
    assert seen == 4 + 24 + 4 + 4
    assert lineage.trace("reward/0/0")["text"]["labels"] == [1.0, None]


def test_an_attempt_gives_its_rows_or_says_that_it_has_none(lineage):
    name = lineage.trace("evolve/1/2")["attempt"]["id"]
    assert [row["row"] for row in lineage.trace(name)["rows"]] == ["evolve/round=001/2"]
    assert lineage.trace(f"{name[:-1]}1~1")["rows"] == []


def test_a_checkpoint_was_trained_on_its_rows_and_those_of_what_it_goes_on_from(lineage):
    last = lineage.trace("evolve/round=001")
    assert [part["round"] for part in last["rows"]] == ["evolve/round=001", "evolve/round=000", "warmup/round=000"]
    assert (last["n"], last["goes_on_from"]) == (12, "evolve/round=000")
    assert [part["questions"] for part in last["rows"]] == [4, 4, 4]
    assert last["attempts_by"] == ["evolve/round=000"] and last["judged_with"] == ["reward/round=000"]
    reward = lineage.trace("reward/0/checkpoint")
    assert reward["goes_on_from"] == "warmup/round=000" and reward["n"] == 24 + 4
    assert reward["used_by"] == ["evolve/round=000", "evolve/round=001"]


def test_training_that_carries_nothing_goes_back_to_where_its_loop_began(run):
    made_by = RunStore(run, "evolve").checkpoint(1) / "made_by.json"
    made_by.write_text(json.dumps({"train": {"carry": "nothing"}}))
    assert Lineage(run).trace("evolve/1")["goes_on_from"] == "warmup/round=000"


def actions(found):
    return {r["round"]: r["action"] for r in found["rounds"]}


def test_forgetting_a_picture_of_the_warm_up_redoes_everything(lineage, made):
    picture = lineage.trace("warmup/0/3")["attempt"]["pictures"][0]
    found = lineage.forget(picture)
    assert found == lineage.forget(picture[:12]) == lineage.forget(f"{made}/images/{picture}.png")
    assert found["rows"] == ["warmup/round=000/3"] and found["attempts"] == len(KINDS)
    assert found["checkpoints"] == ["warmup/round=000", "reward/round=000", "evolve/round=000", "evolve/round=001"]
    again = "sample, judge, select and train again"
    assert actions(found) == {"warmup/round=000": "select and train again", "reward/round=000": again,
                              "evolve/round=000": again, "evolve/round=001": again}  # fmt: skip


def test_forgetting_a_picture_of_the_reward_model_judges_again_what_it_judged(lineage):
    found = lineage.forget(lineage.trace("reward/0/0")["attempt"]["sample"])
    assert found["rows"] == [f"reward/round=000/{i}" for i in range(6)]
    assert actions(found) == {"reward/round=000": "select and train again",
                              "evolve/round=000": "judge, select and train again",
                              "evolve/round=001": "sample, judge, select and train again"}  # fmt: skip
    assert "warmup/round=000" not in found["checkpoints"]


def test_forgetting_a_picture_of_the_last_round_leaves_the_others(lineage):
    found = lineage.forget(lineage.trace("evolve/1/0")["attempt"]["pictures"][0])
    assert found["checkpoints"] == ["evolve/round=001"] and len(found["rounds"]) == 1


def test_a_picture_that_is_only_measured_on_is_left_out_there(lineage, made):
    held = RunStore(made, "warmup").table("before", "held_out_samples")[1]
    found = lineage.forget(Path(held.images[0]).stem)
    assert found == {**lineage.forget(held.id), "pictures": found["pictures"], "samples": found["samples"]}
    assert found["evaluations"] == [{"evaluation": "held_out", "sample": held.id}] and found["checkpoints"] == []


def test_a_picture_that_only_a_row_shows_is_found_in_the_row(run):
    def pairs(samples, tries):
        other = ({"role": "user", "content": ({"type": "image", "image": "photos/of another.jpg"},)},)
        return [Preference(ask(samples[0], "{question}"), "a", "b", rejected_prompt=other, source=tries[0].id)]

    (RunStore(run, "evolve").checkpoint(1) / "made_by.json").unlink()
    RunStore(run, "evolve").checkpoint(1).rmdir()
    make_round(run, ("evolve", 1), rows=pairs)
    lineage = Lineage(run)
    assert lineage.trace("evolve/1/0")["pictures_of_row"] == ["photos/of another.jpg"]
    assert lineage.forget("photos/of another.jpg")["rows"] == ["evolve/round=001/0"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("evolv/1/0", "there is no loop 'evolv' for row 'evolv/1/0': the nearest is 'evolve'"),
        ("evolve/7/0", "there is no round 7 of 'evolve' in 'evolve/7/0': the nearest is evolve/round=001"),
        ("evolve/1/400", "has no row evolve/round=001/400: the last is evolve/round=001/3"),
        ("shapes-train-0-000031/1/9", "there is no row or attempt 'shapes-train-0-000031/1/9': the nearest is "
         "'shapes-train-0-000031/1/0'"),
        ("shapse-train-0-000031/1/0", "the nearest is 'shapes-train-0-000031/1/0'"),
        ("shapes-test-0-000001/0/0", "is an attempt at a question of the evaluation 'held_out'"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist_gets_the_nearest_one(lineage, what, said):
    with pytest.raises(ConfigError) as error:
        lineage.trace(what)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_picture_that_was_never_seen_gets_the_nearest_one(lineage):
    picture = lineage.trace("warmup/0/3")["attempt"]["pictures"][0]
    wrong = picture[:20] + ("0" if picture[20] != "0" else "1") + picture[21:]
    with pytest.raises(ConfigError, match=f"never saw a picture '{wrong}': the nearest is '{picture}'"):
        lineage.forget(wrong)
    with pytest.raises(ConfigError, match="the nearest is 'shapes-train-0-000031'"):
        lineage.forget("shapes-train-0-00031")


def contents(run):
    db = index.open_index(run)
    tables = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'words'")]
    return {t: sorted(map(repr, db.execute(f"SELECT * FROM {t}"))) for t in tables}


def test_an_index_that_grew_with_the_run_is_the_one_made_at_once(run, made):
    away = shutil.move(RunStore(run, "evolve").round_folder(1), Path(run) / "away")
    rows = Path(run, "evolve/round=000/examples.parquet")
    late = shutil.move(rows, Path(run) / "late.parquet")
    first = contents(run)
    assert len(first["rounds"]) == 3
    shutil.move(late, rows)
    shutil.move(away, RunStore(run, "evolve").round_folder(1))
    assert contents(run) == contents(made)


def test_a_table_that_was_made_anew_makes_the_index_anew(run):
    Lineage(run)
    store = RunStore(run, "warmup")
    rows = store.table(0, "examples")
    path = store.round_folder(0) / "examples.parquet"
    path.unlink()
    store.write(path, rows[:1], {"selector": SELECTOR})
    with pytest.raises(ConfigError, match="the last is warmup/round=000/0"):
        Lineage(run).trace("warmup/0/3")


def test_a_folder_that_cannot_be_written_and_a_broken_index_are_no_hindrance(run, monkeypatch):
    Path(run, FILE).write_bytes(b"no index" * 1000)
    assert Lineage(run).trace("evolve/1/0")["row"] == "evolve/round=001/0"
    Path(run, FILE).unlink()
    Path(run, FILE).mkdir()
    assert Lineage(run).trace("evolve/1/0")["row"] == "evolve/round=001/0"


def test_a_damaged_table_is_named(run, capsys):
    path = RunStore(run, "evolve").round_folder(1) / "trajectories.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(StoreError, match=r"trajectories\.parquet is damaged"):
        Lineage(run)
    assert main(["trace", run, "evolve/1/0"]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_a_critic_without_a_score_says_why(run):
    store = RunStore(run, "evolve")
    name = store.table(1, "examples")[0].source
    path = store.round_folder(1) / "critiques.parquet"
    path.unlink()
    store.write(path, [Critique(name, "judge", None, error="timed out")])
    assert Lineage(run).trace("evolve/1/0")["critiques"][0] | {"settings": None} == {
        "critic": "judge", "score": None, "step_scores": [], "text": "", "error": "timed out", "settings": None
    }  # fmt: skip


def test_the_command_line_says_it_in_words_and_as_json(made, capsys):
    assert main(["trace", made, "evolve/1/0"]) == 0
    out = capsys.readouterr().out
    for words in ("row         evolve/round=001/0 (Demonstration)", "checkpoint  evolve/round=000, as tiny@evolve",
                  "prompt 'question', seed 7", "critique    prm 0.95, steps 0.95",
                  "selected by TopK(above 0.5, dedup True, k 1", "trained     evolve/round=001"):  # fmt: skip
        assert words in out
    assert main(["trace", made, "evolve/1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 12
    assert main(["trace", made, "evolve/1"]) == 0
    assert "trained on   warmup/round=000/0 to 3: 4 Demonstration rows of 4 questions" in capsys.readouterr().out
    assert main(["forget", made, "shapes-train-0-000030"]) == 0
    assert "redo        evolve/round=001: select and train again (1 of its 4 rows)" in capsys.readouterr().out
    assert main(["forget", made, "nothing"]) == 2 and "nearest" in capsys.readouterr().err
    assert main(["trace", f"{made}/images", "evolve/1"]) == 2 and "is not a run folder" in capsys.readouterr().err
