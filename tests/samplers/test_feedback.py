"""Five arms: the same first attempts, budget and stop; only what is told differs."""

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.metrics.feedback_effect import FeedbackEffect
from mmevolve.models.scripted import Scripted, words_of
from mmevolve.prompts import template
from mmevolve.samplers.feedback import ARMS, Feedback
from mmevolve.samplers.independent import Independent
from mmevolve.text import ask, assistant, user
from mmevolve.types import Critique, Sample
from mmevolve.verbs import group

SAMPLES = [Sample(f"s{i}", f"question {i} ?", (f"{i}.png",), answer="1", choices=()) for i in range(6)]


class Steps:
    """Steps that hold `bad` are wrong."""

    name = "steps"

    def __call__(self, items):
        for _, t in items:
            yield Critique(t.id, self.name, 0.0, tuple(float("bad" not in s.text) for s in t.steps))


class Heard(Scripted):
    """First attempts are wrong but s0's; whoever is told its own wrong steps mends them, others do in vain."""

    def __init__(self):
        super().__init__(self.say)
        self.chats = []

    def generate(self, chats, **knobs):
        self.chats += chats
        return super().generate(chats, **knobs)

    def say(self, said, seed, index):
        number = said.partition("question ")[2][0]
        told = said.partition("Your answer is wrong.")[2]
        right = number == "0" or (f"bad {number} one" in told and f"bad {number} two" in told)
        return f"bad {number} one\nfine\nbad {number} two\nanswer : {1 if right else 9}"


def drawn(**settings):
    policy = Heard()
    part = Feedback(AnswerMatch(), Steps(), **{"donors": SAMPLES, "attempts": 3} | settings)
    made = list(part(policy, SAMPLES, round=2))
    return policy, made


def of(made, chain, arm):
    return [t for t in made if t.sampling["chain"] == chain and t.sampling.get("arm") == arm]


def test_every_arm_follows_the_same_first_attempts_and_stops_when_one_passes():
    _, made = drawn(n=2)
    first = [t for t in made if "arm" not in t.sampling]
    alone = Independent(n=2, temperature=0.7, max_tokens=256)(Heard(), SAMPLES, round=2)
    assert [(t.id, t.steps) for t in first] == [(t.id, t.steps) for t in alone]
    assert all(of(made, "s0/2/0", arm) == [] for arm in ARMS), "it was right at once"
    assert [len(of(made, "s1/2/1", arm)) for arm in ARMS] == [2, 2, 2, 1, 2]
    assert {t.round for t in made} == {2} and len({t.id for t in made}) == len(made)


def test_what_each_arm_is_told():
    policy, made = drawn(attempts=2)
    asked = ask(SAMPLES[1], "{question}")
    own = [c for c in policy.chats if words_of(c).startswith("question 1 ?")]
    wrong = assistant("bad 1 one\nfine\nbad 1 two\nanswer : 9")
    told = [c for c in own if len(c) == 3]
    assert own.count(asked) >= 2, "the first attempt and the resample"
    assert told[0] == (*asked, wrong, user(template("feedback_binary")))
    assert told[1] == (*asked, wrong, user(template("feedback_first").replace("{steps}", "bad 1 one")))
    assert told[2] == (*asked, wrong, user(template("feedback_all").replace("{steps}", "bad 1 one\nbad 1 two")))
    shuffled = words_of(told[3])
    assert "These are the steps that are wrong:\nbad" in shuffled
    assert "bad 1" not in shuffled.partition("Your answer")[2] and "bad 0" not in shuffled, "s0 was right"
    assert [of(made, "s1/2/0", arm)[0].sampling["told"] for arm in ARMS] == [0, 0, 1, 2, 2]


def test_a_resample_revises_nothing_and_the_told_revise_the_one_before():
    _, made = drawn()
    assert [t.parent for t in of(made, "s1/2/0", "resample")] == [None, None]
    assert [t.parent for t in of(made, "s1/2/0", "binary")] == ["s1/2/0", "s1/2/0~binary1"]


def test_nothing_depends_on_the_batch():
    _, together = drawn()
    sampler = Feedback(AnswerMatch(), Steps(), donors=SAMPLES, attempts=3)
    alone = [t for s in reversed(SAMPLES) for t in sampler(Heard(), [s], round=2)]
    assert {t.id: t for t in together} == {t.id: t for t in alone}


def test_where_no_step_is_wrong_the_arm_says_only_that_the_answer_is():
    class Content(Steps):
        def __call__(self, items):
            return (Critique(t.id, self.name, 1.0, (1.0,) * len(t.steps)) for _, t in items)

    policy = Heard()
    made = list(Feedback(AnswerMatch(), Content(), donors=SAMPLES, attempts=2)(policy, SAMPLES[1:2], round=0))
    told = [c[-1] for c in policy.chats if len(c) == 3]
    assert told == [user(template("feedback_binary"))] * 4
    assert {t.sampling["told"] for t in made if "arm" in t.sampling} == {0}


def test_the_effects_by_hand():
    _, made = drawn()
    said = list(AnswerMatch()([(next(s for s in SAMPLES if s.id == t.sample_id), t) for t in made]))
    numbers = FeedbackEffect(draws=200)(group(SAMPLES, made, said))
    # one of six right at first; naming the own wrong steps mends the other five, nothing else does
    assert numbers["feedback/acc_first"] == pytest.approx(1 / 6)
    assert [numbers[f"feedback/acc_{arm}"] for arm in ARMS] == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1, 1 / 6])
    assert numbers["feedback/effect"] == numbers["feedback/content_effect"] == pytest.approx(5 / 6)
    assert numbers["feedback/effect_low"] > 0.4
    assert numbers["feedback/attempts_resample"] == pytest.approx((1 + 5 * 3) / 6)
    assert numbers["feedback/attempts_all_wrong"] == pytest.approx((1 + 5 * 2) / 6)
    assert (numbers["feedback/told_binary"], numbers["feedback/told_shuffled"]) == (0, 1)


def test_arms_of_other_budgets_are_not_compared():
    _, made = drawn()
    _, other = drawn(attempts=2)
    mixed = [t for t in made if t.sample_id != "s5"] + [t for t in other if t.sample_id == "s5"]
    said = [Critique(t.id, "answer", 0.0) for t in mixed]
    with pytest.raises(ValueError, match=r"chain 's5/2/0' has 2 attempts .* chain 's0/2/0' has 3 .* at equal attempts"):
        FeedbackEffect()(group(SAMPLES, mixed, said))


def test_an_effect_needs_both_its_arms():
    _, made = drawn(arms=("resample", "all_wrong"))
    said = [Critique(t.id, "answer", 0.0) for t in made]
    numbers = FeedbackEffect(draws=10)(group(SAMPLES, made, said))
    # no question told them apart; Wilson, 0 of 6: 3.8415 / (6 + 3.8415)
    assert (numbers["feedback/effect"], numbers["feedback/effect_high"]) == pytest.approx((0.0, 0.39034), abs=1e-4)
    assert numbers["feedback/content_effect"] != numbers["feedback/content_effect"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"donors": SAMPLES[:1]}, "got 1 donors, expected 2 or more"),
        ({"temperature": 0.0}, "a resample would be the same answer again"),
        ({"arms": ("binary", "binary")}, "each once"),
        ({"arms": ()}, "expected one or more of resample, binary"),
        ({"words": "nothing"}, "no prompt 'nothing_binary'"),
    ],
)
def test_bad_settings_are_a_sentence(settings, said):
    with pytest.raises(ValueError, match=said):
        drawn(**settings)


def test_the_worlds_templates_have_the_same_fields():
    for name in ("binary", "first", "all"):
        assert (
            ("{steps}" in template(f"world_{name}"))
            == ("{steps}" in template(f"feedback_{name}"))
            == (name != "binary")
        )
