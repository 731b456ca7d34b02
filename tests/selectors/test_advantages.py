"""Advantages by hand, and which groups and attempts give no row."""

from dataclasses import replace

import pytest

from mmevolve.metrics.reward_spread import RewardSpread
from mmevolve.selectors.advantages import Advantages, advantages
from mmevolve.selectors.verdict_labels import VerdictLabels
from mmevolve.text import user
from mmevolve.types import Critique, Group, Labelled, Rollout, Sample, Step, Trajectory

SAMPLE = Sample("s", "which ?", ("a.png",), answer="B", choices=("red", "blue"))


def attempt(i, **changes):
    made = Trajectory(
        f"s/0/{i}",
        "s",
        "m",
        (Step(f"text {i}"),),
        sampling={"prompt": "question"},
        token_ids=(5, i),
        logprobs=(-0.5, -1.0),
    )
    return replace(made, **changes)


def group(*rewards, **changes):
    trajectories = tuple(attempt(i, **changes) for i in range(len(rewards)))
    return Group(
        SAMPLE, trajectories, tuple(Critique(t.id, "answer", r) for t, r in zip(trajectories, rewards, strict=True))
    )


def test_advantages_by_hand():
    # mean 1/4, sample variance 3 * (1/16)/3 + (9/16)/3 = 1/4
    assert advantages([1, 0, 0, 0], "grpo") == pytest.approx([0.75 / 0.5001, *[-0.25 / 0.5001] * 3])
    assert advantages([1, 0, 0, 0], "dr_grpo") == pytest.approx([0.75, -0.25, -0.25, -0.25])
    # the others' mean is 0 for the first, 1/3 for the rest
    assert advantages([1, 0, 0, 0], "rloo") == pytest.approx([1.0, -1 / 3, -1 / 3, -1 / 3])
    assert advantages([2.0, 5.0], "rloo") == pytest.approx([-3.0, 3.0])


def test_leave_one_out_is_what_it_says():
    rewards = [0.3, -1.0, 2.5, 0.0, 0.7]
    plain = [r - (sum(rewards) - r) / 4 for r in rewards]
    assert advantages(rewards, "rloo") == pytest.approx(plain)


def test_a_row_is_what_the_policy_did_under_the_prompt_with_its_options():
    first, second = Advantages(kind="dr_grpo")([group(1.0, 0.0)])
    prompt = (user("which ?\n(A) red\n(B) blue", ("a.png",)),)
    assert first == Rollout(prompt, (5, 0), (-0.5, -1.0), (0.5,), "s/0/0")
    assert second.advantages == (-0.5,)


def test_groups_of_ties_are_left_out_and_counted(caplog):
    groups = [group(1.0, 1.0), group(0.0, 0.0), group(1.0, 0.0), group(1.0, None), Group(SAMPLE, ())]
    assert [r.source for r in Advantages()(groups)] == ["s/0/0", "s/0/1"]
    assert "left out: 3 of 4" in caplog.text
    assert RewardSpread()(groups) == {
        "reward_mean": pytest.approx((1 + 0 + 0.5 + 1) / 4), "reward_tied": 0.75, "reward_tied_high": 0.5,
    }  # fmt: skip


def test_an_attempt_without_a_reward_counts_in_no_mean():
    rows = list(Advantages(kind="dr_grpo")([group(1.0, None, 0.0)]))
    assert [(r.source, r.advantages) for r in rows] == [("s/0/0", (0.5,)), ("s/0/2", (-0.5,))]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sampling": {"prompt": "hint"}}, "was sampled with prompt 'hint', expected 'question'"),
        ({"parent": "s/0/9"}, "revises 's/0/9'"),
        ({"token_ids": (), "logprobs": ()}, "has 0 token ids and 0 log-probabilities"),
        ({"logprobs": (-1.0,)}, "has 2 token ids and 1 log-probabilities"),
    ],
)
def test_an_attempt_that_is_no_rollout_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        list(Advantages()([group(1.0, 0.0, **changes)]))


def test_a_missing_critic_is_an_error():
    with pytest.raises(KeyError, match="no critic 'prm'"):
        list(Advantages(reward="prm")([group(1.0, 0.0)]))


def test_verdicts_become_labels_of_whole_answers():
    made = group(1.0, 0.0, None, 0.0)
    (*first, last) = made.trajectories
    made = replace(made, trajectories=(*first, replace(last, steps=first[1].steps)))
    prompt = (user("which ?\n(A) red\n(B) blue", ("a.png",)),)
    assert list(VerdictLabels()([made])) == [
        Labelled(prompt, "text 0", (1.0,), source="s/0/0"), Labelled(prompt, "text 1", (0.0,), source="s/0/1"),
    ]  # fmt: skip
    assert len(list(VerdictLabels(dedup=False)([made]))) == 3
    cut = replace(made, trajectories=tuple(replace(t, stop_reason="length") for t in made.trajectories))
    assert list(VerdictLabels()([cut])) == []
