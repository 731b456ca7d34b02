"""Two turns: the second sees the first, and is drawn from its own seed."""

import pytest

from mmevolve.models.scripted import Scripted
from mmevolve.prompts import template
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.review import Review
from mmevolve.text import ask, assistant, stable_seed, user
from mmevolve.types import Sample

SAMPLES = [
    Sample(f"s{i}", f"question {i} ?", (f"{i}.png",), answer="A", choices=("red", "blue") if i % 2 else ())
    for i in range(4)
]
VISUAL = ("review_details", "review_context", "review_scene")


class Heard(Scripted):
    """Keeps what it was asked."""

    def __init__(self):
        super().__init__(lambda said, seed, index: f"seed {seed}\nanswer : {seed % 3}")
        self.chats, self.knobs = [], []

    def generate(self, chats, **knobs):
        self.chats += chats
        self.knobs.append(knobs)
        return super().generate(chats, **knobs)


def test_a_review_is_a_conversation_whose_second_turn_revises_the_first():
    policy = Heard()
    first, second = Review(review="review")(policy, SAMPLES[1:2], round=2)
    assert (first.id, first.parent, second.id, second.parent) == ("s1/2/0", None, "s1/2/0~1", "s1/2/0")
    assert policy.chats[1] == (
        user("question 1 ?\n(A) red\n(B) blue", ("1.png",)), assistant(first.text), user(template("review")),
    )  # fmt: skip
    assert second.sampling["prompt"] == "review"
    assert second.round == 2


def test_the_question_can_be_asked_again_with_its_options_and_without_its_picture():
    policy = Heard()
    list(Review(review="check")(policy, SAMPLES[1:2], round=0))
    assert policy.chats[1][-1] == user("question 1 ?\n(A) red\n(B) blue check each step .")


def test_later_turns_see_the_whole_conversation():
    policy = Heard()
    first, second, third = Review(revisions=2)(policy, SAMPLES[:1], round=0)
    assert (third.id, third.parent) == ("s0/0/0~2", "s0/0/0~1")
    said = user(template("review"))
    assert policy.chats[2] == (
        *ask(SAMPLES[0], "{question}"),
        assistant(first.text),
        said,
        assistant(second.text),
        said,
    )


def test_in_a_window_of_two_turns_a_revision_sees_the_question_and_the_turn_before():
    policy = Heard()
    _, second, third, _ = Review(revisions=3, window=2)(policy, SAMPLES[1:2], round=0)
    asked, said = ask(SAMPLES[1], "{question}"), user(template("review"))
    assert policy.chats[2] == (*asked, assistant(second.text), said)
    assert policy.chats[3] == (*asked, assistant(third.text), said)


def test_a_window_of_all_turns_is_no_window():
    wide, plain = Heard(), Heard()
    made = list(Review(revisions=3, window=4)(wide, SAMPLES, round=0))
    assert made == list(Review(revisions=3)(plain, SAMPLES, round=0))
    assert wide.chats == plain.chats


@pytest.mark.parametrize("window", [0, 1])
def test_a_window_without_a_former_turn_is_refused(window):
    with pytest.raises(ValueError, match=f"Review: window is {window}, expected 2 or more: the turn that is written"):
        Review(window=window)


def test_a_review_without_a_window_is_described_as_before_there_were_any():
    assert "window" not in Review().describe()
    assert Review(window=2).describe()["window"] == 2


def test_the_first_turn_is_what_independent_draws_and_both_turns_use_the_same_knobs():
    policy = Heard()
    made = list(Review(n=3, temperature=0.7, top_p=0.9, max_tokens=9, seed=5)(policy, SAMPLES, round=1))
    alone = list(Independent(n=3, temperature=0.7, top_p=0.9, max_tokens=9, seed=5)(Heard(), SAMPLES, round=1))
    assert [t for t in made if t.parent is None] == alone
    kept = [{k: v for k, v in knobs.items() if k not in ("n", "seeds")} for knobs in policy.knobs]
    assert kept[0] == kept[1]
    second = next(t for t in made if t.id == "s2/1/1~1")
    assert second.steps[0].text == f"seed {stable_seed(5, 'review', 's2/1/1')}"


@pytest.mark.parametrize("sampler", [Review(n=2), Review(n=2, revisions=3, review="check")])
def test_reviews_do_not_depend_on_the_batch_or_its_order(sampler):
    together = {t.id: t for t in sampler(Heard(), SAMPLES, round=1)}
    alone = {t.id: t for s in reversed(SAMPLES) for t in sampler(Heard(), [s], round=1)}
    assert together == alone
    assert len(together) == 4 * 2 * (1 + sampler.revisions)


@pytest.mark.parametrize("name", ["review", *VISUAL])
def test_every_review_prompt_asks_for_the_layout_that_is_read(name):
    words = template(name)
    assert "one step per line" in words
    assert words.endswith('End with a line "Answer: X".')
    assert ("image again" in words) == (name in VISUAL)
    assert "{" not in words
