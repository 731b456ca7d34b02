import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.critics.step_reward import StepReward
from mmevolve.critics.vote import Vote
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.keys import describe
from mmevolve.text import split_steps
from mmevolve.types import Critique, Sample, Step, Trajectory


def attempt(sample, index, answer, *steps):
    return Trajectory(f"{sample.id}/0/{index}", sample.id, "m", tuple(map(Step, steps)), answer)


class Table:
    """A step-reward model that gives what it was told to."""

    def __init__(self, *scores):
        self.scores = scores
        self.asked = None

    def score_steps(self, chats, completions):
        self.asked = (chats, completions)
        return list(self.scores)


ONE = Sample("one", "how many ?", ("a.png",), answer="4")
TWO = Sample("two", "which ?", answer="B", choices=("red", "blue"))


def test_an_answer_that_equals_the_reference_scores_one_and_any_other_zero():
    items = [(ONE, attempt(ONE, i, a)) for i, a in enumerate(("4", "4.0", "5", None, "four"))]
    assert [c.score for c in AnswerMatch()(items)] == [1.0, 1.0, 0.0, 0.0, 1.0]


def test_an_answer_to_a_choice_may_be_its_letter_or_its_words():
    items = [(TWO, attempt(TWO, i, a)) for i, a in enumerate(("B", "blue", "(b)", "A"))]
    assert [c.score for c in AnswerMatch()(items)] == [1.0, 1.0, 1.0, 0.0]


def test_without_a_reference_there_is_no_score_but_a_reason():
    sample = Sample("bare", "?")
    assert list(AnswerMatch("check")([(sample, attempt(sample, 0, "4"))])) == [
        Critique("bare/0/0", "check", None, error="sample 'bare' has no reference answer")
    ]


def test_a_vote_is_the_share_of_the_samples_attempts_with_the_same_answer():
    """One: 4, 4, 5, none -> 2/4, 2/4, 1/4, 0. Two: B, B -> 1. Attempts of both samples lie mixed."""
    items = [(ONE, attempt(ONE, i, a)) for i, a in enumerate(("4", "4", "5", None))]
    items[1:1] = [(TWO, attempt(TWO, i, "B")) for i in range(2)]
    assert [(c.trajectory_id, c.score) for c in Vote()(items)] == [
        ("one/0/0", 0.5),
        ("two/0/0", 1.0),
        ("two/0/1", 1.0),
        ("one/0/1", 0.5),
        ("one/0/2", 0.25),
        ("one/0/3", 0.0),
    ]


def test_a_vote_counts_two_writings_of_one_answer_together():
    items = [(ONE, attempt(ONE, i, a)) for i, a in enumerate(("4", "4.0", "5", "four"))]
    assert [c.score for c in Vote()(items)] == [0.75, 0.75, 0.25, 0.75]
    items = [(TWO, attempt(TWO, i, a)) for i, a in enumerate(("blue", "B", "A"))]
    assert [c.score for c in Vote()(items)] == pytest.approx([2 / 3, 2 / 3, 1 / 3])


def test_a_vote_without_any_answer_is_zero():
    assert [c.score for c in Vote()([(ONE, attempt(ONE, i, None)) for i in range(2)])] == [0.0, 0.0]


def test_the_oracle_passes_gold_and_says_what_is_wrong_with_the_rest():
    (sample,) = shapes(n=1, families=("total",), seed=5)
    steps = split_steps(gold(sample))
    wrong = [*steps[:-1], "answer : 99"]
    skipped = [steps[0], *steps[2:]]
    said = list(
        Oracle()(
            [
                (sample, attempt(sample, 0, sample.answer, *steps)),
                (sample, attempt(sample, 1, "99", *wrong)),
                (sample, attempt(sample, 2, sample.answer, *skipped)),
                (sample, attempt(sample, 3, None)),
                (sample, attempt(sample, 4, None, "hello")),
            ]
        )
    )
    assert [c.score for c in said] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert said[0].step_scores == (1.0,) * len(steps)
    assert said[1].step_scores == (*(1.0,) * (len(steps) - 1), 0.0)
    assert said[1].text.splitlines()[-1].startswith("wrong (logic): ")
    assert all(said[2].step_scores), "no step is wrong: one is missing"
    assert said[3].step_scores == ()
    assert (said[4].step_scores, said[4].text) == ((0.0,), "unparsable")
    assert all(c.critic == "oracle" and c.sees_image and c.error is None for c in said)


def test_the_oracle_refuses_a_sample_of_another_world():
    with pytest.raises(ValueError, match="sample 'one' has no scene"):
        list(Oracle()([(ONE, attempt(ONE, 0, "4", "answer : 4"))]))


@pytest.mark.parametrize(
    ("fold", "score"),
    # of 0.5, 0.25, 0.75: the least; the last; 1.5 / 3; 0.5 * 0.25 * 0.75
    [("min", 0.25), ("last", 0.75), ("mean", 0.5), ("product", 0.09375)],
)
def test_step_scores_are_folded_to_one_number(fold, score):
    critic = StepReward(Table((0.5, 0.25, 0.75)), fold=fold)
    (said,) = critic([(ONE, attempt(ONE, 0, "4", "a", "b", "c"))])
    assert said == Critique("one/0/0", "prm", score, (0.5, 0.25, 0.75), sees_image=True)


@pytest.mark.parametrize(
    ("so_far", "shown"),
    [("alone", (0.5, 0.25, 0.75)), ("min", (0.5, 0.25, 0.25)), ("product", (0.5, 0.125, 0.09375))],
)
def test_a_step_score_may_count_what_the_step_is_built_on_and_the_fold_does_not_notice(so_far, shown):
    critic = StepReward(Table((0.5, 0.25, 0.75)), so_far=so_far)
    (said,) = critic([(ONE, attempt(ONE, 0, "4", "a", "b", "c"))])
    assert (said.score, said.step_scores) == (0.25, shown)


def test_a_single_step_is_its_own_fold():
    for fold in ("min", "last", "mean", "product"):
        (said,) = StepReward(Table((0.3,)), fold=fold)([(ONE, attempt(ONE, 0, "4", "a"))])
        assert said.score == 0.3


def test_attempts_are_read_under_the_plain_prompt_with_the_image():
    model = Table((0.5, 0.5), ())
    list(StepReward(model)([(ONE, attempt(ONE, 0, "4", "a", "b")), (TWO, attempt(TWO, 0, None))]))
    chats, completions = model.asked
    assert completions == ["a\nb", ""]
    assert chats[0][0]["content"] == ({"type": "image", "image": "a.png"}, {"type": "text", "text": "how many ?"})


def test_an_attempt_without_steps_has_no_score_but_a_reason():
    (said,) = StepReward(Table(()))([(ONE, attempt(ONE, 0, None))])
    assert (said.score, said.step_scores, said.error) == (None, (), "the attempt has no steps")


@pytest.mark.parametrize("scores", [(), (0.5,), (0.5, 0.5, 0.5), (0.5, float("nan"))])
def test_a_model_that_does_not_give_one_number_a_step_is_refused(scores):
    with pytest.raises(ValueError, match=r"trajectory 'one/0/0': step scores .* for 2 steps \(critic 'prm'\)"):
        list(StepReward(Table(scores))([(ONE, attempt(ONE, 0, "4", "a", "b"))]))


def test_a_step_reward_given_a_verifier_reads_right_attempts_alone_and_the_others_are_worth_nothing():
    model = Table((0.5, 0.25), (0.5, 0.25))
    items = [
        (ONE, attempt(ONE, 0, "4", "a", "b")),
        (ONE, attempt(ONE, 1, "5", "a", "b")),
        (ONE, attempt(ONE, 2, "4", "a", "b")),
    ]
    said = list(StepReward(model, given=AnswerMatch())(items))
    assert [(c.score, c.step_scores) for c in said] == [(0.25, (0.5, 0.25)), (0.0, ()), (0.25, (0.5, 0.25))]
    assert "given" not in describe(StepReward(None)) and "given" in describe(StepReward(None, given=AnswerMatch()))
