"""Rows that teach a judge: a solution and the score, and which of two solutions is better."""

import pytest

from mmevolve.answers import judge_reply
from mmevolve.data.critiquing import critiquing
from mmevolve.data.judging import judging
from mmevolve.data.judgment_lessons import comparison_lessons, judgment_lessons
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.types import Sample

WORLD = shapes(n=40)
WRITTEN = Sample("w", "Which ?", (), "B", ("a cat", "a dog"), meta={"solution": " It barks. "})


def asked(row):
    return row.prompt[-1]["content"][-1]["text"]


def test_a_judgment_is_the_right_solution_and_the_score_that_the_shown_answer_deserves():
    tasks = judging(WORLD, words="world_judge")
    by_id = {f"judge-{s.id}": s for s in WORLD}
    rows = judgment_lessons(tasks)
    assert len(rows) == 40
    for row, task in zip(rows, tasks, strict=True):
        was, facts = by_id[row.source], task.meta["judging"]
        deserved = 5 if facts["answer"] == was.answer else 1
        assert row.completion == f"{gold(was)}\nattempt : {facts['answer']}\nscore : {deserved}"
        assert judge_reply.score(row.completion, 1, 5) == deserved
        assert asked(row) == f"{was.question}\nattempt : {facts['answer']}\nscore the attempt from 1 to 5 ."
    assert {row.completion[-1] for row in rows} == {"1", "5"}


def test_a_column_with_solutions_serves_as_well_and_rows_without_are_counted(caplog):
    tasks = judging([WRITTEN, Sample("x", "Which ?", (), "A", ("a", "b"))], right=1.0)
    (row,) = judgment_lessons(tasks, end="The answer was {answer}.\nScore: {score}")
    assert row.completion == "It barks.\nThe answer was (B) a dog.\nScore: 5" and row.source == "judge-w"
    assert "judgment_lessons: 1 of 2 samples have no solution" in caplog.text
    with pytest.raises(ValueError, match=r"none of 1 samples has a solution on record: give it what"):
        judgment_lessons(tasks[1:])
    with pytest.raises(ValueError, match=r"end 'Score' has no field \{score\}"):
        judgment_lessons(tasks, end="Score")


def test_a_comparison_is_taught_in_both_orders_with_the_letter_of_the_right_one():
    tasks = critiquing(WORLD, words="world_critique", clean=0.5)
    flawed = [t for t in tasks if t.meta["errors"]]
    assert 0 < len(flawed) < len(tasks)
    rows = comparison_lessons(tasks, words="world_compare")
    assert len(rows) == 2 * len(flawed)
    for (there, back), task in zip(zip(rows[::2], rows[1::2], strict=True), flawed, strict=True):
        right, wrong = task.meta["solution"], "\n".join(task.meta["steps"])
        assert right != wrong
        question = task.meta["question"]
        assert asked(there) == f"{question}\nA :\n{right}\nB :\n{wrong}\nwhich is better ?"
        assert asked(back) == f"{question}\nA :\n{wrong}\nB :\n{right}\nwhich is better ?"
        assert (there.completion, back.completion) == ("better : A", "better : B")
        assert judge_reply.better(there.completion) == "A" and there.source == task.id
        assert there.prompt[-1]["content"][0]["image"] == task.images[0]


def test_the_judge_may_solve_the_question_before_it_compares():
    tasks = critiquing(WORLD, words="world_critique")
    apart = [t for t in tasks if t.meta["steps"][-1] != t.meta["solution"].splitlines()[-1]]
    assert 0 < len(apart) < len(tasks), "some errors leave the answer as it is"
    rows = comparison_lessons(tasks, words="world_compare", solve=True)
    assert len(rows) == 2 * len(apart)
    for (there, back), task in zip(zip(rows[::2], rows[1::2], strict=True), apart, strict=True):
        solution = task.meta["solution"]
        right = solution.rsplit(" : ", 1)[1]
        wrong = task.meta["steps"][-1].removeprefix("answer : ")
        assert there.completion == f"{solution}\nA : {right}\nB : {wrong}\nbetter : A"
        assert back.completion == f"{solution}\nA : {wrong}\nB : {right}\nbetter : B"
        assert judge_reply.better(back.completion) == "B"


def test_answering_can_be_taught_beside_it():
    tasks = critiquing(WORLD[:5], words="world_critique")
    rows = comparison_lessons(tasks, words="world_compare", first=True)
    assert len(rows) == 15
    assert [(asked(r), r.completion) for r in rows[2::3]] == [(t.meta["question"], t.meta["solution"]) for t in tasks]
    with pytest.raises(ValueError, match=r"prompt 'judge' has no field \{first\}: the judge would not see it"):
        comparison_lessons(tasks, words="judge")
