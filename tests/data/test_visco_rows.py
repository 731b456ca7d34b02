"""VISCO's published rows: read as they are, with pictures in base64, and made questions to answer again."""

import base64
import json

import pytest
from published_sets import png

from mmevolve.answers.written_critique import parse
from mmevolve.data.images import open_image
from mmevolve.data.rows import Row
from mmevolve.data.visco import correction_rows, critique_rows, visco, written


def row(i=1, **other):
    """A row of `test.jsonl` by its published keys; the words are our own."""
    return {
        "id": f"test1||Perception||Counting||Toy||{i}",
        "question": "How many bars are red?\nChoices:\n(A) 1\n(B) 2",
        "image": base64.b64encode(png()).decode(),
        "label": "1",
        "response": {"reasoning": ["There are two bars.", "Both are red."], "answer": "2"},
        "answer_correctness": False,
        "reasoning_correctness": [True, False],
        "reasoning_critic": [["", "", ""], ["One is blue.", "The left bar is blue.", "Only one is red."]],
        "meta_data": {"critic_superskill": "Perception", "critic_skill": "Counting", "src_dataset": "Toy"},
        **other,
    }


def put(folder, *rows):
    path = folder / "test.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return str(path)


def test_a_published_row_is_a_solution_with_its_labels_references_and_picture(tmp_path):
    (sample,) = visco(path=put(tmp_path, row()), verify_images=True)
    assert sample.meta["steps"] == ["There are two bars.", "Both are red."]
    assert (sample.meta["step_labels"], sample.meta["answer_right"]) == ([1, 0], False)
    assert sample.meta["step_explanations"][1] == ["One is blue.", "The left bar is blue.", "Only one is red."]
    assert (sample.answer, sample.meta["response_answer"]) == ("1", "2")
    assert sample.meta["critic_superskill"] == "Perception"
    assert open_image(sample.images[0]).size == (8, 6)


def test_a_picture_may_be_a_path_or_a_data_address(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    code = "data:image/png;base64," + base64.b64encode(png()).decode()
    first, second = visco(path=put(tmp_path, row(1, image="a.png"), row(2, image=code)))
    assert first.images == (str(tmp_path / "a.png"),) and second.images == (png(),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "no base64!"}, "image 'no base64!' is neither the path of a picture nor base64"),
        ({"response": "text"}, "response 'text', expected a mapping with 'reasoning', a list of texts, and 'answer'"),
        ({"reasoning_correctness": [True]}, r"reasoning_correctness \[True\], expected true or false for each of 2"),
        ({"reasoning_critic": []}, r"reasoning_critic \[\], expected a list for each of 2 steps"),
        ({"answer_correctness": "no"}, "answer_correctness is 'no', expected true or false"),
    ],
)
def test_a_row_of_another_schema_is_named(tmp_path, change, said):
    with pytest.raises(ValueError, match="row 2: " + said):
        visco(path=put(tmp_path, row(), row(2, **change)))


def test_a_missing_column_is_named():
    bare = {k: v for k, v in row().items() if k not in ("response", "reasoning_critic")}
    (made,) = critique_rows([Row(1, bare)])
    assert made.problem == "no column 'response' or 'reasoning_critic', which VISCO's rows have"


@pytest.mark.parametrize(
    ("level", "critique"),
    [
        ("A", "Answer: incorrect"),
        ("AS", "Step 1: correct\nStep 2: incorrect\nAnswer: incorrect"),
    ],
)
def test_a_correction_shows_the_critique_down_to_its_level(level, critique):
    (made,) = correction_rows([Row(1, row())], level=level)
    assert made.values["critique"] == critique
    assert made.values["before"] == "1. There are two bars.\n2. Both are red.\nAnswer: 2"
    assert made.values["right_before"] is False


def test_one_of_the_three_references_is_shown_the_same_every_time():
    shown = [next(iter(correction_rows([Row(1, row(i))]))).values["critique"] for i in (*range(40), *range(40))]
    assert shown[:40] == shown[40:]
    assert len({text.split("\n")[1] for text in shown}) == 3


def test_a_models_critique_stands_where_it_was_made_and_is_missed_where_not():
    said = '{"step_1": {"correctness": "incorrect", "explanation": "three"}, "answer_correctness": "correct"}'
    rows = [Row(1, row(1)), Row(2, row(2)), Row(3, row(3))]
    first, second, third = correction_rows(rows, critiques={row(1)["id"]: said, row(2)["id"]: None})
    assert first.values["critique"] == "Step 1: incorrect. three\nStep 2: unknown\nAnswer: correct"
    assert second.values["critique"] == "Step 1: unknown\nStep 2: unknown\nAnswer: unknown"
    assert third.problem == "id 'test1||Perception||Counting||Toy||3' has no critique"


def test_what_is_written_is_read_again():
    said = parse("1: correct\n2: incorrect. It is blue\nanswer: incorrect", 2)
    assert parse(written(said), 2) == said
