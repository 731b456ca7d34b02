"""Chains by best candidates, self-refinement, and second turns told the answer."""

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.models.scripted import Scripted
from mmevolve.prompts import template
from mmevolve.samplers.best_turns import BestTurns
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.rationalized_turns import RationalizedTurns
from mmevolve.samplers.review import Review
from mmevolve.samplers.self_refine import SelfRefine
from mmevolve.selectors.rewarded_turns import RewardedTurns
from mmevolve.selectors.second_turns import SecondTurns
from mmevolve.text import assistant, user
from mmevolve.types import Group, Sample

SAMPLES = [Sample(f"s{i}", f"question {i} ?", (f"{i}.png",), answer="1") for i in range(4)]


class Heard(Scripted):
    """Keeps what it was asked."""

    def __init__(self, reply):
        super().__init__(reply)
        self.chats, self.knobs = [], []

    def generate(self, chats, **knobs):
        self.chats += chats
        self.knobs.append(knobs)
        return super().generate(chats, **knobs)


def never(said, seed, index):
    return f"seed {seed % 97} {index}\nanswer : 0"


def third(said, seed, index):
    """Right in the third candidate of a revision; the second has no answer; first attempts are wrong."""
    if "check" not in said:
        return "first\nanswer : 0"
    return ["worse\nanswer : 5", "mute", "mended\nanswer : 1"][index % 3]


def judged(made, samples=SAMPLES):
    by_id = {s.id: s for s in samples}
    return [
        Group(s, mine, tuple(AnswerMatch()([(by_id[t.sample_id], t) for t in mine])))
        for s in samples
        if (mine := tuple(t for t in made if t.sample_id == s.id))
    ]


def test_the_best_candidate_goes_on_and_a_right_one_ends_the_chain():
    made = list(BestTurns(AnswerMatch(), k=3, revisions=4, review="check")(Heard(third), SAMPLES[:1], round=2))
    assert [(t.id, t.parent) for t in made] == [
        ("s0/2/0", None), ("s0/2/0~1.0", "s0/2/0"), ("s0/2/0~1.1", "s0/2/0"), ("s0/2/0~1.2", "s0/2/0"),
    ]  # fmt: skip
    assert made[3].sampling["candidate"] == 2
    assert [r.source for r in RewardedTurns(review="check")(judged(made, SAMPLES[:1]))] == ["s0/2/0", "s0/2/0~1.2"]


def test_of_equal_candidates_the_first_goes_on_and_one_without_an_answer_never_before_them():
    def reply(said, seed, index):
        return "mute" if index == 0 and "check" in said else f"try {index}\nanswer : 0"

    made = list(BestTurns(AnswerMatch(), k=3, revisions=2, review="check")(Heard(reply), SAMPLES[:1], round=0))
    assert {t.parent for t in made if t.sampling.get("revision") == 2} == {"s0/0/0~1.1"}
    rows = list(RewardedTurns(review="check", dedup=False)(judged(made, SAMPLES[:1])))
    assert [r.source for r in rows] == ["s0/0/0", "s0/0/0~1.1", "s0/0/0~2.1"]  # the selector goes the sampler's way


def test_a_right_first_attempt_is_left_alone():
    policy = Heard(lambda said, seed, index: "answer : 1")
    assert [t.id for t in BestTurns(AnswerMatch())(policy, SAMPLES, round=0)] == [f"s{i}/0/0" for i in range(4)]
    assert len(policy.knobs) == 1


def test_a_teacher_writes_the_later_turns_of_the_policys_chains():
    policy, teacher = Heard(never), Heard(third)
    made = list(BestTurns(AnswerMatch(), teacher, k=3, review="check")(policy, SAMPLES[:2], round=0))
    assert len(policy.chats) == len(teacher.chats) == 2
    assert teacher.chats[0][1] == assistant(made[0].text)


def test_the_chat_of_a_later_turn_keeps_to_its_window():
    plain, short = Heard(never), Heard(never)
    made = list(BestTurns(AnswerMatch(), k=2, revisions=2, review="check")(plain, SAMPLES[:1], round=0))
    list(BestTurns(AnswerMatch(), k=2, revisions=2, review="check", window=2)(short, SAMPLES[:1], round=0))
    again = user("question 0 ? check each step .")
    asked = (user("question 0 ?", ("0.png",)),)
    turns = [made[0].text, made[1].text]
    assert plain.chats[2] == (*asked, assistant(turns[0]), again, assistant(turns[1]), again)
    assert short.chats[2] == (*asked, assistant(turns[1]), again)


def test_a_refinement_sees_the_attempt_and_its_feedback():
    policy = Heard(lambda said, seed, index: "the count is off" if "strict reader" in said else f"so {seed % 97}")
    first, second = SelfRefine()(policy, SAMPLES[:1], round=1)
    assert (second.id, second.parent, second.sampling["feedback"]) == ("s0/1/0~1", "s0/1/0", "the count is off")
    assert policy.chats[2] == (
        user("question 0 ?", ("0.png",)), assistant(first.text), user(template("self_feedback")),
        assistant("the count is off"), user(template("self_refine")),
    )  # fmt: skip
    assert [knobs["temperature"] for knobs in policy.knobs] == [0.7, 0.0, 0.7]


def test_feedback_that_finds_nothing_wrong_ends_the_chain_unless_it_must_not():
    policy = Heard(lambda said, seed, index: "Nothing is wrong." if "strict reader" in said else "answer : 0")
    assert [t.parent for t in SelfRefine(revisions=3)(policy, SAMPLES, round=0)] == [None] * 4
    assert len(list(SelfRefine(revisions=3, done="")(policy, SAMPLES, round=0))) == 16


@pytest.mark.parametrize(
    "sampler",
    [
        BestTurns(AnswerMatch(), n=2, k=3, revisions=2, window=2, review="check"),
        SelfRefine(n=2, revisions=2),
        RationalizedTurns(Review(n=2, revisions=2), AnswerMatch()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_they_do_not_depend_on_the_batch_or_its_order_and_begin_as_plain_attempts(sampler):
    def reply(said, seed, index):
        return f"seed {seed}\nanswer : {seed % 3}"

    together = {t.id: t for t in sampler(Heard(reply), SAMPLES, round=1)}
    alone = {t.id: t for s in reversed(SAMPLES) for t in sampler(Heard(reply), [s], round=1)}
    assert together == alone
    inner = getattr(sampler, "review", sampler)
    knobs = inner if isinstance(inner, Review) else sampler
    plain = Independent(n=2, temperature=knobs.temperature, max_tokens=256)(Heard(reply), SAMPLES, round=1)
    assert [t for t in together.values() if t.parent is None] == list(plain)


def test_a_first_attempt_whose_review_stayed_wrong_is_rationalized_and_learned_without_the_hint():
    def reply(said, seed, index):
        if "hint" in said:
            return "told\nanswer : 1"
        return "answer : 1" if "question 0" in said and "check" in said else "first\nanswer : 0"

    policy = Heard(reply)
    sampler = RationalizedTurns(Review(review="check"), AnswerMatch())
    made = list(sampler(policy, SAMPLES[:2], round=0))
    assert [t.id for t in made] == ["s0/0/0", "s1/0/0", "s0/0/0~1", "s1/0/0~1", "s1/0/0~hint"]
    assert policy.chats[-1] == (
        user("question 1 ?", ("1.png",)), assistant("first\nanswer : 0"), user("question 1 ? hint : the answer is 1 ."),
    )  # fmt: skip
    rows = list(SecondTurns(kind="own", review="check")(judged(made, SAMPLES[:2])))
    assert [(r.completion, r.prompt[2]) for r in rows] == [
        ("answer : 1", user("question 0 ? check each step .")),
        ("told\nanswer : 1", user("question 1 ? check each step .")),
    ]


def test_what_they_cannot_work_with_is_refused():
    with pytest.raises(ValueError, match=r"BestTurns: window is 0, expected 2 or more: a turn and the one before"):
        BestTurns(AnswerMatch(), window=0)
    with pytest.raises(ValueError, match=r"BestTurns: temperature 0 makes 16 equal candidates"):
        BestTurns(AnswerMatch(), temperature=0.0)
    with pytest.raises(ValueError, match=r"prompt 'check' has no field {answer}"):
        list(RationalizedTurns(Review(), AnswerMatch(), hint="check")(Heard(never), SAMPLES, round=0))
    with pytest.raises(ValueError, match=r"sample 'x' has no answer to rationalize"):
        list(RationalizedTurns(Review(), AnswerMatch())(Heard(never), [Sample("x", "which ?")], round=0))
