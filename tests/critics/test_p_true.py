"""P(True) and P(IK): first the arithmetic by hand, then whether the numbers are probabilities."""

import math
from dataclasses import replace

import pytest

from mmevolve import logistic
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.option_odds import Odds
from mmevolve.critics.p_ik import PIK, NothingToTell
from mmevolve.critics.p_true import PTrue
from mmevolve.metrics.calibration import Calibration
from mmevolve.metrics.honesty import Honesty
from mmevolve.models.scripted import words_of
from mmevolve.protocols import TokenScores
from mmevolve.samplers.independent import Independent
from mmevolve.text import images_of
from mmevolve.types import Reply, Sample, Step, Trajectory
from mmevolve.verbs import group

WORDS = ("four", "seven")
SAMPLE = Sample("s", "how many ?", ("a.png",), answer="4")


class Model:
    """Probabilities of the two letters as `odds(text)` gives them; what stands around a letter is certain.

    `(A) True` is four tokens, `(`, a letter, `)` and the word, and then the end; with `same` letters are one token.
    """

    def __init__(self, odds, same=False, name="model@base", entropy=lambda text: 0.5):
        self.odds, self.same, self.name, self.entropy, self.asked = odds, same, name, entropy, []

    def logprobs(self, chats, completions):
        said = []
        for chat, text in zip(chats, completions, strict=True):
            asked = words_of(chat)
            if not text or text in WORDS:
                said.append(TokenScores((0,), (-3.0 - len(text),), (self.entropy(asked),)))
                continue
            self.asked.append((asked, len(images_of(chat))))
            p = self.odds(asked)["AB".index(text[1])]
            ids = (5, 1, 6, 7, 0) if self.same else (5, ord(text[1]), 6, len(text), 0)
            said.append(TokenScores(ids, (-0.0, math.log(p) if p else -math.inf, -0.0, -0.0, -9.0), (0.0,) * 5))
        return said


def attempts(*answers, sample=SAMPLE):
    return [
        (sample, Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(f"I see {a}"), Step(f"Answer: {a}")), a))
        for i, a in enumerate(answers)
    ]


def test_p_true_is_renormalised_over_both_options_and_the_end_does_not_count():
    """p(A) .3, p(B) .1, the rest is other words: .3 / .4; the end's -9 is in neither."""
    model = Model(lambda text: (0.3, 0.1))
    (said,) = PTrue(model)(attempts("4"))
    assert said.score == pytest.approx(0.75)
    assert (said.sees_image, said.step_scores, said.error) == (True, (), None)
    text, pictures = model.asked[0]
    assert text.startswith(
        "Question: how many ?\nProposed answer: I see 4\nAnswer: 4\nIs the proposed answer:\n(A) True"
    )
    assert pictures == 1


def test_odds_do_not_overflow_and_are_nan_of_nothing():
    assert Odds(0.0, -1e4).chance == 1.0 and Odds(-1e4, 0.0).chance == 0.0
    assert Odds(-math.inf, -1.0).chance == 0.0 and Odds(-1.0, -math.inf).chance == 1.0
    assert math.isnan(Odds(-math.inf, -math.inf).chance) and Odds(-math.inf, -math.inf).mass == 0.0


def test_brainstormed_ideas_are_the_other_first_attempts_in_sampling_order():
    """Attempt 10 comes after 9 and 2; a revision is no idea, nor is the attempt that is judged."""
    model = Model(lambda text: (0.5, 0.5))
    items = attempts(*"abcdefghijk")
    items.append((SAMPLE, replace(items[1][1], id="s/0/1~1", answer="z", parent="s/0/1")))
    critic = PTrue(model, words="p_true_ideas", brainstorm=10, shows="answer")
    said = list(critic(items[::-1]))
    asked = {text.split("Proposed answer: ")[1][0]: text for text, _ in model.asked}
    ideas = asked["a"].split("brainstormed:\n")[1].split("\nProposed")[0]
    assert ideas == "\n".join(f"- {c}" for c in "bcdefghijk")
    assert "- a\n- b\n- c" in asked["z"] and "- z" not in "".join(asked.values())
    assert [c.trajectory_id for c in said] == [t.id for _, t in items[::-1]]
    (alone,) = critic(attempts("4"))
    assert alone.score == 0.5 and "brainstormed:\n- none\nProposed answer: 4" in model.asked[-1][0]


def test_attempts_that_say_the_same_are_asked_about_once():
    model = Model(lambda text: (0.2, 0.2))
    assert [c.score for c in PTrue(model)(attempts("4", "4", "5"))] == [0.5] * 3
    assert len(model.asked) == 4, "two texts, two options"


def test_a_text_only_judge_gets_no_picture_and_says_so():
    model = Model(lambda text: (0.2, 0.1))
    critic = PTrue(model, sees_image=False)
    (said,) = critic(attempts("4"))
    assert not critic.sees_image and not said.sees_image and model.asked[0][1] == 0


@pytest.mark.parametrize(
    ("model", "settings", "why"),
    [
        (Model(lambda text: (0.0, 0.0)), {}, "both options have 0 together, expected over 0"),
        (Model(lambda text: (0.1, 0.1)), {"least": 0.5}, "both options have 0.2 together, expected over 0.5"),
        (Model(lambda text: (0.1, 0.1), same=True), {}, "are the same tokens for this judge"),
    ],
)
def test_a_judge_that_cannot_choose_gives_no_score(model, settings, why):
    (said,) = PTrue(model, **settings)(attempts("4"))
    assert said.score is None and why in said.error


def test_an_attempt_without_an_answer_has_no_p_true_of_it():
    model = Model(lambda text: (0.2, 0.1))
    silent = [(SAMPLE, Trajectory("s/0/0", "s", "m", (Step("hm"),)))]
    assert [c.error for c in PTrue(model, shows="answer")(silent)] == ["the attempt has no answer"]
    assert [c.error for c in PTrue(model)([(SAMPLE, Trajectory("e", "s", "m", ()))])] == ["the attempt has no steps"]
    assert not model.asked and list(PTrue(model)([])) == []


def test_ideas_that_nobody_sees_are_refused():
    with pytest.raises(ValueError, match=r"'p_true' has no field \{ideas\} and brainstorm is 5: .* `p_true_ideas`"):
        PTrue(None, brainstorm=5)
    with pytest.raises(ValueError, match=r"'p_true_ideas' has a field \{ideas\} and brainstorm is 0"):
        PTrue(None, words="p_true_ideas")
    with pytest.raises(ValueError, match=r"prompt 'reason' has no field \{attempt\}"):
        PTrue(None, words="reason")


def test_calibration_of_p_true_by_hand():
    """.9 right, .9 wrong, .2 wrong, .2 wrong: gaps .4 and .2, so ECE .3; Brier (.01 + .81 + .04 + .04) / 4 = .225.

    The right one ranks level with one wrong one and above two: 2.5 of 3 pairs.
    """
    model = Model(lambda text: (0.9, 0.1) if "sure" in text else (0.2, 0.8))
    texts = ("sure right", "sure wrong", "doubt", "doubt again")
    items = [
        (SAMPLE, Trajectory(f"s/0/{i}", "s", "m", (Step(text),), "4" if "right" in text else "5"))
        for i, text in enumerate(texts)
    ]
    said = [*PTrue(model)(items), *AnswerMatch()(items)]
    groups = group([SAMPLE], [t for _, t in items], said)
    numbers = Calibration(rank_by="p_true", bins=10)(groups)
    assert numbers["ece_p_true_attempts"] == pytest.approx(0.3)
    assert numbers["brier_p_true_attempts"] == pytest.approx(0.225)
    assert Honesty(rank_by="p_true")(groups)["auroc_p_true_answer"] == pytest.approx(2.5 / 3)


class Knower(Model):
    """Can answer questions about dogs, most of the time, and says so; has no idea of cats."""

    def __init__(self, **settings):
        super().__init__(lambda text: (0.8, 0.2) if "dogs" in text else (0.2, 0.8), **settings)
        self.drawn = 0

    def generate(self, chats, *, n=1, **knobs):
        self.drawn += len(chats) * n
        right = [4 if "dogs" in words_of(chat) else 1 for chat in chats]
        return [[Reply(f"Answer: {4 if j % 5 < k else 7}", self.name, "stop") for j in range(n)] for k in right]


def asked(n, start=0):
    return [Sample(f"q{i}", f"how many {('dogs', 'cats')[i % 2]} ?", answer="4") for i in range(start, start + n)]


def probe(model=None, **settings):
    settings = {"asked": asked(8), "attempts": Independent(n=5), "verifier": AnswerMatch(), **settings}
    return PIK(model or Knower(), **settings)


def judged(critic, samples):
    return [c.score for c in critic([item for s in samples for item in attempts("4", "7", sample=s)])]


def test_p_ik_learns_the_share_that_is_right_and_tells_it_before_any_attempt():
    """Of dogs 4 in 5 come right, of cats 1 in 5; a small ridge holds the probe a little off."""
    model = Knower()
    critic = probe(model, ridge=1e-3)
    dogs, dogs_too, cats, _ = judged(critic, asked(2, start=20))
    assert dogs == dogs_too == pytest.approx(0.8, abs=1e-3) and cats == pytest.approx(0.2, abs=1e-3)
    assert model.drawn == 40
    assert judged(critic, asked(4, start=30))[::4] == [dogs, dogs] and model.drawn == 40, "fitted once"
    model.name = "model@1"
    judged(critic, asked(2, start=20))
    assert model.drawn == 80, "other weights know other things"


def test_majority_labels_are_one_row_a_question():
    outcomes = [(s, [True, True, False] if "dogs" in s.question else [False, True, False]) for s in asked(8)]
    critic = probe(learns="majority")
    rows = critic.features([s for s, _ in outcomes])
    assert critic.fit(outcomes) == logistic.fit(rows, ["dogs" in s.question for s, _ in outcomes], ridge=1.0)
    assert rows[0][:2] == [pytest.approx(math.log(4)), 0.5] and rows[0][2:] == [4.0, 0.0, 0.0]


def test_the_words_that_an_answer_may_begin_with_are_read_of_each_question():
    """Of each question the entropy and both words' log-probabilities, none of another question's."""
    model = Knower(entropy=lambda text: float("dogs" in text))
    rows = probe(model, reads=WORDS).features(asked(2))
    assert [row[1] for row in rows] == [1.0, 0.0] and [row[5:] for row in rows] == [[-7.0, -8.0]] * 2


def test_known_outcomes_are_not_drawn_again_and_give_the_same_probe():
    drawn, stored = Knower(), Knower()
    verdicts = {s.id: [float(j < (4 if "dogs" in s.question else 1)) for j in range(5)] for s in asked(8)}
    same = PIK(stored, asked(8), outcomes={**verdicts, "elsewhere": [1.0]})
    assert judged(same, asked(4, start=20)) == judged(probe(drawn), asked(4, start=20))
    assert (drawn.drawn, stored.drawn) == (40, 0)
    some = probe(stored, outcomes={k: [*v, None] for k, v in list(verdicts.items())[:6]})
    assert judged(some, asked(4, start=20)) == judged(same, asked(4, start=20)) and stored.drawn == 10


def test_a_question_that_was_fitted_on_has_no_score():
    said = list(probe()(attempts("4", sample=asked(1)[0]) + attempts("4", sample=asked(1, start=20)[0])))
    assert said[0].score is None and said[0].error == "the probe was fitted on this question"
    assert said[1].score is not None


def test_outcomes_that_are_all_alike_leave_no_probe():
    critic = PIK(Knower(), asked(2), outcomes={"q0": [1.0, 1.0], "q1": [1.0]})
    (said,) = critic(attempts("4", sample=asked(1, start=20)[0]))
    assert said.score is None and said.error.startswith("all 3 outcomes to fit on are right: the probe has nothing")
    with pytest.raises(NothingToTell, match="there are no outcomes to fit on"):
        critic.fit([(s, []) for s in asked(2)])


def test_features_that_a_model_does_not_give_are_missing():
    """A server has no entropies, a tokenizer may not tell the options apart: the question's form is left."""
    model = Knower(same=True, entropy=lambda text: math.nan)
    rows = probe(model).features(asked(1))
    assert math.isnan(rows[0][0]) and math.isnan(rows[0][1]) and rows[0][2] == 4.0
    assert judged(probe(model), asked(1, start=20)) == [pytest.approx(0.5), pytest.approx(0.5)]


def test_what_a_probe_needs_is_asked_for():
    with pytest.raises(ValueError, match="no questions in 'asked'"):
        PIK(Knower(), [])
    with pytest.raises(
        ValueError, match=r"1 of 2 questions have no outcomes, 'q1' first: expected `attempts` and `verif"
    ):
        PIK(Knower(), asked(2), outcomes={"q0": [1.0]})


def test_p_ik_does_not_depend_on_which_questions_are_judged_together():
    together = judged(probe(), asked(4, start=20))
    alone = [score for s in asked(4, start=20) for score in judged(probe(), [s])]
    assert together == alone and list(probe()([])) == []
