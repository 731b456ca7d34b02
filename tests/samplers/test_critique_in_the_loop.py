"""Critique in the loop: who is criticised, how often a wrong attempt is refined, what is told."""

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.models.scripted import Scripted, words_of
from mmevolve.samplers.critique_in_the_loop import CritiqueInTheLoop, shared_out
from mmevolve.samplers.independent import Independent
from mmevolve.types import Critique, Sample, Step, Trajectory

SAMPLES = [Sample(f"s{i}", f"question {i} ?", (f"{i}.png",), answer="1") for i in range(4)]
WRONG = {"0": (), "1": (2,), "2": (0, 1, 2, 3), "3": (1, 3)}  # by question: which of four attempts are wrong


class Policy(Scripted):
    """Right and wrong as the table says; a refinement that is told of `bad` is right."""

    def __init__(self):
        super().__init__(self.say)
        self.chats = []

    def generate(self, chats, **knobs):
        self.chats += chats
        return super().generate(chats, **knobs)

    def say(self, said, seed, index):
        if "Reflection" in said:
            return f"better {seed % 97}\nanswer : {1 if 'bad' in said else 5}"
        number = said.partition("question ")[2][0]
        return f"bad {index}\nanswer : 7" if index in WRONG[number] else f"good {index}\nanswer : 1"


class Words:
    """What is bad, and nothing of the attempts of question 3 whose number is 1; keeps whom it was asked about."""

    name, sees_image, sees_outcome = "words", True, False

    def __init__(self):
        self.asked = []

    def __call__(self, items):
        for _, t in items:
            self.asked.append(t.id)
            if t.id == "s3/2/1":
                yield Critique(t.id, self.name, None, error="cannot be read")
            else:
                yield Critique(t.id, self.name, 0.0, text=f"Step 1: {t.steps[0].text}")


def drawn(samples=SAMPLES, **settings):
    policy, words = Policy(), Words()
    sampler = CritiqueInTheLoop(AnswerMatch(), words, **{"n": 4, "most": 6, **settings})
    return policy, words, list(sampler(policy, samples, round=2))


def refined(made):
    found = {}
    for t in made:
        if t.parent is not None:
            found.setdefault(t.parent, []).append(t)
    return found


def test_the_harder_the_question_the_more_refinements():
    """ceil(6 w / 4): none, 2, 6 and 3; all four wrong attempts of s2 share 6; of s3 one of two can be refined."""
    _, words, made = drawn()
    counts = {name: len(own) for name, own in refined(made).items()}
    assert counts == {"s1/2/2": 2, "s2/2/0": 2, "s2/2/1": 2, "s2/2/2": 1, "s2/2/3": 1, "s3/2/3": 3}
    assert words.asked == ["s1/2/2", "s2/2/0", "s2/2/1", "s2/2/2", "s2/2/3", "s3/2/1", "s3/2/3"], "wrong ones, once"
    assert [t.id for t in made if t.parent == "s3/2/3"] == ["s3/2/3~1", "s3/2/3~2", "s3/2/3~3"]


def test_one_refinement_each():
    _, _, made = drawn(draws="each")
    assert {name: len(own) for name, own in refined(made).items()} == dict.fromkeys(
        ["s1/2/2", "s2/2/0", "s2/2/1", "s2/2/2", "s2/2/3", "s3/2/3"], 1
    )


def test_draws_are_shared_out_in_turn():
    a, b, c = (Trajectory(x, "s", "m", ()) for x in "abc")
    assert [(t.id, k) for t, k in shared_out([a, b, c], 5)] == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1)]
    assert [(t.id, k) for t, k in shared_out([a, b, c], 2)] == [("a", 1), ("b", 1)]
    assert shared_out([], 5) == [] and shared_out([a], 0) == []


def test_first_attempts_are_those_of_plain_sampling():
    _, _, made = drawn()
    plain = list(Independent(n=4, temperature=0.7)(Policy(), SAMPLES, round=2))
    assert [t for t in made if t.parent is None] == plain


def test_what_is_told_and_to_whom():
    policy, _, made = drawn(samples=SAMPLES[1:2])
    one, other = refined(made)["s1/2/2"]
    assert one.sampling["critique"].startswith("Reflection on your former answer: Step 1: bad 2")
    assert (one.sampling["refinement"], other.sampling["refinement"]) == (1, 2)
    assert one.text != other.text, "a seed each"
    asked = words_of(policy.chats[-1])
    assert asked.startswith("question 1 ?\nReflection") and "7" not in asked, "appended; the attempt is not shown"
    assert policy.chats[-1][0]["content"][0]["image"] == "1.png"
    talk, _, _ = drawn(samples=SAMPLES[1:2], conversation=True)
    assert [m["role"] for m in talk.chats[-1]] == ["user", "assistant", "user"]
    assert talk.chats[-1][1]["content"][0]["text"] == "bad 2\nanswer : 7"


def test_an_unlabelled_question_is_left_as_it_is():
    _, words, made = drawn(samples=[Sample("u", "question 2 ?")])
    assert not refined(made) and not words.asked and len(made) == 4


def test_an_attempt_without_a_step_is_not_criticised():
    class Silent(Policy):
        def say(self, said, seed, index):
            return ""

    words = Words()
    made = list(CritiqueInTheLoop(AnswerMatch(), words, n=2)(Silent(), SAMPLES[:1], round=0))
    assert len(made) == 2 and not words.asked and not any(s for t in made for s in t.steps if isinstance(s, Step))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"temperature": 0.0}, "temperature 0: all refinements of an attempt would be one, expected more than 0"),
        ({"words": "question"}, "the template 'question' has no field {critique}: nothing would be told"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(ValueError) as error:
        CritiqueInTheLoop(AnswerMatch(), Words(), **settings)
    assert sentence in str(error.value)
