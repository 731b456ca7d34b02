import json
import logging
import sys

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from published_sets import complaint, critiques, feedback, geometry, message, png, put, ranked, school, steps

from mmevolve.data import critique_vqa, llava_conversations, m3cot, mathv360k, mm_rlhf, rlaif_v, scienceqa
from mmevolve.data import trl_preferences as trl

RECIPE = """
store: {_target_: store.RunStore, path: runs/x}
policy: {_target_: models.TransformersVLM, name: "mmevolve:tiny_vlm"}
trainer: {_target_: lightning.Trainer, _partial_: true}
adam: {_target_: torch.optim.AdamW, _partial_: true, lr: 1.0e-4}
rows: {_target_: data.rlaif_v, SETTINGS}
loop:
  _target_: loops.finetune
  store: $store
  policy: $policy
  rows: $rows
  train: {_target_: training.Fit, loss: {_target_: losses.SFT}, optimizer: $adam, trainer: $trainer, steps: 1}
"""
PAIR = {"prompt": "Which?", "chosen": "A", "rejected": "B", "image": "a.png"}
TALK = {"conversations": [message("user", "Hello."), message("assistant", "Hello.")], "image": None}
SETS = {
    "mathv360k": (mathv360k.mathv360k, mathv360k.preflight, {**geometry(), "image": "a.png"}),
    "scienceqa": (scienceqa.scienceqa, scienceqa.preflight, {**school(), "image": "a.png"}),
    "m3cot": (m3cot.m3cot, m3cot.preflight, {**steps(), "image": "a.png"}),
    "rlaif_v": (rlaif_v.rlaif_v, rlaif_v.preflight, {**feedback(), "image": "a.png"}),
    "critique_vqa": (critique_vqa.critique_vqa, critique_vqa.preflight, critiques(images=["a.png"])),
    "mm_rlhf": (mm_rlhf.mm_rlhf, mm_rlhf.preflight, {**ranked(), "image": "a.png"}),
    "trl_preferences": (trl.trl_preferences, trl.preflight, PAIR),
    "llava_conversations": (llava_conversations.llava_conversations, llava_conversations.preflight, TALK),
}
every_set = pytest.mark.parametrize("name", SETS)


@pytest.fixture
def folder(tmp_path):
    put(tmp_path, "a.png", png())
    return tmp_path


@every_set
def test_a_set_is_read_from_json_lines_json_parquet_and_a_folder(folder, name):
    read, preflight, row = SETS[name]
    expected = read(path=put(folder, "one.jsonl", [row]))
    assert expected
    for path in (put(folder, "two.json", [row]), put(folder, "three.parquet", [row])):
        assert read(path=path) == expected, path
        assert list(preflight(path=path)) == [], path
    put(folder, "data/train-00000-of-00001.parquet", [row])
    found = read(path=str(folder))
    assert len(found) == len(expected)
    assert list(preflight(path=str(folder), split="train")) == []


@every_set
def test_a_column_with_another_name_is_said_once_with_the_nearest(folder, name):
    read, preflight, row = SETS[name]
    column = "conversations" if "conversations" in row else "question" if "question" in row else "chosen"
    slip = column[:-2] + column[-1] + column[-2]
    path = put(
        folder, "t.jsonl", [{**{slip if c == column else c: row[c] for c in row}, "id": str(i)} for i in range(3)]
    )
    said = complaint(read, path=path)
    assert said.count("no column '") == 1
    assert f"the nearest is '{slip}'" in said
    assert f"{column} is empty" not in said
    assert next(preflight(path=path)) in said


@every_set
def test_a_set_from_the_hub_or_saved_by_datasets_is_read(folder, name, monkeypatch):
    import datasets

    read, preflight, row = SETS[name]
    saved = datasets.DatasetDict(train=datasets.Dataset.from_list([row]), test=datasets.Dataset.from_list([row] * 2))
    saved.save_to_disk(str(folder / "saved"))
    root = str(folder)
    expected = read(path=put(folder, "t.jsonl", [row]))
    assert len(read(path=str(folder / "saved"), split="train", images_root=root)) == len(expected)
    assert list(preflight(path=str(folder / "saved"), split="train")) == []
    assert len(read(path=str(folder / "saved"), images_root=root)) == len(expected)
    (sentence,) = preflight(path=str(folder / "saved"), split="tset")
    assert "has no split 'tset': the nearest is 'test'" in sentence
    monkeypatch.setattr(datasets, "load_dataset", lambda path: saved)
    assert len(read(path="someone/some-set", images_root=root)) == len(expected)
    assert list(preflight(path="someone/some-set")) == []
    assert "has no split 'tests': the nearest is 'test'" in complaint(read, path="someone/some-set", split="tests")


def test_a_hub_name_without_a_folder_cannot_read_paths(folder, monkeypatch):
    import datasets

    saved = datasets.DatasetDict(train=datasets.Dataset.from_list([PAIR]))
    monkeypatch.setattr(datasets, "load_dataset", lambda path: saved)
    assert "and a hub dataset has no folder: set images_root" in complaint(trl.trl_preferences, path="someone/some-set")


def test_what_is_not_there_names_the_nearest(folder):
    put(folder, "train.json", [geometry()])
    put(folder, "other/notes.json", [])
    for path, split, part in (
        (folder / "trian.json", None, "no such file: the nearest is 'train.json'"),
        (folder / "trian.jsonl", None, "no such file: the nearest is 'train.json'"),
        (folder / "none/x.json", None, "no such file"),
        (folder / "a.png", None, "unknown kind of table"),
        (folder / "other", None, "no 'train_samples_all_tuning.json' in the folder"),
        (folder, "test", "split 'test': no 'test.jsonl' in the folder"),
        (folder / "train.json", "test", "has no splits; give the folder, or the split's file"),
    ):
        said = complaint(mathv360k.mathv360k, path=str(path), split=split)
        assert part in said, part
        assert list(mathv360k.preflight(path=str(path), split=split)) == [said], part


def test_a_file_of_the_training_rows_is_not_taken_for_another_split(folder):
    put(folder, "train_samples_all_tuning.json", [geometry(image="a.png")])
    assert len(mathv360k.mathv360k(path=str(folder), split="train")) == 1
    assert "split 'test'" in complaint(mathv360k.mathv360k, path=str(folder), split="test")


def test_settings_that_cannot_be_are_refused(folder):
    path = put(folder, "t.jsonl", [PAIR])
    for settings, sentence in (
        ({"limit": 0}, "limit is 0, expected at least 1"),
        ({"images_root": "no/where"}, "images_root 'no/where': no such folder"),
    ):
        assert complaint(trl.trl_preferences, path=path, **settings) == sentence
        assert list(trl.preflight(path=path, **settings)) == [sentence]
    for settings in ({}, {"path": 3}, {"path": path, "limit": "x"}):
        assert list(trl.preflight(**settings)) == []


def test_files_that_are_no_rows_are_one_sentence(folder):
    for content, part in (
        (b'[{"a": 1}, ', "not JSON: "),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": {}}', "expected a list of rows"),
        (b"[3]", "row 1: 3, expected a JSON object"),
        (b"[]", "empty: no row at all"),
        (b"\xff\xfe", "t.json"),
    ):
        path = put(folder, "t.json", content)
        assert part in complaint(trl.trl_preferences, path=path), content[:20]
        assert part in "".join(trl.preflight(path=path)), content[:20]
    lines = put(folder, "t.jsonl", (json.dumps(PAIR) + "\nnot this\n").encode())
    assert "row 2: not JSON" in complaint(trl.trl_preferences, path=lines)


def test_a_limit_reads_no_further(folder):
    path = put(folder, "t.jsonl", (json.dumps(PAIR) + "\nnot this\n").encode())
    assert len(trl.trl_preferences(path=path, limit=1)) == 1
    assert list(trl.preflight(path=path, limit=1)) == []


def test_broken_rows_can_be_dropped_and_are_counted(folder, caplog):
    rows = [PAIR, {**PAIR, "image": "lost.png"}, {**PAIR, "chosen": ""}, {**PAIR, "chosen": "", "rejected": ""}]
    path = put(folder, "t.jsonl", rows)
    with caplog.at_level(logging.WARNING):
        assert len(trl.trl_preferences(path=path, broken="drop")) == 1
    assert "broken rows, dropped: 3; the first: row 2: image 'lost.png': no such file" in caplog.text
    assert list(trl.preflight(path=path, broken="drop")) == []
    assert len(list(trl.preflight(path=path))) == 4
    nothing = put(folder, "none.jsonl", rows[1:])
    assert ": 4 problems" in complaint(trl.trl_preferences, path=nothing, broken="drop")


def test_rows_that_are_all_left_out_are_no_data(folder):
    path = put(folder, "t.jsonl", [{**steps(), "image": None}])
    assert "empty: every row was left out (1 without a picture)" in complaint(m3cot.m3cot, path=path)


@pytest.mark.parametrize("image", ["/etc/passwd", "../a.png", "images/../../a.png", "link.png", "https://x.org/a.png"])
def test_a_row_cannot_name_a_picture_outside_its_folder(folder, image):
    inner = folder / "set"
    path = put(inner, "t.jsonl", [{**PAIR, "image": image}])
    (inner / "link.png").symlink_to(folder / "a.png")
    said = complaint(trl.trl_preferences, path=path)
    assert "a row may only name files in there" in said or "images are not fetched" in said
    assert next(trl.preflight(path=path)) in said


def test_pictures_are_looked_for_and_opened_only_when_that_is_asked(folder):
    put(folder, "cut.png", png(size=(64, 64))[:60])
    path = put(folder, "t.jsonl", [{**PAIR, "image": "cut.png"}])
    assert len(trl.trl_preferences(path=path)) == 1
    assert "row 1: image " in complaint(trl.trl_preferences, path=path, verify_images=True)
    assert "cut.png': broken" in complaint(trl.trl_preferences, path=path, verify_images=True)


def test_only_the_first_sixty_problems_are_listed(folder):
    said = complaint(trl.trl_preferences, path=put(folder, "t.jsonl", [{**PAIR, "image": "no.png"}] * 70))
    assert said.count("no such file") == 60
    assert "and 10 more" in said


def test_a_preflight_looks_at_the_first_rows_alone(folder):
    rows = [{**PAIR, "image": "lost.png" if i == 250 else "a.png"} for i in range(300)]
    path = put(folder, "t.jsonl", rows)
    assert list(trl.preflight(path=path)) == []
    assert "row 251: image 'lost.png'" in complaint(trl.trl_preferences, path=path)


def test_a_recipe_that_names_a_set_wrongly_is_told_before_it_runs(folder):
    from mmevolve.config import check

    put(folder, "train.jsonl", [{"question": "Which?", "chosne": "A", "rejected": "B", "image": "a.png"}])
    recipe = folder / "recipe.yaml"
    for settings, sentence in (
        (f"path: '{folder}'", "data.rlaif_v: no column 'chosen': the nearest is 'chosne'"),
        (f"path: '{folder}', broken: skip", "'skip'"),
    ):
        recipe.write_text(RECIPE.replace("SETTINGS", settings), encoding="utf-8")
        assert sentence in "\n".join(map(str, check(recipe))), settings


WORDS = ["A", "a.png", "<image>", "The answer is B"]
CELL = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["A", "a.png", "<image>"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from", "value", "role", "content", "text", "type", "image", "bytes", "path"]), inner
        )
        | st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt"]), "value": inner})
    ),
    max_leaves=8,
)


@every_set
@hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_rows_of_anything_give_rows_or_one_list_of_problems(folder, name, data):
    read, preflight, row = SETS[name]
    names = st.sets(st.sampled_from(sorted(row)), min_size=1, max_size=3)
    rows = [{**row, **{c: data.draw(CELL) for c in data.draw(names)}} for _ in range(2)]
    path = put(folder, "t.jsonl", [{c: None if isinstance(v, bytes) else v for c, v in r.items()} for r in rows])
    try:
        read(path=path)
    except ValueError as error:
        assert " problem" in str(error).splitlines()[0] or "empty" in str(error)
    assert all("\n" not in sentence for sentence in preflight(path=path))


def test_reading_a_set_needs_neither_datasets_nor_torch(folder):
    import subprocess

    put(folder, "train.jsonl", [PAIR])
    code = (
        "import sys\nfrom mmevolve.data.trl_preferences import trl_preferences\n"
        f"assert len(trl_preferences(path={str(folder)!r})) == 1\n"
        "print(sorted({'datasets', 'torch'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
