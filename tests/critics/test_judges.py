"""A judge that gives numbers, one that compares in both orders, and one that answers first."""

import pytest

from mmevolve.answers import judge_reply
from mmevolve.answers.pair_verdicts import Compared, parse, written
from mmevolve.contracts import check_part
from mmevolve.controls.link import variant
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.judge import Judge
from mmevolve.critics.pairwise_judge import PairwiseJudge
from mmevolve.critics.self_reference import SelfReference
from mmevolve.metrics.best_of_n import BestOfN
from mmevolve.metrics.judged import PairVerdicts, Unscored
from mmevolve.models.scripted import Scripted
from mmevolve.text import images_of
from mmevolve.types import Reply, Sample, Step, Trajectory
from mmevolve.verbs import group

SAMPLE = Sample("s", "how many ?", ("a.png",), answer="4")


class Heard(Scripted):
    """Scripted, and keeps what it was asked and how many pictures came with it."""

    def __init__(self, say):
        super().__init__(lambda said, seed, index: say(said))
        self.asked, self.pictures = [], []

    def generate(self, chats, **knobs):
        self.asked += [chat[0]["content"][-1]["text"] for chat in chats]
        self.pictures += [len(images_of(chat)) for chat in chats]
        return super().generate(chats, **knobs)


def attempts(*texts, sample=SAMPLE):
    return [
        (sample, Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(text),) if text else (), text[-1:] or None))
        for i, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("Score: 7/10", 7), ("**Score:** 7", 7), ("Rating: [[8]]", 8), ("The score is 6 because", 6), ("7.5", 7.5),
        ("7 out of 10", 7), ("(8).", 8), ("Score (1-10): 7", 7), ("A score of 9 would be perfect. Score: 3", 3),
        ("Score: **9**/10", 9), ("Score: 8. It has 3 errors.", 8), ("Score: 10", 10), ("Score: 1", 1),
        ("Score: 7-8", None), ("Score: 5 or 6", None), ("Score: 4/5", None), ("Score: 11", None), ("Score: 0", None),
        ("Score: -3", None), ("Score: 70%", None), ("Score: 1,000", None), ("Score: X", None), (".5", None),
        ("3 steps are right", None), ("", None), ("It is good.", None), ("Score: 7. Score: high", None),
    ],
)  # fmt: skip
def test_a_number_is_read_where_the_reply_gives_one_on_the_scale(reply, number):
    assert judge_reply.score(reply, 1, 10) == number


@pytest.mark.parametrize(
    ("reply", "which"),
    [
        ("Better: A", "A"), ("**Better: B**", "B"), ("better: tie", "tie"), ("A", "A"), ("(B).", "B"), ("[[A]]", "A"),
        ("Tie", "tie"), ("Verdict: Answer B is better", "B"), ("Winner: the response A.", "A"),
        ("Better: A\nNo. Better: B", "B"), ("Better: neither", "tie"),
        ("Better: A or B", None), ("A is better than B", None), ("Better: C", None), ("Better: a", None), ("", None),
        ("It is better because B", None),
    ],
)  # fmt: skip
def test_a_verdict_is_read_where_the_reply_gives_one(reply, which):
    assert judge_reply.better(reply) == which


def test_hostile_replies_are_read_in_no_time():
    for text in ("Score: " * 10_000, "Better: " * 10_000, "1" * 50_000, "Score:" + " " * 50_000, "(" * 50_000):
        assert judge_reply.score(text, 1, 10) is None and judge_reply.better(text) is None


def test_a_number_becomes_a_share_of_the_scale():
    """7 from 1 to 10 is 6 ninths; the ends are 0 and 1; -1 from -2 to 2 is a quarter."""
    model = Heard(lambda said: "Fine.\nScore: " + said.split("grade ")[1].split()[0])
    said = list(Judge(model)(attempts("grade 7", "grade 1", "grade 10")))
    assert [c.score for c in said] == pytest.approx([6 / 9, 0.0, 1.0])
    assert said[0].text == "Fine.\nScore: 7" and said[0].sees_image and said[0].error is None
    assert "An answer to be judged:\ngrade 7\n" in model.asked[0] and "from 1 (useless) to 10 (right" in model.asked[0]
    (low,) = Judge(model, low=-2, high=2)(attempts("grade -1"))
    assert low.score == 0.25 and "from -2 (useless) to 2" in model.asked[-1]


def test_a_reply_without_a_number_is_kept_and_counted_and_never_a_zero():
    critic = Judge(Heard(lambda said: "Score: 9" if "fine" in said else "I cannot say."))
    items = attempts("fine 4", "odd 4", "odd 4", "")
    said = list(critic(items))
    assert [c.score for c in said] == [8 / 9, None, None, None]
    assert said[1].text == "I cannot say."
    assert said[1].error == "no number from 1 to 10 in the judge's reply: 'I cannot say.'"
    assert said[3].error == "the attempt has no steps"
    assert critic.calls.unread["scores"] == 2 and critic.calls.asked["scores"] == 2, "the same text is judged once"
    groups = group([SAMPLE], [t for _, t in items], said)
    assert Unscored()(groups) == {"unscored_judge": 0.75}


def test_a_judge_that_solves_the_question_itself_is_shown_the_answer_alone():
    model = Heard(lambda said: "2 + 2 = 4\nscore : " + ("5" if "attempt : 4\n" in said else "1"))
    critic = Judge(model, words="world_judge", high=5, reads="answer")
    items = attempts("2 + 2 = 5 ; answer : 4", "2 + 2 = 4 ; answer : 4", "answer : 6", "")
    said = list(critic(items))
    assert [c.score for c in said] == [1.0, 1.0, 0.0, None] and said[3].error == "the attempt has no answer"
    assert model.asked == [f"how many ?\nattempt : {x}\nscore the attempt from 1 to 5 ." for x in "46"]


def test_a_judge_that_fails_says_so():
    class Failing(Heard):
        def generate(self, chats, **knobs):
            return [[Reply("", "m", "error")] for _ in chats]

    (said,) = Judge(Failing(lambda said: ""))(attempts("a"))
    assert said.score is None and said.error == "no reply"
    (said, _) = PairwiseJudge(Failing(lambda said: ""))(attempts("a", "b"))
    assert said.score is None and said.text == "against s/0/1 : first unread, second unread"


@pytest.mark.parametrize("kind", [Judge, PairwiseJudge])
def test_a_judge_that_reads_text_alone_gets_no_picture(kind):
    model = Heard(lambda said: "Score: 5" if "Score: X" in said else "Better: tie")
    assert [c.sees_image for c in kind(model)(attempts("a", "b"))] == [True, True]
    blind = kind(model, sees_image=False)
    assert [c.sees_image for c in blind(attempts("a", "b"))] == [False, False]
    assert not blind.sees_image and model.pictures == [1, 1, 0, 0] and check_part(blind) == []


def by_size(said):
    """The attempt with the greater number is better, whatever its place; equal numbers are a tie."""
    a, b = (int(said.split(f"Answer {x}:\n")[1].split("\n")[0].split()[-1]) for x in "AB")
    return "Better: tie" if a == b else f"Better: {'A' if a > b else 'B'}"


def test_win_rates_by_hand():
    """3 beats 2, 2 and 1; the two 2s tie and beat 1: 3/3, (0 + 1 + .5)/3 twice, 0."""
    model = Heard(by_size)
    items = attempts("x 2", "y 2", "z 3", "w 1")
    said = list(PairwiseJudge(model)(items))
    assert [c.score for c in said] == [0.5, 0.5, 1.0, 0.0]
    assert len(model.asked) == 12, "six pairs in both orders"
    assert {(r.other, r.agreed) for r in parse(said[0].text)} == {
        ("s/0/1", "tied"), ("s/0/2", "lost"), ("s/0/3", "won"),
    }  # fmt: skip
    assert "| Better: tie" in said[0].text.split("\n"), "the judge's words are kept"
    groups = group([SAMPLE], [t for _, t in items], said)
    numbers = PairVerdicts()(groups)
    assert numbers == {
        "pairs_pairwise": 6.0, "pairs_unread_pairwise": 0.0, "pairs_agree_pairwise": 1.0,
        "pairs_tied_pairwise": pytest.approx(1 / 6), "position_bias_pairwise": 0.0, "prefers_first_pairwise": 0.5,
    }  # fmt: skip


def test_attempts_are_compared_beside_a_variant_of_their_question():
    """As under a control that swaps the picture: the variant has an id of its own, its attempts name the original."""
    model = Heard(by_size)
    shown = variant(SAMPLE, "swapped", images=("b.png", "c.png"))
    said = PairwiseJudge(model)([(shown, t) for _, t in attempts("x 2", "y 3")])
    assert [c.score for c in said] == [0.0, 1.0] and model.pictures == [2, 2]


def test_only_verdicts_that_agree_in_both_orders_count():
    """Whoever meets `f` is beaten by what stands first; a beats b in both orders, so they have one verdict each."""

    def say(said):
        one, other = (said.split(f"Answer {x}:\n")[1].split("\n")[0] for x in "AB")
        return "Better: A" if "f" in one + other or one == "a" else "Better: B"

    items = attempts("a", "b", "f")
    said = list(PairwiseJudge(Scripted(lambda s, *_: say(s)))(items))
    assert [c.score for c in said] == [1.0, 0.0, None]
    assert said[2].error == "none of 2 comparisons has one verdict in both orders"
    assert {(r.first, r.second) for r in parse(said[2].text)} == {("won", "lost")}
    numbers = PairVerdicts()(group([SAMPLE], [t for _, t in items], said))
    assert numbers["position_bias_pairwise"] == pytest.approx(2 / 3)
    assert numbers["pairs_agree_pairwise"] == pytest.approx(1 / 3)
    assert numbers["prefers_first_pairwise"] == pytest.approx(5 / 6), "all four of f's, and one of a's two"


def test_a_tie_in_one_order_alone_is_no_verdict_and_an_unread_reply_neither():
    def say(said):
        first = said.split("Answer A:\n")[1].split("\n")[0]
        return {"a": "Better: tie", "b": "Better: A", "c": "no idea"}[first]

    items = attempts("a", "b", "c")
    critic = PairwiseJudge(Scripted(lambda s, *_: say(s)))
    said = list(critic(items))
    assert [c.score for c in said] == [None] * 3 and critic.calls.unread["comparisons"] == 2
    numbers = PairVerdicts()(group([SAMPLE], [t for _, t in items], said))
    assert numbers["pairs_unread_pairwise"] == pytest.approx(2 / 3)
    assert numbers["pairs_agree_pairwise"] == 0.0 and numbers["position_bias_pairwise"] == 0.0


def test_attempts_that_say_the_same_are_one_and_alone_it_has_no_rank():
    model = Heard(by_size)
    items = attempts("x 2", "x 2", "y 3", "", "x 2")
    said = list(PairwiseJudge(model)(items))
    assert [c.score for c in said] == [0.0, 0.0, 1.0, None, 0.0] and len(model.asked) == 2
    assert said[1].text == said[4].text == "the same as s/0/0" and said[3].error == "the attempt has no steps"
    assert PairVerdicts()(group([SAMPLE], [t for _, t in items], said))["pairs_pairwise"] == 1.0
    (alone, _) = PairwiseJudge(model)(attempts("x 2", "x 2"))
    assert alone.score is None and alone.error.startswith("there is no other attempt")


@pytest.mark.parametrize(
    ("n", "most", "least"), [(8, 4, 1), (8, 8, 2), (8, 12, 3), (8, 28, 7), (5, 3, 1), (7, 14, 3), (2, 9, 1)]
)
def test_a_bounded_number_of_pairs_is_spread_evenly_over_the_attempts(n, most, least):
    items = attempts(*[f"{i} {i}" for i in range(n)])
    model = Heard(by_size)
    said = list(PairwiseJudge(model, most=most)(items))
    counts = [len(parse(c.text)) for c in said]
    assert sum(counts) == len(model.asked) == 2 * min(most, n * (n - 1) // 2)
    assert min(counts) >= least and max(counts) - min(counts) <= 1 + n % 2
    pairs = {frozenset((c.trajectory_id, r.other)) for c in said for r in parse(c.text)}
    assert len(pairs) == len(model.asked) // 2, "no pair twice"


def test_pairs_depend_on_the_question_and_the_seed_alone():
    other = Sample("o", "how many ?")
    items = attempts(*[f"{i} {i}" for i in range(6)])
    rest = attempts(*[f"{i} {i}" for i in range(6)], sample=other)

    def texts(items, **settings):
        said = PairwiseJudge(Scripted(lambda s, *_: by_size(s)), most=3, **settings)(items)
        return {c.trajectory_id: c.text for c in said}

    assert texts(items) == {k: v for k, v in texts([*rest, *items[::-1]]).items() if k.startswith("s/")}
    assert texts(items) != texts(items, seed=1)


def test_the_win_rate_ranks_attempts_for_best_of_n():
    items = [(SAMPLE, t) for _, t in attempts("1 3", "2 4", "3 1")]
    said = [*PairwiseJudge(Scripted(lambda s, *_: by_size(s)))(items), *AnswerMatch()(items)]
    numbers = BestOfN(ks=(1, 3), rank_by="pairwise")(group([SAMPLE], [t for _, t in items], said))
    assert numbers["best_of@3_pairwise"] == 1.0 and numbers["best_of@1_pairwise"] == pytest.approx(1 / 3)


def test_comparisons_are_read_as_they_were_written():
    rows = [
        Compared("a b/0/1", "won", "lost", "against x : first won, second won\nBetter: A"),
        Compared("c", "tied", "tied"),
    ]
    assert parse("own answer: 3\n" + written(rows)) == rows
    assert [r.agreed for r in rows] == [None, "tied"]
    assert parse("the same as s/0/0") == []


def own_first(said):
    """Answers 4 by itself; gives what agrees with the reference a 10 and the rest a 1."""
    if said.startswith("how many ?"):
        return "I see four.\nAnswer: 4"
    assert "may be wrong too:\nI see four.\nAnswer: 4\n" in said
    return "Score: 10" if "to be judged:\nfour" in said else "Score: 1"


def test_self_reference_answers_first_without_seeing_an_attempt():
    model = Heard(own_first)
    critic = SelfReference(Judge(model, words="judge_reference"))
    said = list(critic(attempts("four", "five")))
    assert [c.score for c in said] == [1.0, 0.0]
    assert [c.critic for c in said] == ["self_reference"] * 2
    assert said[0].text == "own answer: 4\nScore: 10"
    assert len(model.asked) == 3 and "four" not in model.asked[0] and "one step per line" in model.asked[0]
    list(critic(attempts("four", "six")))
    assert len(model.asked) == 4, "its own answer and what it judged before are remembered"
    assert (critic.sees_image, critic.sees_outcome) == (True, False)


def test_self_reference_compares_pairs_and_the_pairs_are_counted():
    def say(said):
        return "Answer: 4" if "Answer A" not in said else by_size(said)

    blind = PairwiseJudge(Heard(say), words="judge_pair_reference", sees_image=False)
    critic, items = SelfReference(blind, name="own"), attempts("x 1", "y 2")
    said = list(critic(items))
    assert [c.score for c in said] == [0.0, 1.0] and not critic.sees_image
    assert blind.judge.pictures == [0, 0, 0]
    assert said[0].text.startswith("own answer: 4\nagainst s/0/1 : first lost, second lost")
    assert PairVerdicts("own")(group([SAMPLE], [t for _, t in items], said))["pairs_own"] == 1.0


def test_a_judge_without_an_answer_of_its_own_judges_nothing():
    other = Sample("o", "how few ?")
    model = Heard(lambda said: "" if said.startswith("how few") else own_first(said))
    items = [*attempts("x", sample=other), *attempts("four")]
    said = list(SelfReference(Judge(model, words="judge_reference"))(items))
    assert said[0].score is None and said[0].error == "the judge gives no answer of its own"
    assert said[1].score == 1.0


def test_templates_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"no field \{reference\}: .* such as 'judge_reference'"):
        SelfReference(Judge(None))
    with pytest.raises(ValueError, match=r"no field \{reference\}: .* such as 'judge_pair_reference'"):
        SelfReference(PairwiseJudge(None))
    with pytest.raises(ValueError, match=r"wrap critic 'judge' in critics\.SelfReference"):
        list(Judge(None, words="judge_reference")(attempts("a")))
    with pytest.raises(ValueError, match=r"wrap critic 'pairwise' in critics\.SelfReference"):
        list(PairwiseJudge(None, words="judge_pair_reference")(attempts("a")))
    with pytest.raises(ValueError, match=r"prompt 'judge_pair' has no field \{attempt\}"):
        Judge(None, words="judge_pair")
    with pytest.raises(ValueError, match=r"prompt 'judge' has no field \{first\}"):
        PairwiseJudge(None, words="judge")
    with pytest.raises(ValueError, match="a scale from 5 to 5, expected low below high"):
        Judge(None, low=5, high=5)


def test_of_nothing_judges_say_nothing():
    for critic in (Judge(None), PairwiseJudge(None), SelfReference(Judge(None, words="judge_reference"))):
        assert list(critic([])) == []
