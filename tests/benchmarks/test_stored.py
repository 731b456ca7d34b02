from __future__ import annotations

import json

import pytest
from four import write_rows

from mmevolve.benchmarks.load import BadData, load_samples
from mmevolve.benchmarks.spec import load_spec
from mmevolve.benchmarks.stored import is_stored, score_stored

RIGHT = {"q1": "dog", "q2": "There are 3.", "q3": "(A)", "q4": "oak"}


@pytest.fixture
def loaded(here):
    return load_samples(load_spec("eval/benchmarks/four.yaml"), pictures=False)


def answers(here, rows):
    return str(write_rows(here / "answers.jsonl", rows))


def faults(path, loaded, **words):
    with pytest.raises(BadData) as error:
        score_stored(path, loaded, **words)
    return list(error.value.problems)


def test_every_fault_of_a_file_is_said_at_once(here, loaded):
    path = answers(
        here,
        [
            {"id": "q1", "response": "dog"},
            {"id": "q1", "response": "cat"},
            {"id": "Q2", "response": "3"},
            {"id": "q3", "response": 7},
            {"id": None, "response": "x"},
            {"id": "zebra-77", "response": "x"},
            {"id": "q4", "response": "oak", "index": "first"},
        ],
    )
    assert faults(path, loaded) == [
        "row 2: a second response 0 to 'q1'",
        "row 4: response is 7, expected text, null where generation failed, or a list of these",
        "row 5: id is None, expected text or a whole number",
        "row 7: index is 'first', expected a whole number from 0",
        "id 'Q2' is no question of four: the nearest is 'q2'",
        "id 'zebra-77' is no question of four: there is 'q1', 'q2', 'q3' and 'q4'",
        "question 'q2' has no stored answer",
        "question 'q4' has no stored answer",
    ]


def test_a_file_without_the_columns_or_without_rows_says_so(here, loaded):
    assert faults(answers(here, [{"qid": "q1", "respons": "x"}]), loaded)[:2] == [
        "no column 'id': the nearest is 'qid'",
        "no column 'response': the nearest is 'respons'",
    ]
    assert faults(answers(here, []), loaded)[0] == "empty: no row at all"
    assert faults("gone.jsonl", loaded)[0].startswith("'gone.jsonl': no such file")


def test_partial_scores_what_both_have_and_counts_the_rest(here, loaded):
    path = answers(here, [{"id": "q1", "response": "dog"}, {"id": "q99", "response": "x"}])
    scored, strangers = score_stored(path, loaded, partial=True)
    assert ([s.sample.id for s in scored], strangers) == (["q1"], 1)
    path = answers(here, [{"id": "q99", "response": "x"}])
    assert faults(path, loaded, partial=True) == ["none of its ids is a question of the benchmark's data"]


def test_several_attempts_may_stand_in_a_list_or_in_rows_with_an_index(here, loaded):
    listed = answers(here, [{"id": name, "response": [said, None]} for name, said in RIGHT.items()])
    rows = [
        {"id": name, "index": i, "response": said}
        for name, first in RIGHT.items()
        for i, said in ((1, None), (0, first))
    ]
    one = score_stored(listed, loaded)
    two = score_stored(answers(here, rows), loaded)
    assert one == two
    assert [s.outcome for s in one[0]] == ["correct", "error"] * 4
    rows[0:1] = []
    assert faults(answers(here, rows), loaded) == [
        "questions have between 1 and 2 responses: each needs the same number"
    ]


def test_an_object_of_id_and_response_will_do(here, loaded):
    (here / "answers.json").write_text(json.dumps(RIGHT))
    scored, _ = score_stored("answers.json", loaded)
    assert [s.outcome for s in scored] == ["correct"] * 4
    (here / "answers.json").write_text("{")
    assert faults("answers.json", loaded)[0].startswith("'answers.json': not JSON")


def test_a_models_name_means_a_file_when_it_is_one(here):
    assert is_stored("answers.jsonl") and is_stored("x.json.gz")
    assert not is_stored("mmevolve:tiny_vlm") and not is_stored("Qwen/Qwen2-VL-2B") and not is_stored("data")


def test_a_file_of_which_nothing_can_be_read_says_why_and_not_that_each_question_lacks_an_answer(here, loaded):
    write_rows(here / "a.jsonl", [{"name": "q1", "text": "dog"}])
    (here / "b.jsonl").write_text("")
    for name, said in (("a.jsonl", ["no column 'id'", "no column 'response'"]), ("b.jsonl", ["empty"])):
        with pytest.raises(BadData) as caught:
            score_stored(name, loaded)
        assert [line.partition(":")[0] for line in caught.value.problems] == said
