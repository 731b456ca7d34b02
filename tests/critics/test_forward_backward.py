"""FOBAR: forward and backward votes by hand, the law of when it overrules, and what it asks."""

import random

import pytest

from mmevolve.critics.forward_backward import ForwardBackward, backward_shares, combined, masked_questions
from mmevolve.critics.vote import Vote
from mmevolve.models.scripted import Scripted
from mmevolve.text import images_of
from mmevolve.types import Sample, Step, Trajectory

SAMPLE = Sample("s", "There are 12 pens and 3 cups. How many more pens ?", ("a.png",), answer="9")


class Backward(Scripted):
    """Recovers a hidden number from the answer 9 in six of eight chains, from 15 in two."""

    def __init__(self, known=(("9", 6), ("15", 2))):
        super().__init__(self.say)
        self.known, self.asked, self.pictures = dict(known), [], []

    def generate(self, chats, **knobs):
        self.asked += [chat[0]["content"][-1]["text"] for chat in chats]
        self.pictures += [len(images_of(chat)) for chat in chats]
        return super().generate(chats, **knobs)

    def say(self, said, seed, index):
        hidden = "12" if "There are X pens" in said else "3"
        answer = said.partition("The answer to the question is: ")[2].split()[0]
        return f"Backward.\nAnswer: {hidden if index < self.known.get(answer, 0) else 77}"


def attempts(*answers, sample=SAMPLE):
    return [(sample, Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step("x"),), a)) for i, a in enumerate(answers)]


def scores(critic, items):
    return [c.score for c in critic(items)]


def test_both_votes_by_hand():
    """15 leads 6 to 4; backward, over two masks, 9 has 12 of 16 and 15 has 4: sqrt(0.4 0.75) beats sqrt(0.6 0.25)."""
    items = attempts(*["15"] * 6, *["9.0"] * 4)
    said = list(ForwardBackward(Backward({"9.0": 6, "15": 2}.items()), chains=8)(items))
    assert said[0].score == pytest.approx((0.6 * 0.25) ** 0.5) and said[9].score == pytest.approx((0.4 * 0.75) ** 0.5)
    assert said[0].text == "forward 6 of 10, backward 4 of 16" and said[9].text == "forward 4 of 10, backward 12 of 16"
    assert said[0].sees_image and scores(Vote(), items)[0] > scores(Vote(), items)[9]


def test_the_weights_of_both_votes():
    items = attempts(*["15"] * 6, *["9"] * 4)
    assert scores(ForwardBackward(Backward(), alpha=1.0), items) == pytest.approx(scores(Vote(), items))
    assert scores(ForwardBackward(Backward(), alpha=0.0), items) == pytest.approx([0.25] * 6 + [0.75] * 4)


def test_an_answer_that_no_chain_supports_is_nearly_vetoed_and_where_none_is_the_forward_vote_decides():
    """P_b of nothing is eps / |A| of 16 + eps; with no support at all it is 1 / |A| for each."""
    shares = backward_shares({"u": 0, "v": 16}, 1e-8)
    assert shares["u"] == pytest.approx(5e-9 / 16) and sum(shares.values()) == pytest.approx(1.0)
    assert backward_shares({"u": 0, "v": 0}, 1e-8) == pytest.approx({"u": 0.5, "v": 0.5})
    flat = ForwardBackward(Backward(known=()))
    assert scores(flat, attempts("15", "15", "9")) == pytest.approx([(2 / 6) ** 0.5] * 2 + [(1 / 6) ** 0.5])


def test_the_flip_law():
    """With u ahead, v overrules it iff P_f(u) / P_f(v) < (P_b(v) / P_b(u))^((1 - alpha) / alpha)."""
    draw = random.Random(0)
    flips = 0
    for _ in range(2000):
        ahead = draw.randint(2, 10)
        behind = draw.randint(1, ahead - 1)
        total, alpha = ahead + behind + draw.randint(0, 4), draw.uniform(0.05, 0.95)
        backward = backward_shares({"u": draw.randint(0, 16), "v": draw.randint(0, 16)}, 1e-8)
        u, v = (combined(n / total, backward[a], alpha) for n, a in ((ahead, "u"), (behind, "v")))
        ratio = (backward["v"] / backward["u"]) ** ((1 - alpha) / alpha)
        assert (v > u) == (ahead / behind < ratio)
        flips += v > u
    assert 200 < flips < 1800, "both sides of the law were met"


def test_the_law_holds_of_what_the_critic_says():
    """6 to 4 is overruled at 1.5 < 3, 9 to 2 is not at 4.5 > 3; at alpha 0.3 the same 4.5 is below 3^(7/3) = 12.98."""
    for ahead, behind, alpha, flips in ((6, 4, 0.5, True), (9, 2, 0.5, False), (9, 2, 0.3, True)):
        said = scores(ForwardBackward(Backward(), alpha=alpha), attempts(*["15"] * ahead, *["9"] * behind))
        assert (said[-1] > said[0]) is flips
        assert (ahead / behind < 3 ** ((1 - alpha) / alpha)) is flips


def test_numbers_that_can_be_hidden():
    found = masked_questions("3 of 12.5 kg, 1,000 more, the 3D one, x2 and 7.", 9)
    assert [number for _, number in found] == ["3", "12.5", "1,000", "7"]
    assert found[0][0].startswith("X of 12.5 kg") and found[-1][0].endswith("and X.")
    assert masked_questions("3 of 12", 1) == [("X of 12", "3")] and masked_questions("how many ?", 3) == []


def test_a_question_without_a_number_is_a_vote_and_asks_nothing():
    sample = Sample("p", "how many ?", ("a.png",))
    model = Backward()
    items = attempts("1", "1", "2", None, sample=sample)
    said = list(ForwardBackward(model)(items))
    assert [c.score for c in said] == [0.5, 0.5, 0.25, 0.0] and not model.asked
    assert not any(c.sees_image for c in said) and said[0].text == "forward 2 of 4"


def test_what_is_asked_backward():
    model = Backward()
    critic = ForwardBackward(model, masks=1)
    list(critic(attempts("15", "9", "9", None)))
    assert len(model.asked) == 2, "each answer once, one number of it"
    assert "Question: There are X pens and 3 cups." in model.asked[0] and "is: 15\n" in model.asked[0]
    assert model.pictures == [1, 1] and critic.calls.asked["backward chains"] == 16
    list(critic(attempts("9")))
    assert len(model.asked) == 2, "nothing is asked twice"
    blind = Backward()
    assert not any(c.sees_image for c in ForwardBackward(blind, sees_image=False)(attempts("9")))
    assert set(blind.pictures) == {0}


def test_an_option_is_told_with_its_words():
    sample = Sample("c", "Of 4 which ?", (), choices=("a cat", "a dog"), answer="B")
    model = Backward()
    list(ForwardBackward(model)(attempts("B", sample=sample)))
    assert "is: (B) a dog\n" in model.asked[0] and "(A) a cat" in model.asked[0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"words": "question"}, "prompt 'question' has no field {answer}: critic 'forward_backward' would not tell it"),
        ({"temperature": 0.0}, "8 chains at temperature 0 are one, expected more than 0"),
        ({"eps": 0.0}, "eps is 0.0, expected more than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValueError) as error:
        ForwardBackward(Backward(), **settings)
    assert sentence in str(error.value)
