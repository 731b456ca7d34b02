"""Pairs of criticised solutions, and what an attempt should say."""

import logging

import pytest
from published_sets import complaint, png, put, shown

from mmevolve.data.critique_pairs import critique_pairs
from mmevolve.data.critiquing import critiquing
from mmevolve.data.mm_rlhf_critiques import mm_rlhf_critiques
from mmevolve.data.shapes.dataset import gold, shapes, world_of
from mmevolve.data.shapes.mended import mended
from mmevolve.prompts.error_list import parse

SAMPLES = shapes(n=28, seed=3)


def test_what_a_corrupted_solution_should_say_is_known_step_by_step():
    for task, sample in zip(critiquing(SAMPLES, clean=0.2), SAMPLES, strict=True):
        scene, program = world_of(sample)
        steps = task.meta["steps"]
        should = mended(steps, program, scene)
        wrong = {e["step"]: e["original"] for e in task.meta["errors"]}
        assert should == tuple(wrong.get(k, step) for k, step in enumerate(steps))
        assert mended(gold(sample).splitlines(), program, scene) == tuple(gold(sample).splitlines())


def test_an_attempt_that_strays_is_put_beside_what_was_asked_for():
    sample = next(s for s in SAMPLES if len(gold(s).splitlines()) > 2)
    scene, program = world_of(sample)
    right = gold(sample).splitlines()
    assert mended(["nonsense", *right[1:]], program, scene) == tuple(right)
    assert mended(right[:-1], program, scene) is None


def test_the_chosen_side_has_fewer_errors_and_each_side_the_exact_critique():
    rows = critique_pairs(SAMPLES, words="world_critique", form="verdicts", seed=1)
    assert len(rows) > len(SAMPLES) // 2 and len({r.source for r in rows}) == len(rows)
    counts = []
    for row in rows:
        sides = [(row.prompt, row.chosen), (row.rejected_prompt, row.rejected)]
        wrong = [len(parse(said)) for _, said in sides]
        assert wrong[0] < wrong[1] <= 3
        for chat, said in sides:
            (text,) = [part["text"] for part in chat[0]["content"] if part["type"] == "text"]
            steps = [line for line in text.splitlines() if line.startswith("step ")]
            kept = [line.removesuffix(" ; right") for line in said.splitlines() if line.endswith("; right")]
            assert set(kept) <= set(steps) and len(steps) == len(said.splitlines())
        counts.append(wrong[0])
    assert {0} < set(counts) and counts.count(0) >= len(rows) // 2
    assert rows == critique_pairs(SAMPLES, words="world_critique", form="verdicts", seed=1)
    assert rows != critique_pairs(SAMPLES, words="world_critique", form="verdicts", seed=2)


def test_all_chosen_sides_may_be_clean_and_a_template_without_steps_is_refused():
    rows = critique_pairs(SAMPLES[:8], words="world_critique", clean=1.0)
    assert {r.chosen for r in rows} == {"No errors."}
    with pytest.raises(ValueError, match=r"prompt 'question' has no field \{steps\}"):
        critique_pairs(SAMPLES[:2], words="question")


def test_the_reasons_of_mm_rlhf_are_critiques_of_the_answers(tmp_path, caplog):
    put(tmp_path, "long/a.png", png())
    row = {
        "image": "long/a.png", "prompt": "What is it?", "chosen": "A stop sign.\nIt is red.", "rejected": "A car.",
        "chosen_reason": "True to the image.", "rejected_reason": "There is no car.",
    }  # fmt: skip
    put(tmp_path, "dpo_pairs.jsonl", [row, {**row, "rejected_reason": None}, {**row, "image": None, "video": "a.mp4"}])
    with caplog.at_level(logging.WARNING):
        (pair,) = mm_rlhf_critiques(path=str(tmp_path))
    assert "without a reason for both ranks" in caplog.text and "about a video" in caplog.text
    assert (pair.chosen, pair.rejected, pair.scope) == ("True to the image.", "There is no car.", "critique")
    picture, text = shown(pair.prompt[0])
    assert picture == "#a.png" and "step 1 : A stop sign.\nstep 2 : It is red." in text and "What is it?" in text
    assert "step 1 : A car." in shown(pair.rejected_prompt[0])[1]
    lacking = [{k: v for k, v in row.items() if k != "chosen_reason"}]
    assert "no column 'chosen_reason'" in complaint(mm_rlhf_critiques, path=put(tmp_path, "t.jsonl", lacking))
