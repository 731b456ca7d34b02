"""Judging as a task, the score that a judgment gives, and how near it is to the one that was deserved."""

import pytest

from mmevolve.answers import equal
from mmevolve.critics.judgment import GivenScore, NearGold
from mmevolve.data.judging import judging
from mmevolve.types import Sample, Step, Trajectory

CHOICES = ("a cat", "a dog", "a cow")
OPTIONS = [Sample(f"o{i}", "Which ?", (f"{i}.png",), "ABC"[i % 3], CHOICES, "zoo") for i in range(60)]
OPEN = [Sample(f"n{i}", "How many ?", (), str(i % 5)) for i in range(60)]


def gold(s):
    return s.meta["judging"]["gold"]


def test_half_of_the_answers_are_right_and_all_are_what_they_are_said_to_be():
    made = judging([*OPTIONS, *OPEN])
    by_id = {f"judge-{s.id}": s for s in (*OPTIONS, *OPEN)}
    assert len(made) == 120 and 40 < sum(gold(s) == 5 for s in made) < 80
    for s in made:
        was = by_id[s.id]
        shown = s.meta["judging"]["answer"]
        assert equal(shown, was.answer, choices=was.choices) is (gold(s) == 5) and s.answer == str(gold(s))
        assert s.images == was.images and s.source == was.source and not s.choices


def test_the_question_shows_what_is_judged():
    (made,) = judging(OPTIONS[:1], right=1.0, low=0, high=10)
    assert "Question: Which ?\n(A) a cat\n(B) a dog\n(C) a cow" in made.question
    assert "An answer to be judged:\n(A) a cat\n" in made.question and "from 0 (useless) to 10" in made.question
    assert made.meta["judging"] == {"question": "Which ?", "answer": "(A) a cat", "gold": 10}


def test_what_is_shown_depends_on_the_sample_and_the_seed_alone():
    assert judging(OPTIONS)[5] == judging(OPTIONS[5:6])[0]
    assert judging(OPTIONS) == judging(OPTIONS) != judging(OPTIONS, seed=1)
    assert {gold(s) for s in judging(OPEN, right=0.0)} == {1}


def test_near_wrong_answers_are_the_next_numbers_or_words_of_the_same_kind():
    """Of 0 to 9, 40 and yes and no: beside 3 stand 1, 2, 4 and 5, beside 40 stand 6 to 9, beside yes only no."""
    answers = [*map(str, range(10)), "40", "yes", "no"]
    samples = [Sample(f"n{i}", "?", answer=answers[i % 13]) for i in range(13 * 20)]
    shown = {}
    for task, sample in zip(judging(samples, right=0.0, wrong="near"), samples, strict=True):
        shown.setdefault(sample.answer, set()).add(task.meta["judging"]["answer"])
    assert shown["3"] == {"1", "2", "4", "5"} and shown["40"] == {"6", "7", "8", "9"}
    assert shown["yes"] == {"no"} and shown["no"] == {"yes"}
    (lone, _) = judging([Sample("a", "?", answer="yes"), Sample("b", "?", answer="4")], right=0.0, wrong="near")
    assert lone.meta["judging"]["answer"] == "4"


def test_samples_without_an_answer_to_show_are_left_out_and_counted(caplog):
    made = judging([OPTIONS[0], Sample("u", "?"), OPTIONS[1]])
    assert [s.id for s in made] == ["judge-o0", "judge-o1"]
    assert "judging: 1 of 3 samples have no answer to show" in caplog.text
    with pytest.raises(ValueError, match=r"none of 2 samples has a reference answer, or a wrong one"):
        judging([Sample("a", "?", answer="4"), Sample("b", "?", answer="4.0")], right=0.0)


def test_settings_that_make_no_task_are_refused():
    with pytest.raises(ValueError, match=r"prompt 'reason' has no field \{attempt\}"):
        judging(OPTIONS, words="reason")
    with pytest.raises(ValueError, match=r"a scale from 5 to 5: expected low below high"):
        judging(OPTIONS, low=5, high=5)


TASK = judging(OPTIONS[:1], right=0.0)[0]  # deserves 1


def judgments(*texts, sample=TASK, stop="stop"):
    return [
        (sample, Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(text),), stop_reason=stop))
        for i, text in enumerate(texts)
    ]


def test_scores_of_judgments_by_hand():
    """From 1 to 5: 1 is 0, 4 is 3/4. With 1 deserved, 1 is as near as can be, 4 is 3 of 4 away."""
    items = judgments("It is wrong.\nScore: 1", "Fine.\nScore: 4", "I like it.", "Score: 7")
    assert [c.score for c in GivenScore()(items)] == [0.0, 0.75, None, None]
    assert [c.score for c in NearGold()(items)] == [1.0, 0.25, None, None]
    assert [c.score for c in NearGold(exact=True)(items)] == [1.0, 0.0, 0.0, 0.0]
    assert [c.error for c in GivenScore()(items)][2] == "no number from 1 to 5 in the judgment: 'I like it.'"
    cut = judgments("Score: 1", stop="length")
    for critic in (GivenScore(), NearGold()):
        (said,) = critic(cut)
        assert said.error == "the judgment was cut at the token limit"


def test_other_samples_and_other_scales_are_said():
    (said,) = NearGold()(judgments("Score: 1", sample=OPTIONS[0]))
    assert said.error == "sample 'o0' has no gold score on record: `data.judging` puts it there"
    with pytest.raises(
        ValueError, match=r"'judge-o0' deserves 1, expected 3 to 5: give this critic and data.judging t"
    ):
        list(NearGold(low=3)(judgments("Score: 4")))
    with pytest.raises(ValueError, match=r"critic 'given': a scale from 5 to 1, expected low below high"):
        GivenScore(low=5, high=1)
