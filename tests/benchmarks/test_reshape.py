"""Published rows made plain: MMBench without its rotated copies, HallusionBench's names, twins without errors."""

from __future__ import annotations

import json

import pytest

from mmevolve.benchmarks.reshape import clean_twins, first_rotations, hallusionbench, reshaped, responses
from mmevolve.benchmarks.spec import Source, find, load_spec
from mmevolve.data.rows import Row


def rows(*values):
    return (Row(number, value) for number, value in enumerate(values, start=1))


def test_rotated_copies_of_mmbench_are_left_out_and_nan_is_no_option():
    made = list(
        first_rotations(
            rows(
                {"index": 241, "A": "yes", "B": "no", "C": "nan", "D": float("nan"), "answer": "A"},
                {"index": "1000241", "A": "no", "B": "yes", "answer": "B"},
                {"index": "242", "A": "one", "B": "two", "C": "three"},
            )
        )
    )
    assert [row.values["index"] for row in made] == [241, "242"]
    assert [made[0].values[key] for key in "ABCD"] == ["yes", "no", None, None]
    assert next(first_rotations(rows({"index": None}))).problem == "index is None, expected a whole number"


def test_hallusionbench_gets_names_for_its_figures_and_its_questions():
    """Two pictures of one set, one question of both: two figures, one set."""
    base = {"category": "VD", "subcategory": "illusion", "set_id": "0", "question_id": "1", "question": "?"}
    first, second = hallusionbench(
        rows(base | {"figure_id": "0", "gt_answer": "1"}, base | {"figure_id": "1", "gt_answer": 0})
    )
    assert (first.values["answer"], second.values["answer"]) == ("yes", "no")
    assert (first.values["figure"], second.values["figure"]) == ("VD/illusion/0/0", "VD/illusion/0/1")
    assert first.values["set"] == second.values["set"] == "VD/illusion/0/1"
    assert (first.values["id"], second.values["id"]) == ("VD/illusion/0/0/1", "VD/illusion/0/1/1")
    assert "gt_answer is '2'" in next(hallusionbench(rows(base | {"gt_answer": "2"}))).problem


def test_a_solution_stands_beside_its_twin_without_errors():
    row = {"id": "a", "steps": ["x", "y"], "step_labels": [1, 0], "clean_steps": ["x", "z"]}
    first, second = clean_twins(rows(row))
    assert (first.values["id"], first.values["chain"], first.values["step_labels"]) == ("a", "with errors", [1, 0])
    assert (second.values["id"], second.values["chain"]) == ("a~clean", "clean")
    assert (second.values["steps"], second.values["step_labels"]) == (["x", "z"], [1, 1])
    alone = list(clean_twins(rows({"id": "a", "step_labels": [1]}, {"id": "b", "step_labels": [0]})))
    assert [made.values["chain"] for made in alone] == ["clean", "with errors"]
    assert (
        list(clean_twins(rows(row | {"clean_steps": "x"})))[1].problem == "clean_steps is 'x', expected a list of texts"
    )


def test_a_row_that_could_not_be_read_stays_so():
    for make in (first_rotations, hallusionbench, clean_twins):
        assert [row.problem for row in make(iter([Row(3, problem="not JSON")]))] == ["not JSON"]
    plain = [Row(1, {"a": 1})]
    assert list(reshaped(iter(plain), Source(path="x.jsonl"))) == plain


def test_critiques_are_read_from_what_an_evaluation_wrote(tmp_path):
    lines = [{"id": "a", "index": 0, "response": "1: correct"}, {"id": "a", "index": 1, "response": "no"}]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert responses(str(tmp_path)) == {"a": "1: correct"}
    with pytest.raises(ValueError, match="critiques 'nowhere': no such results"):
        responses("nowhere")
    (tmp_path / "results.jsonl").write_text("[]\n")
    with pytest.raises(ValueError, match="row 1: not a row of results"):
        responses(str(tmp_path))


@pytest.mark.parametrize("name", ["chocolate", "vlrmbench_steps", "visco_critique"])
def test_benchmarks_of_critics_ask_for_areas_calibration_and_false_alarms(name):
    spec = load_spec(find(name))
    assert {"step_auroc", "step_auprc", "first_error", "ece", "brier", "false_alarm"} <= set(spec.figures)
    assert spec.extract[0] == "step_scores" and spec.kind == "critique"
