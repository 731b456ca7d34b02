import json

import pytest
from published_sets import complaint, geometry, png, put, school, steps

from mmevolve.data.m3cot import m3cot
from mmevolve.data.mathv360k import mathv360k
from mmevolve.data.scienceqa import preflight as scienceqa_preflight
from mmevolve.data.scienceqa import scienceqa
from mmevolve.data.worked_examples import worked_examples


@pytest.fixture
def geometries(tmp_path):
    put(tmp_path, "data_images/Shapes/images/a.png", png())
    return tmp_path


def test_a_row_of_mathv360k_is_a_question_with_its_options_apart(geometries):
    put(geometries, "train_samples_all_tuning.json", [geometry()])
    (sample,) = mathv360k(path=str(geometries))
    assert (sample.id, sample.question) == ("g1", "How long is side 1?")
    assert (sample.choices, sample.answer) == (("3", "4 cm"), "B")
    assert sample.images == (str(geometries / "data_images/Shapes/images/a.png"),)
    assert (sample.source, sample.meta) == (
        "mathv360k",
        {"response": "The answer is B", "hint": "Give the option's letter."},
    )


@pytest.mark.parametrize(
    ("asked", "said", "question", "answer"),
    [
        ("<image>\nQuestion: What is 3 + 4?", "The answer is 7.", "What is 3 + 4?", "7"),
        ("<image>\nHint: Be exact.\nQuestion: How much?", "First 1.5 x 2.\nThe answer is 3.0", "How much?", "3.0"),
        ("<image>\nIs there a cat?", "Yes", "Is there a cat?", "Yes"),
        ("Is there a cat?\n<image>", "Answer: no", "Is there a cat?", "no"),
    ],
)
def test_questions_without_options_keep_the_answer_as_it_is_said(geometries, asked, said, question, answer):
    turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]
    path = put(geometries, "t.jsonl", [geometry(conversations=turns)])
    (sample,) = mathv360k(path=path)
    assert (sample.question, sample.answer, sample.choices) == (question, answer, ())
    assert sample.meta["response"] == said


@pytest.mark.parametrize("said", ["B", "(B)", "The answer is B.", "Answer: 4 cm", "So the answer is (B) 4 cm"])
def test_an_answer_to_options_is_a_letter_however_it_is_said(geometries, said):
    (sample,) = mathv360k(path=put(geometries, "train_samples_all_tuning.json", [geometry(answer=said)]))
    assert sample.answer == "B"


def test_everything_wrong_with_rows_of_mathv360k_is_said_at_once(geometries):
    human, gpt = geometry()["conversations"]

    def asked(words):
        return [{**human, "value": words}, gpt]

    rows = [
        geometry(1),
        geometry(1),
        geometry(2, image="Shapes/images/b.png", answer="The answer is C"),
        geometry(3, answer="The answer is"),
        geometry(4, conversations=[human]),
        geometry(5, conversations=asked("<image><image>\nQuestion: Same?")),
        geometry(6, conversations=asked(human["value"].replace("4 cm", "3"))),
        geometry(7, conversations=asked(human["value"].replace("(B)", "(C)"))),
        geometry(8, conversations="Question: What?"),
        geometry(9, image=None),
        geometry(10, conversations=[{"from": "robot", "value": "?"}]),
    ]
    put(geometries, "train_samples_all_tuning.json", rows)
    said = complaint(mathv360k, path=str(geometries))
    root = geometries / "data_images"
    for part in (
        ": 11 problems\n",
        "row 2: id 'g1' is also that of row 1 (id: null numbers the rows)",
        f"row 3: image 'Shapes/images/b.png': no such file in '{root}'",
        "row 3: conversations has the answer 'C', expected a letter from A to B or an option",
        "row 4: conversations has the response 'The answer is', which says no answer",
        "row 5: conversations has the turns user, expected user, assistant",
        "row 6: conversations has 2 <image>, but the row's pictures are 1",
        "row 7: conversations repeats the option '3'",
        "row 8: conversations has the choice '(C) 4 cm', expected (B) and a text",
        "row 9: conversations is 'Question: What?', expected a list of turns",
        "row 10: image is empty",
        "row 11: conversations has turn 1 by 'robot', expected one of human, user, gpt, assistant, system",
    ):
        assert part in said, part


def test_a_row_of_scienceqa_from_parquet_has_its_picture_and_its_hint(tmp_path):
    put(tmp_path, "data/train-00000-of-00002-abc.parquet", [school(1), school(2, image=None, hint="")])
    put(tmp_path, "data/train-00001-of-00002-abc.parquet", [school(3, answer=1)])
    put(tmp_path, "data/test-00000-of-00001-abc.parquet", [school(4)])
    one, two, three = scienceqa(path=str(tmp_path))
    assert (one.id, one.question) == (
        "scienceqa-train-000001",
        "Both lie in the sun.\nWhich of these melts first, case 1?",
    )
    assert (one.images, one.choices, one.answer) == ((png(),), ("ice", "iron"), "A")
    assert one.meta["lecture"] == "Solids melt when they are warm enough."
    assert (two.question, two.images) == ("Which of these melts first, case 2?", ())
    assert (three.id, three.answer) == ("scienceqa-train-000003", "B")
    assert [s.question for s in scienceqa(path=str(tmp_path), split="test", hint=False)] == [
        "Which of these melts first, case 4?"
    ]
    assert len(scienceqa(path=str(tmp_path), without_image="drop")) == 2
    assert "row 2: image is empty (allowed with without_image" in complaint(
        scienceqa, path=str(tmp_path), without_image="error"
    )


def test_scienceqa_as_its_makers_wrote_it_finds_each_split_and_picture(tmp_path):
    problems = {str(i): {**school(i), "image": "image.png" if i < 3 else None} for i in range(1, 5)}
    put(tmp_path, "problems.json", problems)
    put(tmp_path, "pid_splits.json", {"train": ["1", "3"], "val": ["2"], "test": ["4"]})
    put(tmp_path, "images/train/1/image.png", png())
    put(tmp_path, "images/val/2/image.png", png("blue"))
    put(tmp_path, "image.png", png("green"))  # not that of any question
    one, three = scienceqa(path=str(tmp_path))
    assert (one.id, one.images) == ("scienceqa-1", (str(tmp_path / "images/train/1/image.png"),))
    assert (three.id, three.images) == ("scienceqa-3", ())
    for path in (tmp_path, tmp_path / "problems.json"):
        (two,) = scienceqa(path=str(path), split="val")
        assert two.images == (str(tmp_path / "images/val/2/image.png"),)
    assert "split 'valid': not in" in complaint(scienceqa, path=str(tmp_path), split="valid")
    assert "the nearest is 'val'" in next(scienceqa_preflight(path=str(tmp_path), split="valid"))


def test_scienceqa_without_a_list_of_splits_goes_by_its_rows_and_says_what_does_not_fit(tmp_path):
    put(tmp_path, "problems.json", {str(i): {**school(i, image=None), "split": "train"} for i in (1, 2)})
    assert [s.id for s in scienceqa(path=str(tmp_path))] == ["scienceqa-1", "scienceqa-2"]
    assert "split 'test': no question of" in complaint(scienceqa, path=str(tmp_path), split="test")
    put(tmp_path, "pid_splits.json", {"train": ["1", "1", "9"]})
    said = complaint(scienceqa, path=str(tmp_path))
    assert "row 2: '1' stands twice in split 'train' of pid_splits.json" in said
    assert "row 3: '9' of pid_splits.json is no question of problems.json" in said
    (tmp_path / "problems.json").write_text('{"1": {}, "1": {}}', encoding="utf-8")
    assert "the key '1' stands there twice" in complaint(scienceqa, path=str(tmp_path))


def test_answers_of_the_wrong_type_and_options_that_repeat_are_said_by_row(tmp_path):
    rows = [
        school(1, answer=2),
        school(2, answer="0"),
        school(3, answer=True),
        school(4, choices=["ice", "ice"]),
        school(5, choices=["ice"]),
        school(6, question=" ", hint=["a"]),
    ]
    path = put(tmp_path, "train.jsonl", [{**row, "image": None} for row in rows])
    said = complaint(scienceqa, path=path)
    for part in (
        ": 7 problems",
        "row 1: answer is 2, expected an index from 0 to 1",
        "row 2: answer is '0', expected an index from 0 to 1",
        "row 3: answer is True, expected an index from 0 to 1",
        "row 4: choices repeats the option 'ice' (allowed with repeated_choices: keep)",
        "row 5: choices is ['ice'], expected at least two options",
        "row 6: question is empty",
        "row 6: hint is ['a'], expected text",
    ):
        assert part in said, part
    assert scienceqa(path=put(tmp_path, "four.jsonl", [{**rows[3], "image": None}]), repeated_choices="keep")


def test_a_row_of_m3cot_finds_its_picture_in_the_images_folder(tmp_path):
    put(tmp_path, "images/physics-1.png", png())
    put(tmp_path, "train.jsonl", [steps(1), steps(2, image=None)])
    (sample,) = m3cot(path=str(tmp_path))
    assert (sample.id, sample.answer, sample.choices) == ("physics-1", "B", ("up", "down", "nowhere"))
    assert sample.question == "A ball is let go.\nWhere does the ball go?"
    assert sample.images == (str(tmp_path / "images/physics-1.png"),)
    assert (sample.meta["rationale"], sample.meta["domain"]) == ("Nothing holds the ball.\nSo it falls.", "science")
    assert m3cot(path=str(tmp_path), context=False)[0].question == "Where does the ball go?"
    assert len(m3cot(path=str(tmp_path), without_image="keep")) == 2


def test_m3cot_without_an_image_column_reads_image_path_and_refuses_what_leads_out(tmp_path):
    put(tmp_path, "a.png", png())
    put(tmp_path, "set/images/a.png", png())
    rows = [{**steps(i), "image_path": path} for i, path in enumerate(["images/a.png", "../a.png", "/a.png", "b.png"])]
    for row in rows:
        del row["image"]
    said = complaint(m3cot, path=put(tmp_path, "set/train.jsonl", [*rows, {**rows[0], "id": "x", "answer": "D"}]))
    for part in (
        ": 4 problems",
        "row 2: image_path '../a.png' leads out of",
        "row 3: image_path '/a.png' is not a path relative to",
        "row 4: image_path 'b.png': no such file",
        "row 5: answer is 'D', expected a letter from A to C",
    ):
        assert part in said, part


def test_worked_examples_end_with_the_answer_and_lack_nothing(tmp_path):
    put(tmp_path, "images/physics-1.png", png())
    samples = m3cot(path=put(tmp_path, "train.jsonl", [steps(1)]))
    (row,) = worked_examples(samples, "rationale")
    assert row.completion == "Nothing holds the ball.\nSo it falls.\nAnswer: B"
    assert row.source == "physics-1"
    assert row.prompt[0]["content"][0] == {"type": "image", "image": samples[0].images[0]}
    assert "(B) down" in row.prompt[0]["content"][1]["text"]
    assert worked_examples(samples, "rationale", end="")[0].completion.endswith("So it falls.")
    with pytest.raises(ValueError, match=r"'physics-1': solution is None, expected a written solution"):
        worked_examples(samples, "solution")


def test_the_meta_of_samples_is_json(tmp_path):
    for sample in scienceqa(path=put(tmp_path, "train.parquet", [school()])):
        assert json.loads(json.dumps(sample.meta)) == sample.meta
