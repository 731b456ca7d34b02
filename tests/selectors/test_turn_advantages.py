"""SCoRe's rows by hand: rewards of both turns, shaping, leave-one-out baselines, weights of the KL term."""

import math
from dataclasses import replace

import pytest

from mmevolve.models.scripted import Scripted
from mmevolve.samplers.review import Review
from mmevolve.selectors.turn_advantages import TurnAdvantages
from mmevolve.text import assistant, user
from mmevolve.types import Critique, Group, Reply, Rollout, Sample, Step, Trajectory

SAMPLE = Sample("s", "which ?", ("a.png",), answer="B", choices=("red", "blue"))


def turn(name, prompt, token, **changes):
    given = {"sampling": {"prompt": prompt}, "token_ids": (5, token), "logprobs": (-0.5, -1.0)}
    return Trajectory(name, "s", "m", (Step(f"text {name}"),), **{**given, **changes})


def group(*rewards, **changes):
    """One chain for each (r1, r2)."""
    made, said = [], []
    for i, (r1, r2) in enumerate(rewards):
        first, second = f"s/0/{i}", f"s/0/{i}~1"
        made += [turn(first, "question", i), turn(second, "check", 9 + i, parent=first, **changes)]
        said += [Critique(first, "answer", r1), Critique(second, "answer", r2)]
    return Group(SAMPLE, tuple(made), tuple(said))


def rows(part, *groups):
    """(advantage, KL weight) of each row by its source, without the question's name."""
    return {r.source.removeprefix("s/0/"): (pytest.approx(r.advantages[0]), r.kl) for r in part(groups)}


THREE = ((1.0, 1.0), (0.0, 1.0), (0.0, 0.0))


def test_the_first_stage_rewards_the_second_turn_alone_and_holds_the_first_alone():
    """r2 = 1, 1, 0: 1 - 1/2, 1 - 1/2, 0 - 1."""
    assert rows(TurnAdvantages(stage="first", review="check"), group(*THREE)) == {
        "0": (0.0, 1.0), "0~1": (0.5, 0.0), "1": (0.0, 1.0), "1~1": (0.5, 0.0), "2": (0.0, 1.0), "2~1": (-1.0, 0.0),
    }  # fmt: skip


def test_the_second_stage_rewards_both_turns_and_what_the_second_mends():
    """r1 = 1, 0, 0: 1, -1/2, -1/2. With alpha 2, r2 + 2 (r2 - r1) = 1, 3, 0: 1 - 3/2, 3 - 1/2, 0 - 2."""
    assert rows(TurnAdvantages(alpha=2, review="check"), group(*THREE)) == {
        "0": (1.0, 1.0), "0~1": (-0.5, 1.0), "1": (-0.5, 1.0), "1~1": (2.5, 1.0), "2": (-0.5, 1.0), "2~1": (-2.0, 1.0),
    }  # fmt: skip


def test_breaking_a_right_answer_costs_more_than_never_having_it():
    """Alpha 10: r2 + 10 (r2 - r1) is -10 for right to wrong and 0 for wrong to wrong."""
    found = rows(TurnAdvantages(review="check"), group((1.0, 0.0), (0.0, 0.0)))
    assert (found["0~1"][0], found["1~1"][0]) == (-10.0, 10.0)


def test_without_a_bonus_each_turn_has_its_plain_leave_one_out_advantage():
    found = rows(TurnAdvantages(alpha=0, review="check"), group(*THREE))
    assert [found[f"{i}~1"][0] for i in range(3)] == [0.5, 0.5, -1.0]


def test_a_first_turn_may_be_credited_with_what_follows_it():
    """Alpha 2, half of 1, 3, 0 added to 1, 0, 0: 1.5, 1.5, 0 -> 0.75, 0.75, -1.5."""
    found = rows(TurnAdvantages(alpha=2, discount=0.5, review="check"), group(*THREE))
    assert [found[str(i)][0] for i in range(3)] == [0.75, 0.75, -1.5]


def test_each_row_stands_under_the_chat_that_the_policy_was_asked():
    chats = []

    class Heard(Scripted):
        def generate(self, asked, **knobs):
            chats.extend(asked)
            replies = super().generate(asked, **knobs)
            return [[Reply(r.text, r.author, "stop", (1, 2), (-1.0, -1.0)) for r in own] for own in replies]

    made = list(
        Review(n=2, review="check")(Heard(lambda said, seed, index: f"so {index} {seed % 7}"), [SAMPLE], round=0)
    )
    said = tuple(Critique(t.id, "answer", float(i % 2)) for i, t in enumerate(made))
    found = list(TurnAdvantages(review="check")([Group(SAMPLE, tuple(made), said)]))
    assert {r.source: r.prompt for r in found} == {
        t.id: chat for t, chat in zip(made, [chats[0], *chats], strict=True)
    }  # both first attempts answer one chat
    assert found[1].prompt == (
        user("which ?\n(A) red\n(B) blue", ("a.png",)),
        assistant(made[0].text),
        user("which ?\n(A) red\n(B) blue check each step ."),
    )
    assert found[0] == Rollout(chats[0], (1, 2), (-1.0, -1.0), (-1.0,), "s/0/0", 1.0)


def test_rows_that_say_nothing_and_questions_nobody_judged_are_left_out_and_counted(caplog):
    assert rows(TurnAdvantages(stage="first", review="check"), group((0.0, 1.0), (1.0, 1.0))).keys() == {"0", "1"}
    assert "rows left out, without advantage and KL term: 2" in caplog.text
    assert rows(TurnAdvantages(review="check"), group((0.0, 1.0), (1.0, None))) == {}
    assert "fewer than two of their chains were judged: 1" in caplog.text


def test_a_chain_that_was_not_judged_counts_in_no_mean():
    found = rows(TurnAdvantages(alpha=0, kl=(0.5, 0.25), review="check"), group((1.0, 1.0), (0.0, None), (0.0, 0.0)))
    assert found == {"0": (1.0, 0.5), "0~1": (1.0, 0.25), "2": (-1.0, 0.5), "2~1": (-1.0, 0.25)}


def without(name):
    made = group((0.0, 1.0), (1.0, 1.0))
    return replace(made, trajectories=tuple(t for t in made.trajectories if t.id != name))


def with_one(**changes):
    made = group((0.0, 1.0), (1.0, 1.0))
    more = turn("s/0/1~9", "check", 3, **changes)
    return replace(made, trajectories=(*made.trajectories, more))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (group((1.0, 0.0)), r"sample 's' has 1 chain of two turns: a leave-one-out baseline needs 2 or more"),
        (without("s/0/1~1"), r"attempt 's/0/1' at sample 's' has no second turn, expected one: sample with"),
        (with_one(parent="s/0/1"), r"attempt 's/0/1' at sample 's' has 2 second turns, expected one"),
        (with_one(parent="s/0/1~1"), r"'s/0/1~9' revises 's/0/1~1', which is no first attempt at sample 's'"),
        (group((1.0, 0.0), (0.0, 0.0), sampling={"prompt": "review"}), r"with prompt 'review', expected 'check'"),
        (group((1.0, 0.0), (0.0, 0.0), token_ids=()), r"has 0 token ids and 2 log-probabilities"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        list(TurnAdvantages(review="check")([given]))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"alpha": -0.5}, r"alpha is -0.5, expected a finite number of 0 or more"),
        ({"alpha": math.nan}, r"alpha is nan, expected a finite number"),
        ({"kl": (1.0, -1.0)}, r"kl is \[1.0, -1.0\], expected two finite numbers of 0 or more"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        TurnAdvantages(**settings)
