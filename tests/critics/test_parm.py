import math

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.each_prefix import EachPrefix
from mmevolve.critics.parm import PARM
from mmevolve.critics.parm_labels import ClarityLabels, PotentialLabels, latched
from mmevolve.critics.yes_no import YesNo
from mmevolve.models.scripted import Scripted
from mmevolve.protocols import TokenScores
from mmevolve.selectors.step_labels import StepLabels
from mmevolve.selectors.top_k import TopK
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

SAMPLE = Sample("s", "how many ?", ("a.png",), answer="4")


class Says:
    """A critic whose step scores are given by trajectory id; its score is their last, or what is given."""

    def __init__(self, name, steps=None, scores=None):
        self.name, self.steps, self.scores = name, steps or {}, scores or {}

    def __call__(self, items):
        for _, t in items:
            steps = self.steps.get(t.id, ())
            score = self.scores.get(t.id, steps[-1] if steps else None)
            yield Critique(t.id, self.name, score, steps, error="no idea" if score is None else None)


def attempts(n, steps=3):
    made = [Trajectory(f"s/0/{i}", "s", "m", tuple(Step(f"{k} of {i}") for k in range(steps)), "4") for i in range(n)]
    return [(SAMPLE, t) for t in made]


def parm(clarity, potential, outcome, **words):
    n = len(clarity)
    critics = [Says(name, {f"s/0/{i}": row for i, row in enumerate(rows)}) for name, rows in
               (("clarity", clarity), ("potential", potential))]  # fmt: skip
    items = attempts(n, len(clarity[0]))
    return list(PARM(*critics, Says("orm", scores={f"s/0/{i}": o for i, o in enumerate(outcome)}), **words)(items))


def test_the_gate_latches_and_the_potential_is_asked_at_the_first_clear_step_only():
    """Clear at step 2, unclear again at 3: .7 there counts, .1 before and .2 after do not. (2 + .6) / 3."""
    (said,) = parm([(0.1, 0.9, 0.3)], [(0.1, 0.7, 0.2)], [0.6])
    assert said.step_scores == (1.0, 0.7, 1.0)
    assert said.score == pytest.approx(2.6 / 3)
    assert said.text == "clear from step 2"


def test_or_at_every_step_from_there_on_where_the_least_decides():
    (said,) = parm([(0.1, 0.9, 0.3)], [(0.1, 0.7, 0.2)], [0.6], assess="every")
    assert said.step_scores == (1.0, 0.7, 0.2)
    assert said.score == pytest.approx(0.2)
    assert said.text == "clear from step 2, potential 0.20: given up"


def test_an_attempt_whose_gate_never_opens_is_not_given_up():
    (said,) = parm([(0.1, 0.2)], [(0.0, 0.0)], [0.9])
    assert said.step_scores == (1.0, 1.0) and said.score == pytest.approx(2.9 / 3)


def best(said, items):
    group = Group(SAMPLE, tuple(t for _, t in items), (*said, *AnswerMatch()(items)))
    (row,) = TopK(k=1, rank_by="parm")([group])
    return row.source


def test_best_of_n_is_of_the_survivors_even_when_a_given_up_attempt_has_the_better_outcome():
    said = parm([(0.9, 0.9)] * 3, [(0.4, 0.9), (0.6, 0.9), (0.7, 0.9)], [1.0, 0.0, 0.3])
    assert [c.score for c in said] == pytest.approx([1 / 3, 2 / 3, 2.3 / 3])
    assert best(said, attempts(3, 2)) == "s/0/2"


def test_when_all_fail_the_lowest_no_is_taken():
    said = parm([(0.9, 0.9)] * 3, [(0.4, 0.9)] * 3, [0.2, 0.45, 0.3])
    assert best(said, attempts(3, 2)) == "s/0/1"


def test_a_judge_without_a_score_leaves_the_attempt_without_one():
    (said,) = parm([(0.9, 0.9)], [(0.4, 0.9)], [None])
    assert said.score is None and said.error == "orm: no idea"


def test_bad_judges_are_refused():
    with pytest.raises(ValueError, match=r"outcome 1\.5 by 'orm', expected 0 to 1"):
        parm([(0.9, 0.9)], [(0.4, 0.9)], [1.5])
    whole = Says("orm", scores={"s/0/0": 0.5})
    with pytest.raises(ValueError, match=r"'orm' gives 0 step scores for 3 steps; wrap .* in critics\.EachPrefix"):
        list(PARM(whole, whole, whole)(attempts(1)))


class Judge:
    """First-token log-probabilities by word; a chat's text may change them."""

    def __init__(self, odds, same=False):
        self.odds, self.same, self.asked = odds, same, []

    def logprobs(self, chats, completions):
        said = []
        for chat, word in zip(chats, completions, strict=True):
            text = chat[0]["content"][-1]["text"]
            self.asked.append(text)
            p = self.odds(text)[word]
            ids = (7 if self.same else {"yes": 1, "no": 2}[word], 9)
            said.append(TokenScores(ids, (math.log(p) if p else -math.inf, -5.0), (0.0, 0.0)))
        return said


def test_yes_against_no_is_the_softmax_over_the_first_token():
    """p(yes) .3, p(no) .1, the rest is other words: .3 / .4."""
    judge = Judge(lambda text: {"yes": 0.3, "no": 0.1})
    (said,) = YesNo(judge)(attempts(1))
    assert said.score == pytest.approx(0.75) and said.sees_image
    assert judge.asked[0] == "how many ?\nAn attempt:\n0 of 0\n1 of 0\n2 of 0\nIs the attempt right? Answer yes or no."


@pytest.mark.parametrize(("yes", "no", "least"), [(0.0, 0.0, 0.0), (0.01, 0.02, 0.1)])
def test_a_judge_that_would_say_something_else_gives_no_score(yes, no, least):
    (said,) = YesNo(Judge(lambda text: {"yes": yes, "no": no}), least=least)(attempts(1))
    assert said.score is None and "of the first token together" in said.error


def test_words_that_begin_alike_and_a_question_without_the_attempt_are_refused():
    with pytest.raises(ValueError, match="'yes' and 'no' begin with the same token for this judge"):
        list(YesNo(Judge(lambda text: {"yes": 0.5, "no": 0.5}, same=True))(attempts(1)))
    with pytest.raises(ValueError, match=r"has no field \{attempt\}"):
        YesNo(Judge(None), asks="{question}")


@pytest.mark.parametrize(
    ("reply", "score"), [("Yes, it is.", 1.0), ("no", 0.0), ("perhaps", None), ("", None), ("yes and no", 1.0)]
)
def test_a_reply_is_read_safely_and_asked_for_once(reply, score):
    asked = []

    def say(said, seed, index):
        asked.append(said)
        return reply

    (said,) = YesNo(Scripted(say), reads="text")(attempts(1))
    assert said.score == score and len(asked) == 1
    assert (said.error is None) == (score is not None)


def test_of_no_attempts_a_judge_says_nothing():
    assert list(YesNo(Scripted(lambda *_: "yes"), reads="text")([])) == []
    assert list(YesNo(Judge(None))([])) == []


def test_each_beginning_is_judged_once_and_the_last_is_the_attempt():
    judge = Judge(lambda text: {"yes": 0.1 * text.count(" of "), "no": 0.1})
    items = [(SAMPLE, Trajectory(f"s/0/{i}", "s", "m", (Step("0 of 0"), Step(f"1 of {i}")))) for i in range(2)]
    said = list(EachPrefix(YesNo(judge))(items))
    assert [c.step_scores for c in said] == [pytest.approx((1 / 2, 2 / 3))] * 2
    assert [c.score for c in said] == pytest.approx([2 / 3] * 2)
    assert len(judge.asked) == 2 * 3, "three beginnings, asked for yes and for no"


def test_a_beginning_without_a_score_leaves_none():
    judge = Judge(lambda text: {"yes": 0.1 if "1 of" in text else 0.0, "no": 0.0})
    (said,) = EachPrefix(YesNo(judge))(attempts(1))
    assert said.score is None and "first token" in said.error
    (empty,) = EachPrefix(YesNo(judge))([(SAMPLE, Trajectory("e", "s", "m", ()))])
    assert empty.error == "the attempt has no steps"


def values(*rows):
    return Says("value", {f"s/0/{i}": row for i, row in enumerate(rows)})


def test_clarity_by_variance_is_where_the_odds_leave_the_questions_own():
    """Verdicts 1 and 0: the question's value is .5. With epsilon .2, .6 is not clear, .75 is, and .5 after it stays."""
    critic = ClarityLabels(values((0.6, 0.75, 1.0), (0.25, 0.5, 0.0)))
    first, second = critic(attempts(2))
    assert first.step_scores == (0.0, 1.0, 1.0) and first.score == pytest.approx(2 / 3)
    assert second.step_scores == (1.0, 1.0, 1.0)


def test_clarity_by_position_leaves_the_middle_without_a_label():
    """Of 18 steps those up to 9 are unclear, 10 and 11 unlabelled, 12 and later clear, as in the paper."""
    (said,) = ClarityLabels(rule="position")(attempts(1, 18))
    assert said.step_scores[:9] == (0.0,) * 9
    assert all(math.isnan(x) for x in said.step_scores[9:11])
    assert said.step_scores[11:] == (1.0,) * 7


def test_clarity_by_claim_is_where_something_is_seen_or_counted():
    steps = (Step("let us look"), Step("a circle : b2", "perception"), Step("so it is"))
    (said,) = ClarityLabels(rule="claim")([(SAMPLE, Trajectory("t", "s", "m", steps))])
    assert said.step_scores == (0.0, 1.0, 1.0)
    (said,) = ClarityLabels(rule="claim")([(SAMPLE, Trajectory("t", "s", "m", (Step("well"), Step("1 + 2"))))])
    assert said.step_scores == (0.0, 1.0)


def test_potential_labels_are_rollout_values_behind_the_gate_soft_and_hard():
    value = values((0.6, 0.75, 1.0), (0.25, 0.0, 0.0))
    items = attempts(2)
    said = list(PotentialLabels(value, ClarityLabels(value))(items))
    assert math.isnan(said[0].step_scores[0]) and said[0].step_scores[1:] == (0.75, 1.0)
    assert said[1].step_scores == (0.25, 0.0, 0.0)
    rows = list(StepLabels(critic="potential", kind="hard")([Group(SAMPLE, tuple(t for _, t in items), tuple(said))]))
    assert rows[1].labels == (1.0, 0.0, 0.0), "any continuation that ended well"
    assert math.isnan(rows[0].labels[0]) and rows[0].labels[1:] == (1.0, 1.0)


def test_labels_pass_on_what_has_no_value():
    missing = Says("value")
    assert [c.error for c in ClarityLabels(missing)(attempts(1))] == ["no idea"]
    assert [c.error for c in PotentialLabels(missing, ClarityLabels(rule="claim"))(attempts(1))] == ["no idea"]


def test_rules_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="needs rollout values"):
        ClarityLabels()
    with pytest.raises(ValueError, match=r"early 0\.9 is above late 0\.5"):
        ClarityLabels(rule="position", early=0.9, late=0.5)


def test_the_gate_stays_open():
    assert latched((0.0, 1.0, 0.0, 0.2)) == (0.0, 1.0, 1.0, 1.0)
    assert latched((0.0, 0.1)) == (0.0, 0.1)
