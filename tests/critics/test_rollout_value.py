"""Values of prefixes, by hand.

Three attempts at one question whose answer is 4:

    t0: A, B, answer : 4     prefixes A; A B
    t1: A, C, answer : 5     prefixes A; A C
    t2: answer : 4           no prefix: its one step is the last

Completions, k = 4. From A: 4, 4, 5, 4 -> 3/4. From A B: 4, 4, 4, 4 -> 1. From A C: 5, 5, 5, 5 -> 0.
"""

import math

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.rollout_value import RolloutValue
from mmevolve.keys import describe
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.rollouts import Rollouts
from mmevolve.types import Critique, Sample, Step, Trajectory

SAMPLE = Sample("s", "?", answer="4")
ENDS = {
    "?\nA\n": ["answer : 4", "answer : 4", "answer : 5", "answer : 4"],
    "?\nA\nB\n": ["answer : 4"],
    "?\nA\nC\n": ["answer : 5"],
}


def attempt(index, *steps, sample=SAMPLE):
    answer = steps[-1].removeprefix("answer : ") if steps and steps[-1].startswith("answer") else None
    return Trajectory(f"{sample.id}/0/{index}", sample.id, "m", tuple(map(Step, steps)), answer)


class Listening:
    """Rollouts that note which prefixes they were asked for."""

    def __init__(self, k=4):
        self.rollouts, self.asked = Rollouts(k=k), []

    def __call__(self, policy, prefixes):
        self.asked.append([(s.id, steps) for s, steps in prefixes])
        return self.rollouts(policy, prefixes)


def judged(attempts, rollouts, verifier=None, replies=ENDS):
    critic = RolloutValue(Scripted(replies), rollouts, verifier or AnswerMatch())
    return list(critic(attempts))


ATTEMPTS = [
    (SAMPLE, attempt(0, "A", "B", "answer : 4")),
    (SAMPLE, attempt(1, "A", "C", "answer : 5")),
    (SAMPLE, attempt(2, "answer : 4")),
]


def test_a_step_is_worth_the_share_of_its_completions_that_end_right():
    said = judged(ATTEMPTS, Rollouts(k=4))
    assert said[0].step_scores == (0.75, 1.0, 1.0)
    assert said[1].step_scores == (0.75, 0.0, 0.0)


def test_the_last_step_is_worth_the_verdict_and_is_not_rolled_out():
    said = judged(ATTEMPTS, Rollouts(k=4))
    assert [c.step_scores[-1] for c in said] == [1.0, 0.0, 1.0]
    assert said[2].step_scores == (1.0,)


def test_the_score_is_the_least_step_value():
    assert [c.score for c in judged(ATTEMPTS, Rollouts(k=4))] == [0.75, 0.0, 1.0]


def test_each_prefix_is_rolled_out_once_and_all_in_one_call():
    rollouts = Listening()
    judged(ATTEMPTS, rollouts)
    assert rollouts.asked == [[("s", ("A",)), ("s", ("A", "B")), ("s", ("A", "C"))]]


def test_the_same_words_about_another_sample_are_another_prefix():
    other = Sample("other", "?", answer="5")
    rollouts = Listening()
    said = judged([ATTEMPTS[0], (other, attempt(0, "A", "answer : 4", sample=other))], rollouts)
    assert rollouts.asked == [[("s", ("A",)), ("s", ("A", "B")), ("other", ("A",))]]
    assert said[1].step_scores == (0.25, 0.0)


def test_an_attempt_without_steps_is_worth_its_verdict():
    rollouts = Listening()
    assert judged([(SAMPLE, attempt(0))], rollouts) == [Critique("s/0/0", "value", 0.0)]
    assert rollouts.asked == []


def test_where_the_verifier_has_no_verdict_nothing_is_rolled_out_and_the_reason_is_kept():
    bare = Sample("bare", "?")
    rollouts = Listening()
    said = judged([(bare, attempt(0, "A", "answer : 4", sample=bare))], rollouts)
    assert said == [Critique("bare/0/0", "value", None, error="sample 'bare' has no reference answer")]
    assert rollouts.asked == []


class Careful:
    """A verifier that does not judge a 5."""

    name = "careful"

    def __call__(self, items):
        for sample, t in items:
            right = None if t.answer == "5" else float(t.answer == sample.answer)
            yield Critique(t.id, self.name, right, error="a five" if right is None else None)


def test_a_completion_that_cannot_be_judged_is_not_counted_as_wrong():
    (said,) = judged(ATTEMPTS[:1], Rollouts(k=4), Careful())
    assert (said.score, said.step_scores) == (None, ())
    assert said.error == "the verifier could not judge every completion after step 1"


def test_values_are_the_same_alone_and_among_others():
    def reply(said, seed, index):
        return f"answer : {4 + (seed >> index) % 2}"

    together = judged(ATTEMPTS, Rollouts(k=8), replies=reply)
    alone = [judged([item], Rollouts(k=8), replies=reply)[0] for item in reversed(ATTEMPTS)]
    assert together == alone[::-1]
    assert 0 < together[0].step_scores[0] < 1


@pytest.mark.parametrize("k", [1, 2, 4])
def test_values_are_multiples_of_one_over_k(k):
    (said, *_) = judged(ATTEMPTS, Rollouts(k=k))
    assert said.step_scores[0] == {1: 1.0, 2: 1.0, 4: 0.75}[k]


class Counted(Scripted):
    """Counts the prefixes that it completes."""

    def generate(self, chats, **words):
        COMPLETED.append(len(chats))
        return super().generate(chats, **words)


COMPLETED: list[int] = []


def guess(said, seed, index):
    return f"answer : {(seed + index) % 2}"


def long_attempts(n=4, steps=4):
    sample = Sample("q", "how many ?", answer="1")
    lines = [tuple(Step(f"{k} of {i}") for k in range(steps)) for i in range(n)]
    return [(sample, Trajectory(f"q/0/{i}", "q", "m", own, "1")) for i, own in enumerate(lines)]


def test_a_budget_pays_for_so_many_prefixes_of_a_sample_and_the_rest_has_no_value():
    """Four attempts of four steps have twelve prefixes; the last step's verdict is free."""
    items = long_attempts()
    full = {c.trajectory_id: c for c in RolloutValue(Scripted(guess), Rollouts(k=2), AnswerMatch())(items)}
    said = list(RolloutValue(Scripted(guess), Rollouts(k=2), AnswerMatch(), budget=5)(items))
    known = [(c.trajectory_id, k) for c in said for k, v in enumerate(c.step_scores[:-1]) if not math.isnan(v)]
    assert len(known) == 5
    for c in said:
        assert c.step_scores[-1] == 1.0 and c.error is None
        for value, whole in zip(c.step_scores, full[c.trajectory_id].step_scores, strict=True):
            assert math.isnan(value) or value == whole
        assert c.score == min(v for v in c.step_scores if not math.isnan(v))
    other = RolloutValue(Scripted(guess), Rollouts(k=2), AnswerMatch(), budget=5)(items[::-1])
    assert str(list(other)[::-1]) == str(said), "whatever the order"


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_buys_nothing_is_refused(budget):
    with pytest.raises(ValueError, match=f"critic 'value': a label budget of {budget}: expected 1 or more"):
        RolloutValue(Scripted(guess), Rollouts(), AnswerMatch(), budget=budget)


def test_values_are_remembered_until_the_weights_change():
    COMPLETED.clear()
    policy = Counted(guess)
    critic = RolloutValue(policy, Rollouts(k=2), AnswerMatch())
    first = list(critic(long_attempts()))
    assert list(critic(long_attempts())) == first and COMPLETED == [12]
    object.__setattr__(policy, "name", "scripted@round=000")
    list(critic(long_attempts()))
    assert COMPLETED == [12, 12]


def test_the_key_of_values_that_were_made_without_a_budget_stays():
    critic = RolloutValue(Scripted(guess), Rollouts(), AnswerMatch())
    assert set(describe(critic)) == {"_target_", "policy", "rollouts", "verifier", "name"}
