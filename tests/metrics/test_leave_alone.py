"""The do-no-harm gate: what it may see, what it saves, and when there is none."""

import math
import random

import pytest

from mmevolve.metrics.leave_alone import LeaveAlone, TooFew, features
from mmevolve.metrics.turns import pairs
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


def question(i, before, after, sure, *, steps=(), answers=("a", "b")):
    """A first turn and its review; a critic is `sure` of the first."""
    first = Trajectory(f"s{i}/0/0", f"s{i}", "m", (Step("x"),), answers[0], logprobs=(-1.0, -3.0))
    second = Trajectory(f"s{i}/0/0~1", f"s{i}", "m", (Step("y"),), answers[1], parent=first.id, logprobs=(-1.0,))
    said = [Critique(t.id, "answer", float(v)) for t, v in ((first, before), (second, after))]
    said += [Critique(first.id, "prm", sure, steps), Critique(second.id, "prm", 0.5)]
    return Group(Sample(f"s{i}", "?"), (first, second), tuple(said))


def tellable(n=200):
    """A third of the answers are right and broken, the critic sure of them; the others are mended or stay wrong."""
    return [
        question(i, i % 3 == 0, i % 3 == 1, 0.9 - 0.001 * (i % 7) if i % 3 == 0 else 0.1 + 0.001 * (i % 5))
        for i in range(n)
    ]


def test_a_gate_keeps_the_fixes_and_leaves_the_right_answers_alone():
    numbers = LeaveAlone(critics=("prm",))(tellable())
    # 67 broken and 67 fixed of 200: nothing without the gate, all the fixes with it
    assert (numbers["gate/changed_fixed"], numbers["gate/changed_broken"]) == (67, 67)
    assert numbers["gate/gain_without"] == 0.0
    assert numbers["gate/gain"] == numbers["gate/saved"] == pytest.approx(67 / 200)
    assert (numbers["gate/harm_avoided"], numbers["gate/fixes_lost"], numbers["gate/auroc"]) == (1.0, 0.0, 1.0)
    assert numbers["gate/left_alone"] == pytest.approx(67 / 200)
    assert numbers["gate/saved_low"] > 0.2 and numbers["gate/unusable"] == 0


def test_a_gate_without_a_clue_is_no_better_than_chance_on_questions_that_it_has_not_seen():
    draw = random.Random(0)
    blind = [question(i, i % 2, 1 - i % 2, draw.random()) for i in range(300)]
    numbers = LeaveAlone(critics=("prm",))(blind)
    assert abs(numbers["gate/auroc"] - 0.5) < 0.12
    assert numbers["gate/saved_low"] < 0 < numbers["gate/saved_high"]


def test_a_question_is_decided_by_a_gate_that_has_not_seen_it():
    part, groups = LeaveAlone(critics=("prm",)), tellable(60)
    one = pairs(groups, "answer")
    chances = part.chances(one)
    # turning one question's own outcome round leaves its own chance as it was
    turned = [question(1, 1, 0, 0.1 + 0.001) if i == 1 else g for i, g in enumerate(groups)]
    again = part.chances(pairs(turned, "answer"))
    assert again[1] == chances[1]
    assert any(a != b for a, b in zip(chances, again, strict=True))


def test_features_by_hand():
    group = question(0, 0, 1, 0.7, steps=(0.4,))
    others = tuple(Trajectory(f"s0/0/{k}", "s0", "m", (), a) for k, a in ((1, "a"), (2, "b"), (3, None)))
    group = Group(group.sample, (*group.trajectories, *others), group.critiques)
    (pair,) = pairs([group], "answer")
    assert features(pair, ("prm",), "first") == pytest.approx([0.7, 0.4, -2.0, -3.0, 1 / 3, 1.0])
    both = features(pair, ("prm",), "both")
    assert both[6:] == pytest.approx([-0.2, math.nan, 1.0, 2.0, 1.0], nan_ok=True)


def test_resamples_that_only_wrong_answers_got_are_no_feature():
    group = question(0, 0, 1, 0.7)
    marked = (Trajectory("s0/0/1", "s0", "m", (), "a", sampling={"resample": True}),)
    more = Group(group.sample, (*group.trajectories, *marked), group.critiques)
    with_, without = (features(pairs([g], "answer")[0], ("prm",), "both") for g in (more, group))
    assert with_ == pytest.approx(without, nan_ok=True) and math.isnan(with_[4])


def test_what_is_missing_is_no_obstacle():
    groups = [question(i, i % 2, 1 - i % 2, None if i % 3 else 0.5) for i in range(60)]
    for group in groups:
        assert math.isnan(features(pairs([group], "answer")[0], ("prm",), "first")[1])
    assert LeaveAlone(critics=("prm",), sees="both")(groups)["gate/unusable"] == 0


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([question(i, 0, 1, 0.5) for i in range(40)], "40 of 40 corrections mended an answer and 0 broke one"),
        ([question(i, 1, 0, 0.5) for i in range(40)], "0 of 40 corrections mended an answer and 40 broke one"),
        (tellable(9), "3 of 9 corrections mended an answer and 3 broke one: a gate needs 5 of each"),
        ([], "0 of 0 corrections"),
    ],
)
def test_one_kind_alone_or_too_few_is_no_gate(groups, said):
    part = LeaveAlone(critics=("prm",))
    with pytest.raises(TooFew, match=said):
        part.fit(pairs(groups, "answer"))
    numbers = part(groups)
    assert numbers["gate/unusable"] == 1 and math.isnan(numbers["gate/gain"])


def test_a_fitted_gate_decides():
    part = LeaveAlone(critics=("prm",))
    gate = part.fit(pairs(tellable(), "answer"))
    (sure,), (unsure,) = (pairs([question(999, 0, 0, s)], "answer") for s in (0.9, 0.1))
    assert (gate.takes(sure), gate.takes(unsure)) == (False, True)


def test_a_gate_may_not_read_the_answer():
    with pytest.raises(ValueError, match="'answer' knows the answer"):
        LeaveAlone(critics=("answer",))
    with pytest.raises(KeyError, match="no critic 'nobody'"):
        LeaveAlone(critics=("nobody",))(tellable(60))


def test_the_order_of_the_groups_does_not_matter():
    groups = tellable(60)
    assert LeaveAlone(critics=("prm",))(groups) == LeaveAlone(critics=("prm",))(groups[::-1])
