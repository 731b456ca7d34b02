"""Blended rewards, and a vote among the attempts that a check lets pass."""

import math

import pytest

from mmevolve.critics.blend import Blend
from mmevolve.critics.implicit_reward import ImplicitReward
from mmevolve.critics.self_check_vote import SelfCheckVote
from mmevolve.critics.vote import Vote
from mmevolve.models.scripted import Scripted
from mmevolve.protocols import TokenScores
from mmevolve.types import Critique, Sample, Step, Trajectory

S, R = Sample("s", "?", ("a.png",)), Sample("r", "?")


class Table:
    """Scores by trajectory id; None says nothing."""

    def __init__(self, name, scores, sees_image=False, sees_outcome=False):
        self.name, self.scores, self.sees_image, self.sees_outcome = name, scores, sees_image, sees_outcome

    def __call__(self, items):
        for _, t in items:
            score = self.scores[t.id]
            yield Critique(t.id, self.name, score, sees_image=self.sees_image, error=None if score is not None else "?")


def items(*rows):
    return [(s, Trajectory(f"{s.id}/0/{i}", s.id, "m", (Step("x"),), answer)) for s, i, answer in rows]


ITEMS = items((S, 0, "1"), (S, 1, "2"), (S, 2, "2"), (R, 0, "5"), (R, 1, "5"))
LOOK = Table("look", {"s/0/0": 0.2, "s/0/1": 0.4, "s/0/2": 0.6, "r/0/0": 0.9, "r/0/1": 0.9}, sees_image=True)
LENGTH = Table("length", {"s/0/0": 100.0, "s/0/1": 300.0, "s/0/2": None, "r/0/0": 50.0, "r/0/1": 70.0})


def test_a_plain_sum_and_who_says_nothing():
    said = list(Blend([LOOK, LENGTH], [2.0, -0.01])(ITEMS))
    assert [c.score for c in said] == pytest.approx([-0.6, -2.2, None, 1.3, 1.1])
    assert said[0].text == "look 0.2, length 100" and said[0].sees_image
    assert said[2].error == "critic 'length' gives no score: ?"


def test_scores_are_put_on_one_scale_within_a_question():
    """0.2, 0.4, 0.6: std sqrt(0.08 / 3); 100 and 300: -1 and 1; 0.9 twice: 0; 50 and 70: -1 and 1."""
    said = [c.score for c in Blend([LOOK, LENGTH], [1.0, 0.5], normalise="group")(ITEMS)]
    z = 0.2 / math.sqrt(0.08 / 3)
    assert said == pytest.approx([-z - 0.5, 0.0 + 0.5, None, -0.5, 0.5])


def test_the_same_bytes_whatever_else_is_judged_and_in_any_order():
    blend = Blend([LOOK, LENGTH], [1.0, 0.5], normalise="group")
    whole = {c.trajectory_id: c for c in blend(ITEMS)}
    for part in (ITEMS[:3], ITEMS[3:], ITEMS[::-1]):
        assert all(whole[c.trajectory_id] == c for c in blend(part))


def test_fixed_numbers_of_each_reward():
    """(0.2 - 0.5) / 0.1 + (100 - 200) / 100 = -4."""
    blend = Blend([LOOK, LENGTH], [1.0, 1.0], normalise="fixed", means=[0.5, 200.0], stds=[0.1, 100.0])
    assert next(iter(blend(ITEMS))).score == pytest.approx(-4.0)


def test_it_sees_what_its_critics_see():
    assert Blend([LOOK, LENGTH], [1, 1]).sees_image and not Blend([LENGTH], [1]).sees_image
    assert Blend([Table("x", {}, sees_outcome=True)], [1]).sees_outcome and not Blend([LOOK], [1]).sees_outcome


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weights": [1.0]}, "normalise none: 1 weights for 2 critics, expected 2"),
        ({"weights": [1.0, math.inf]}, "weights are [1.0, inf], expected finite numbers"),
        ({"weights": [1.0, 1.0], "means": [0.0, 0.0]}, "normalise none: 2 means for 2 critics, expected 0"),
        ({"weights": [1.0, 1.0], "normalise": "fixed"}, "normalise fixed: 0 means for 2 critics, expected 2"),
        (
            {"weights": [1, 1], "normalise": "fixed", "means": [0, 0], "stds": [1, 0]},
            "stds are [1, 0], expected numbers above 0",
        ),
    ],
)
def test_numbers_that_are_not_one_a_critic_are_refused(settings, sentence):
    with pytest.raises(ValueError) as error:
        Blend([LOOK, LENGTH], **settings)
    assert sentence in str(error.value)
    with pytest.raises(ValueError, match="blends no critics"):
        Blend([], [])


VOTES = items((S, 0, "7"), (S, 1, "7"), (S, 2, "7"), (S, 3, "4"), (S, 4, "4.0"), (S, 5, None))


def check(*passing, none=()):
    return Table("check", {f"s/0/{i}": None if i in none else float(i in passing) for i in range(6)}, sees_image=True)


def test_only_attempts_that_pass_have_a_vote():
    """7 leads 3 to 2; of 0, 3 and 4, which pass, two say 4."""
    said = list(SelfCheckVote(check(0, 3, 4))(VOTES))
    assert [c.score for c in said] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 0.0])
    assert said[0].text == "3 of 6 attempts pass" and said[0].sees_image
    assert max(c.score for c in Vote()(VOTES)) == next(iter(Vote()(VOTES))).score, "a plain vote says 7"


def test_an_attempt_that_cannot_be_judged_has_no_vote():
    assert next(SelfCheckVote(check(0, 3, none=(1, 2)))(VOTES)).score == 0.5


def test_where_nothing_passes_all_vote_or_none():
    assert [c.score for c in SelfCheckVote(check())(VOTES)] == pytest.approx([c.score for c in Vote()(VOTES)])
    assert {c.score for c in SelfCheckVote(check(), nothing="zero")(VOTES)} == {0.0}


def test_a_check_that_passes_everything_is_a_vote():
    passed = SelfCheckVote(check(*range(6)))
    assert [c.score for c in passed(VOTES[::-1])] == pytest.approx([c.score for c in Vote()(VOTES[::-1])])


class Likes(Scripted):
    """Log-probabilities by text."""

    def __init__(self, table, ids=(1, 2, 0)):
        super().__init__({}, name="likes")
        self.table, self.ids, self.calls = table, ids, []

    def logprobs(self, chats, completions):
        self.calls += completions
        return [TokenScores(self.ids, self.table[text], (0.0,) * len(self.ids)) for text in completions]


def test_the_implicit_reward_is_beta_times_the_log_ratio():
    """0.1 (-2.5 + 4) = 0.15, by token 0.05; attempts that say the same are scored once; none without a step."""
    policy, reference = Likes({"x": (-1.0, -1.0, -0.5)}), Likes({"x": (-1.0, -2.0, -1.0)})
    tried = [*ITEMS[:2], (S, Trajectory("s/0/9", "s", "m", ()))]
    said = list(ImplicitReward(policy, reference)(tried))
    assert [c.score for c in said] == pytest.approx([0.15, 0.15, None]) and policy.calls == ["x"]
    assert said[0].sees_image and said[2].error == "the attempt has no steps"
    assert next(iter(ImplicitReward(policy, reference, mean=True)(tried))).score == pytest.approx(0.05)
    assert next(iter(ImplicitReward(policy, policy)(tried))).score == 0.0
    with pytest.raises(ValueError, match=r"read an attempt at sample 's' as different tokens"):
        list(ImplicitReward(policy, Likes({"x": (-1.0,)}, ids=(5,)))(tried))
