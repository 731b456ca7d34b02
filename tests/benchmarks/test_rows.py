from __future__ import annotations

import dataclasses
import json

import pytest
from four import ROWS, SPEC, png, put_spec, write_rows

from mmevolve.benchmarks.load import BadData, NotHere, load_samples
from mmevolve.benchmarks.spec import load_spec


def spec(**source):
    whole = load_spec("eval/benchmarks/four.yaml")
    return dataclasses.replace(whole, sources=(dataclasses.replace(whole.sources[0], **source),))


def rows(here, rows):
    write_rows(here / "data" / "four" / "test.jsonl", rows)


def faults(spec, **settings):
    with pytest.raises(BadData) as error:
        load_samples(spec, **settings)
    assert "nothing was scored" in str(error.value)
    return list(error.value.problems)


def test_a_folder_with_every_kind_of_fault_says_them_all_at_once(here):
    (here / "data" / "four" / "cut.png").write_bytes(png()[:40])
    rows(
        here,
        [
            {**ROWS[0], "image": "gone.png"},
            {**ROWS[1], "id": "q1"},
            {**ROWS[2], "choices": ["red", "red"]},
            {**ROWS[3], "answer": True},
            {**ROWS[0], "id": "q5", "answer": "E"},
            {**ROWS[0], "id": "q6", "image": "cut.png"},
            {**ROWS[0], "id": "q7", "image": None},
            {**ROWS[0], "id": "q8", "choices": "cat"},
            {**ROWS[1], "id": "q9", "answer": None},
            {**ROWS[1], "id": "q10", "question": " "},
        ],
    )
    said = faults(spec())
    starts = [
        "row 1: image 'gone.png': no such file in 'data/four'",
        "row 2: id 'q1' is also that of row 1",
        "row 3: choices repeats the option 'red' (allowed with repeated_choices: keep)",
        "row 4: answer is True, expected text or a number",
        "row 5: answer 'E' is no letter of the 2 options",
        "row 6: image 'data/four/cut.png': ",
        "row 7: image is empty",
        'row 8: choices is \'cat\', expected a list such as ["yes", "no"]',
        "row 9: answer is empty",
        "row 10: question is empty",
    ]
    assert len(said) == len(starts)
    assert all(one.startswith(start) for one, start in zip(said, starts, strict=True)), said


def test_wrong_columns_are_named_with_the_nearest(here):
    rows(here, [{"id": "q1", "picture": "a.png", "query": "?", "anwser": "3", "kind": "x"}])
    assert faults(spec()) == [
        "no column 'question' for the question: there is 'anwser', 'id', 'kind', 'picture' and 'query'",
        "no column 'image' for the image: there is 'anwser', 'id', 'kind', 'picture' and 'query'",
        "no column 'answer' for the answer: the nearest is 'anwser'",
    ]


def test_rows_that_are_not_json_are_faults_and_an_empty_file_is_one(here):
    path = here / "data" / "four" / "test.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n{oh\n[1]\n")
    assert [one.partition(":")[0] for one in faults(spec())] == ["row 2", "row 3"]
    path.write_text("")
    assert faults(spec()) == ["empty: no row at all"]


@pytest.mark.parametrize(
    ("answer_is", "cell", "letter"),
    [("text", "dog", "B"), ("letter", "B", "B"), ("letter", "(b)", "B"), ("index", 1, "B"), ("number", "1", "A")],
)
def test_an_answer_with_options_becomes_a_letter(here, answer_is, cell, letter):
    rows(here, [{**ROWS[0], "answer": cell}])
    (sample,) = load_samples(spec(answer_is=answer_is)).samples
    assert sample.answer == letter


@pytest.mark.parametrize(
    ("answer_is", "cell", "says"),
    [
        ("text", "cow", "row 1: answer 'cow' is none of the 2 options"),
        ("index", 2, "row 1: answer 2 is no option from 0 to 1"),
        ("number", 0, "row 1: answer 0 is no option from 1 to 2"),
        ("letter", "dog", "row 1: answer 'dog' is no letter of the 2 options"),
        ("letter", ["B"], "row 1: answer is ['B'], expected text"),
        ("ranks", [1, 1], "row 1: answer [1, 1] ranks nothing: expected ranks such as [0, 1], the least is best"),
    ],
)
def test_an_answer_of_the_wrong_form_is_a_fault(here, answer_is, cell, says):
    rows(here, [{**ROWS[0], "answer": cell}])
    assert faults(spec(answer_is=answer_is)) == [says]


def test_options_lose_their_own_labels_and_two_right_letters_make_a_list(here):
    labelled = {**ROWS[0], "choices": ["A. cat", "B: dog", "C) cow"], "answer": "B\nC"}
    rows(here, [labelled, {**labelled, "id": "q2", "answer": "C"}])
    both, one = load_samples(spec()).samples
    assert (both.choices, both.answer) == ((), "B, C")
    assert both.question == "Which animal?\n(A) cat\n(B) dog\n(C) cow"
    assert (one.choices, one.answer) == (("cat", "dog", "cow"), "C")


def test_options_may_stand_in_columns_or_as_python_prints_a_list(here):
    rows(here, [{**ROWS[0], "p": "cat", "q": "dog", "r": None}])
    assert load_samples(spec(choices=("p", "q", "r"))).samples[0].choices == ("cat", "dog")
    rows(here, [{**ROWS[0], "choices": "['cat', 'dog']"}])
    assert load_samples(spec(choices_text="python")).samples[0].choices == ("cat", "dog")
    rows(here, [{**ROWS[0], "choices": "['cat', "}])
    assert faults(spec(choices_text="python")) == ["row 1: choices \"['cat', \" cannot be read as a list"]


def test_rows_without_an_image_are_kept_or_dropped_where_the_spec_says_so(here):
    rows(here, [{**ROWS[0], "image": None}, ROWS[1]])
    assert len(load_samples(spec(without_image="keep")).samples) == 2
    assert [s.id for s in load_samples(spec(without_image="drop")).samples] == ["q2"]


def test_columns_that_figures_need_must_be_there_before_anything_is_asked(here):
    rows(here, [{name: cell for name, cell in row.items() if name != "kind"} for row in ROWS])
    assert faults(spec())[0].startswith("no row has the column 'kind', which by needs")
    rows(here, [ROWS[0], {name: cell for name, cell in ROWS[1].items() if name != "kind"}])
    assert faults(spec()) == ["1 rows, 'q2' first, lack the column 'kind', which by needs"]


def test_less_than_the_whole_is_called_a_subset(here):
    assert load_samples(spec()).label == "Four Questions"
    limited = load_samples(spec(), limit=2)
    assert (limited.label, limited.slug) == ("Four Questions, subset: first 2 of 4", "four_subset")
    rows(here, ROWS[:3])
    assert load_samples(spec()).label == "Four Questions, subset: 3 of 4"
    rows(here, ROWS)
    assert load_samples(spec(part="half of it")).label == "Four Questions, subset: 4 of 4 (half of it)"


def test_data_that_are_nowhere_are_said_to_be_needed(here):
    with pytest.raises(
        NotHere, match=r"four: needs four/test\.jsonl with its images below --data FOLDER; nothing more"
    ):
        load_samples(spec(), data="elsewhere")
    with pytest.raises(NotHere, match="its spec names no data set on the hub"):
        load_samples(spec(), data="hub")


def test_a_table_can_be_named_itself(here):
    (here / "mine").mkdir()
    (here / "mine" / "a.png").write_bytes(png())
    path = write_rows(here / "mine" / "some.jsonl", ROWS[:2])
    assert [s.id for s in load_samples(spec(), data=str(path)).samples] == ["q1", "q2"]


def test_each_rotation_keeps_the_gold_option_and_a_blind_twin_has_no_image(here):
    rows(here, [{**ROWS[0], "choices": ["cat", "dog", "cow"]}])
    turned = load_samples(dataclasses.replace(spec(), repeat="rotations")).samples
    assert [(s.id, s.choices, s.answer) for s in turned] == [
        ("q1", ("cat", "dog", "cow"), "B"),
        ("q1~1", ("dog", "cow", "cat"), "A"),
        ("q1~2", ("cow", "cat", "dog"), "C"),
    ]
    seen, blind = load_samples(dataclasses.replace(spec(), repeat="blind")).samples
    assert (len(seen.images), blind.id, blind.images) == (1, "q1~1", ())


def test_a_critique_needs_steps_and_as_many_labels(here):
    put_spec(
        here,
        SPEC.replace("prompt: ", "kind: critique\nprompt: ")
        .replace("{question}", "{question} {steps}")
        .replace("[stated, own]", "[step_verdicts]")
        .replace("score: equal", "score: all_steps")
        .replace("{path: four/test.jsonl}", "{path: four/test.jsonl, answer: null, choices: null}"),
    )
    good = {"id": "s1", "image": "a.png", "question": "?", "kind": "x", "steps": ["a", "b"], "step_labels": [1, 0]}
    rows(here, [good, {**good, "id": "s2", "step_labels": [1]}, {**good, "id": "s3", "step_labels": ["ok", 2]}])
    assert faults(spec()) == [
        "row 2 ('s2'): 2 steps and 1 step_labels",
        "row 3 ('s3'): step_labels is not a list of 0 and 1",
    ]


def test_options_and_answer_of_one_row_may_both_be_at_fault(here):
    rows(here, [{**ROWS[0], "choices": ["", ""], "answer": "Z"}, {**ROWS[2], "choices": ["x", "x"], "image": None}])
    said = faults(spec())
    assert said[0] == "row 1: answer 'Z' is no letter of the 2 options" and said[1].startswith("row 1: choices")
    assert said[2].startswith("row 2: choices repeats the option 'x'") and said[3:] == ["row 2: image is empty"]


def test_wrong_columns_are_all_named(here):
    rows(here, [{"ID": r["id"], "img": r["image"], "query": r["question"], "gold": r["answer"]} for r in ROWS])
    assert [line.partition(" for the ")[0] for line in faults(spec())] == [
        "no column 'id'", "no column 'question'", "no column 'image'", "no column 'answer'",
    ]  # fmt: skip
