"""Looking back: questions, looks, a fresh answer and a critique; by prompt, and by the embedded world's rules."""

import pytest

from mmevolve.answers.written_critique import Said, parse
from mmevolve.contracts import check_part
from mmevolve.critics.look_back import LookBack
from mmevolve.critics.look_back_words import questions, world_written, written
from mmevolve.models.scripted import Scripted
from mmevolve.types import Sample, Step, Trajectory

CHART = Sample("chart", "How many bars are red?", ("chart.png",), "2")
GOOD = '{"step_1": {"explanation": "", "correctness": "correct"}, "step_2": {"explanation": "there are two", '
GOOD += '"correctness": "incorrect"}, "answer_correctness": "incorrect"}'


def attempt(sample, index, answer, *steps):
    last = len(steps) - 1 if answer else None
    typed = tuple(Step(text, "answer" if k == last else "reasoning") for k, text in enumerate(steps))
    return Trajectory(f"{sample.id}/0/{index}", sample.id, "m", typed, answer)


def script(critique=GOOD, heard=None):
    """Asks one question a step that names bars, sees two red ones, answers 2, and criticises as told."""

    def say(said, seed, index):
        if heard is not None:
            heard.append(said)
        if "is to be checked against the image" in said:
            return "1. How many bars are red?" if "Step 1 is" in said else "N/A"
        if said.startswith("How many bars are red?\nAnswer in a few words"):
            return "two"
        if "Reply with one JSON object" in said:
            return critique(seed) if callable(critique) else critique
        assert said == "How many bars are red?", said
        return "I see two.\nAnswer: 2"

    return Scripted(say)


def test_the_four_calls_and_what_each_of_them_sees():
    """Two steps and the answer line: 2 lists of questions, 1 look, 1 fresh answer, 1 critique."""
    heard = []
    critic = LookBack(script(heard=heard), retries=0)
    t = attempt(CHART, 0, "3", "There are bars.", "Three of them are red.", "Answer: 3")
    (said,) = critic([(CHART, t)])
    first, second, look, fresh, synthesis = heard
    assert "1. There are bars.\nStep 1" in first and "Three" not in first, "later steps are not in sight"
    assert "1. There are bars.\n2. Three of them are red.\nStep 2" in second
    assert look == "How many bars are red?\nAnswer in a few words, from what the image shows.", (
        "nothing of the solution"
    )
    assert fresh == "How many bars are red?"
    assert "- How many bars are red? two\nThe question answered anew: 2\n" in synthesis and "Its answer: 3" in synthesis
    assert critic.calls.asked == {"questions": 2, "looks": 1, "candidates": 1, "critiques": 1}
    # the third step got no verdict: the score stands, step scores would be guesses
    assert (said.score, said.step_scores, said.text, said.error) == (0.0, (), GOOD, None)
    assert said.sees_image and parse(said.text, 3).steps == (False, True, None)


def test_a_whole_critique_has_scores_and_lines_that_a_corrector_can_be_given():
    t = attempt(CHART, 0, None, "There are bars.", "Three of them are red.")
    (said,) = LookBack(script())([(CHART, t)])
    assert (said.score, said.step_scores) == (0.0, (1.0, 0.0))
    assert said.text == "Step 1: correct\nStep 2: incorrect. there are two\nAnswer: incorrect"
    assert parse(said.text, 2) == Said(True, (False, True), ("", "there are two"))


def test_nothing_is_asked_twice():
    """Attempts 0 and 1 share their first step; the picture is asked one thing; the fresh answer is one a question."""
    items = [(CHART, attempt(CHART, i, None, "There are bars.", text)) for i, text in enumerate(("a.", "b.", "a."))]
    critic = LookBack(script())
    first = list(critic(items))
    assert critic.calls.asked == {"questions": 3, "looks": 1, "candidates": 1, "critiques": 2}
    assert critic.calls.saved == {"questions": 3, "looks": 2, "candidates": 2, "critiques": 1}
    assert list(critic(items)) == first and critic.calls.asked.total() == 7, "all of it is remembered"
    assert str(critic.calls).startswith("7 calls, 23 saved: 3 questions (9 saved), ")


def test_an_unread_critique_is_asked_for_again_and_never_scored_as_wrong():
    t = attempt(CHART, 0, None, "There are bars.", "Three of them are red.")
    never = LookBack(script("I cannot say."), retries=2)
    (said,) = never([(CHART, t)])
    assert (said.score, said.step_scores, said.text) == (None, (), "I cannot say.")
    assert said.error == "no verdict on the answer after 3 tries: 'I cannot say.'"
    assert never.calls.asked["critiques"] == 3 and never.calls.unread["critiques"] == 1
    tries = []

    def second(seed):  # a greedy try has seed 0 in the script, later ones their own
        tries.append(seed)
        return GOOD if len(tries) == 2 else "hm"

    (said,) = LookBack(script(second))([(CHART, t)])
    assert said.score == 0.0 and len(tries) == 2 and tries[0] != tries[1]


def test_without_a_look_there_is_one_direct_critique():
    heard = []
    critic = LookBack(script(heard=heard), look=False)
    t = attempt(CHART, 0, None, "There are bars.", "Three of them are red.")
    (said,) = critic([(CHART, t)])
    assert said.step_scores == (1.0, 0.0) and len(heard) == 1
    assert "anew" not in heard[0] and critic.calls.asked == {"critiques": 1}


def test_an_attempt_of_thirty_steps_is_asked_about_in_all_of_them():
    steps = [f"Bar {k} is red." for k in range(30)]
    verdict = ", ".join(f'"step_{k}": {{"correctness": "{"in" * (k == 30)}correct"}}' for k in range(1, 31))
    critic = LookBack(script("{" + verdict + ', "answer_correctness": "correct"}'))
    (said,) = critic([(CHART, attempt(CHART, 0, None, *steps))])
    assert said.step_scores == (1.0,) * 29 + (0.0,) and critic.calls.asked["questions"] == 30


def test_a_failed_look_is_not_remembered():
    from dataclasses import replace

    class Failing(Scripted):
        down = True

        def generate(self, chats, **draw):
            made = super().generate(chats, **draw)
            return [[replace(r, text="", stop_reason="error") for r in one] for one in made] if Failing.down else made

    critic = LookBack(Failing(script().replies), retries=0)
    t = attempt(CHART, 0, None, "There are bars.", "Three of them are red.")
    assert next(critic([(CHART, t)])).score is None
    Failing.down = False
    assert next(critic([(CHART, t)])).score == 0.0


@pytest.mark.parametrize(
    ("reply", "asked"),
    [
        ("1. How many bars?\n- Is it red?\n* How many bars?", ("How many bars?", "Is it red?")),
        ("How high?\nHow wide?\nHow deep?", ("How high?", "How wide?")),
        ("N/A", ()),
        ("n / a.", ()),
        ("Not applicable", ()),
        ("The bars are red.", None),
        ("", None),
    ],
)
def test_questions_are_the_lines_that_ask(reply, asked):
    assert questions(reply, 2) == asked


def test_a_critique_in_words_reads_back_in_both_forms():
    said = Said(False, (True, None, False), ("seen : circles : a1 = 1", "", ""))
    assert (
        written(said) == "Step 1: incorrect. seen : circles : a1 = 1\nStep 2: unsure\nStep 3: correct\nAnswer: correct"
    )
    assert world_written(said).startswith("step 1 : incorrect . seen : circles : a1 = 1\nstep 2 : unsure\n")
    assert parse(written(said), 3) == parse(world_written(said), 3) == said


WORLD = {
    "how many red shapes are there ?": "red shapes : a1 b2 = 2\nanswer : 2",
    "how many circles are there ?": "circles : a1 = 1\nanswer : 1",
    "are there more red shapes than circles ?": "red shapes : a1 b2 = 2\ncircles : a1 = 1\n2 > 1 : yes\nanswer : yes",
}
MORE = Sample("more", "are there more red shapes than circles ?", ("scene.png",), "yes")
TABLE = Scripted({question: [reply] for question, reply in WORLD.items()})


def test_by_rule_a_step_is_wrong_where_it_differs_from_what_was_seen():
    """The count of circles is not what is seen; the comparison stands on it, the answer on that. Fresh answer: yes.

    Score: (2 * 0 + 1) / 3, since the fresh answer is the attempt's; all right: (2 + 1) / 3; no answer: 0.
    """
    right = attempt(MORE, 0, "yes", *WORLD[MORE.question].split("\n"))
    wrong = attempt(MORE, 1, "yes", "red shapes : a1 b2 = 2", "circles : a1 c3 = 2", "2 > 2 : no", "answer : yes")
    silent = attempt(MORE, 2, None, "red shapes : a1 b2 = 2")
    critic = LookBack(TABLE, by="rule")
    one, two, three, none = critic([(MORE, t) for t in (right, wrong, silent, attempt(MORE, 3, None))])
    assert (one.score, one.step_scores) == (1.0, (1.0,) * 4)
    assert one.text == "step 1 : correct\nstep 2 : correct\nstep 3 : correct\nstep 4 : correct\nanswer : correct"
    # `2` is stated by a right step and by a wrong one: the comparison is worked out rightly, the answer is not its own
    assert (two.score, two.step_scores) == (pytest.approx(1 / 3), (1.0, 0.0, 1.0, 0.0))
    assert two.text.split("\n")[1] == "step 2 : incorrect . extra : c3 . seen : circles : a1 = 1"
    assert two.text.split("\n")[3] == "step 4 : incorrect . the answer is not no"
    assert (three.score, three.step_scores) == (0.0, (1.0,))
    assert (none.score, none.error) == (None, "the attempt has no steps")
    assert critic.calls.asked == {"candidates": 1, "looks": 2}


def test_by_rule_without_a_look_the_fresh_solution_is_the_witness():
    """It counts red shapes and circles, so both counts are told; a kind that it does not count is not."""
    steps = ("circles : a1 c3 = 2", "blue shapes : a4 = 1", "2 > 1 : yes", "answer : yes")
    critic = LookBack(TABLE, by="rule", look=False)
    (said,) = critic([(MORE, attempt(MORE, 0, "yes", *steps))])
    assert said.step_scores == (0.0, 0.5, 0.0, 0.0)
    assert critic.calls.asked == {"candidates": 1}


def test_several_fresh_answers_are_a_vote():
    lines = WORLD[MORE.question]
    model = Scripted({**TABLE.replies, MORE.question: [lines, "2 > 1 : no\nanswer : no"]})
    right = attempt(MORE, 0, "yes", *lines.split("\n"))
    (said,) = LookBack(model, by="rule", candidates=2, temperature=0.7)([(MORE, right)])
    assert said.score == pytest.approx((2 + 1 / 2) / 3) and said.step_scores == (1.0,) * 4
    with pytest.raises(ValueError, match="2 candidates at temperature 0 would all be one"):
        LookBack(model, candidates=2)
    with pytest.raises(ValueError, match="by 'oracle', expected 'prompt' or 'rule'"):
        LookBack(model, by="oracle")


@pytest.mark.parametrize("settings", [{"by": "rule"}, {"by": "rule", "look": False}, {}, {"look": False}])
def test_it_keeps_the_contract_of_a_critic(settings):
    model = Scripted(lambda said, seed, index: GOOD if len(said) % 2 else f"circles : a1 = 1\nanswer : {len(said) % 3}")
    assert check_part(LookBack(model, **settings)) == []
