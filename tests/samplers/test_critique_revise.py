"""Critic-V's inference: chains of critique and revision, their stop rule and their controls; a critic that writes."""

import pytest

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.written import Written
from mmevolve.metrics.feedback_effect import FeedbackEffect
from mmevolve.metrics.two_turns import TwoTurns
from mmevolve.models.scripted import Scripted, words_of
from mmevolve.samplers.critique_revise import CritiqueRevise
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.several_models import SeveralModels
from mmevolve.types import Critique, Sample, Step, Trajectory
from mmevolve.verbs import group

SAMPLES = [Sample(f"s{i}", f"question {i} ?", (f"{i}.png",), answer="1") for i in range(5)]


class Steps:
    """Steps that hold `bad` are wrong, and it says which; an attempt of `odd` steps gets no critique."""

    name, sees_image, sees_outcome = "steps", True, False

    def __call__(self, items):
        for _, t in items:
            wrong = [k for k, s in enumerate(t.steps) if "bad" in s.text]
            if "odd" in t.text:
                yield Critique(t.id, self.name, None, text="?", error="cannot be read")
                continue
            scores = tuple(float(k not in wrong) for k in range(len(t.steps)))
            text = "\n".join(f"Step {k + 1}: {t.steps[k].text}" for k in wrong) or "No errors."
            yield Critique(t.id, self.name, float(not wrong), scores, text)


class Reasoner(Scripted):
    """s0 is right at once. s1 mends a step for each critique of its own. s2 repeats its answer. s3 is odd."""

    def __init__(self):
        super().__init__(self.say)
        self.chats = []

    def generate(self, chats, **knobs):
        self.chats += chats
        return super().generate(chats, **knobs)

    def say(self, said, seed, index):
        number = said.partition("question ")[2][0]
        told = said.count("Reflection on your former answer: Step 1: bad 1")
        return {
            "0": "good\nanswer : 1",
            "1": ("bad 1\nanswer : 7", "bad 1 still\nanswer : 8", "good\nanswer : 1")[min(told, 2)],
            "2": "bad 2\nanswer : 5",
            "3": "odd\nanswer : 6",
            "4": f"bad 4\nanswer : {7 + 2 * said.count('Reflection')}",
        }[number]


def drawn(policy=None, samples=SAMPLES, **settings):
    policy = policy or Reasoner()
    return policy, list(CritiqueRevise(Steps(), **settings)(policy, samples, round=2))


def chain(made, sample, arm="all_wrong"):
    return [t for t in made if t.sample_id == sample and t.sampling.get("arm", arm) == arm]


def test_each_way_to_stop():
    _, made = drawn()
    ends = {s.id: (len(chain(made, s.id)), chain(made, s.id)[-1].sampling["stopped"]) for s in SAMPLES}
    assert ends == {
        "s0": (1, "no error"), "s1": (3, "no error"), "s2": (2, "same answer"), "s3": (1, "no critique"),
        "s4": (3, "rounds"),
    }  # fmt: skip
    assert all("stopped" not in t.sampling for s in SAMPLES for t in chain(made, s.id)[:-1])
    _, on = drawn(on_repeat="go on", max_rounds=3)
    assert (len(chain(on, "s2")), chain(on, "s2")[-1].sampling["stopped"]) == (4, "rounds")
    _, one = drawn(max_rounds=1)
    assert chain(one, "s1")[-1].sampling["stopped"] == "rounds" and len(chain(one, "s1")) == 2


def test_every_critique_is_appended_to_the_prompt():
    policy, made = drawn(samples=SAMPLES[1:2])
    first, second, third = (words_of(c) for c in policy.chats)
    assert first == "question 1 ?"
    assert second.startswith("question 1 ?\nReflection on your former answer: Step 1: bad 1\n")
    assert third.startswith(second) and third.count("Reflection") == 2 and "Step 1: bad 1 still" in third
    assert all(len(chat) == 1 for chat in policy.chats)
    assert [t.sampling.get("critique", "").count("Step 1") for t in made] == [0, 1, 1]


def test_in_conversation_the_last_attempt_and_its_critique_are_in_sight():
    policy, made = drawn(samples=SAMPLES[1:2], conversation=True, words="world_all")
    assert [len(chat) for chat in policy.chats] == [1, 3, 3][: len(policy.chats)]
    assert words_of(policy.chats[1]) == (
        "question 1 ?\nbad 1\nanswer : 7\nquestion 1 ? your answer is wrong . wrong steps : bad 1 . check each step ."
    )
    assert made[1].sampling["told"] == 1


def test_revisions_revise_the_one_before_and_nothing_depends_on_the_batch():
    _, made = drawn(n=2, temperature=0.5)
    assert [t.parent for t in chain(made, "s1") if t.id.startswith("s1/2/0")] == [
        None, "s1/2/0", "s1/2/0~all_wrong1",
    ]  # fmt: skip
    alone = [t for s in reversed(SAMPLES) for t in drawn(samples=[s], n=2, temperature=0.5)[1]]
    assert sorted(made, key=lambda t: t.id) == sorted(alone, key=lambda t: t.id)
    plain = list(Independent(n=2, temperature=0.5)(Reasoner(), SAMPLES, round=2))
    assert [t.text for t in made if "arm" not in t.sampling] == [t.text for t in plain]


def test_controls_are_told_another_questions_critique_or_nothing():
    _, made = drawn(arms=("all_wrong", "shuffled", "resample"), donors=SAMPLES, temperature=0.5)
    told = {arm: chain(made, "s1", arm)[1].sampling["critique"] for arm in ("all_wrong", "shuffled", "resample")}
    assert "bad 1" in told["all_wrong"] and told["resample"] == ""
    assert "Step 1: bad" in told["shuffled"] and "bad 1" not in told["shuffled"]
    assert chain(made, "s1", "resample")[1].parent is None
    assert chain(made, "s1", "shuffled")[1].parent == "s1/2/0"


def test_feedback_effect_and_two_turns_count_them():
    _, made = drawn(arms=("all_wrong", "shuffled", "resample"), donors=SAMPLES, temperature=0.5)
    said = list(AnswerMatch()([(s, t) for s in SAMPLES for t in made if t.sample_id == s.id]))
    found = FeedbackEffect(draws=20)(group(SAMPLES, made, said))
    assert found["feedback/acc_first"] == pytest.approx(1 / 5)
    assert found["feedback/acc_all_wrong"] == pytest.approx(2 / 5)
    assert found["feedback/acc_shuffled"] == found["feedback/acc_resample"] == pytest.approx(1 / 5)
    assert found["feedback/effect"] == found["feedback/content_effect"] == pytest.approx(1 / 5)
    _, made = drawn()
    said = list(AnswerMatch()([(s, t) for s in SAMPLES for t in made if t.sample_id == s.id]))
    turns = TwoTurns(draws=20)(group(SAMPLES, made, said))
    assert (turns["two_turns/questions"], turns["two_turns/delta_c_to_i"]) == (3.0, 0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arms": ()}, "expected one or more of"),
        ({"arms": ("shuffled",)}, "got 0 donors"),
        ({"arms": ("resample",)}, "temperature 0"),
        ({"words": "review"}, "neither {critique} nor {steps}"),
    ],
)
def test_settings_that_tell_nothing_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        CritiqueRevise(Steps(), **settings)


# The critic that writes.


def attempt(index, *lines, sample=SAMPLES[0]):
    return Trajectory(f"{sample.id}/0/{index}", sample.id, "m", tuple(map(Step, lines)), lines[-1] if lines else None)


def judged(text, *, lines=("red", "blue", "answer : 1"), **settings):
    (said,) = Written(Scripted(lambda said, seed, index: text), **settings)([(SAMPLES[0], attempt(0, *lines))])
    return said


def test_a_written_critique_scores_the_steps_that_it_names():
    said = judged("Step 2 (perception): it is red")
    assert (said.score, said.step_scores, said.error) == (0.0, (1.0, 0.0, 1.0), None)
    assert said.text == "Step 2 (perception): it is red" and said.sees_image
    assert (judged("No errors.").score, judged("No errors.").step_scores) == (1.0, (1.0, 1.0, 1.0))
    assert (judged("1. the bar is red").score, judged("1. the bar is red").step_scores) == (0.0, ())


def test_a_critique_that_cannot_be_read_keeps_its_text_and_has_no_score():
    for text, why in (("hm", "cannot be read"), ("Step 7: red", "names step 7 of 3 steps"), ("Step 0: red", "step 0")):
        said = judged(text)
        assert said.score is None and said.step_scores == () and why in said.error and said.text == text
    assert "cut at 2 tokens" in judged("Step 2: it is red", max_tokens=2).error
    assert "no steps" in judged("No errors.", lines=()).error


def test_the_critic_is_asked_as_it_is_trained_and_once_for_what_says_the_same():
    from mmevolve.data.critiquing import critiquing
    from mmevolve.data.shapes.dataset import shapes

    asked = []

    def say(said, seed, index):
        asked.append(said)
        return "No errors."

    (sample,) = shapes(n=1, families=("total",))
    (task,) = critiquing([sample], words="world_critique")
    t = Trajectory("t", sample.id, "m", tuple(map(Step, task.meta["steps"])), "4")
    twice = Written(Scripted(say), words="world_critique")([(sample, t), (sample, t)])
    assert [c.score for c in twice] == [1.0, 1.0] and asked == [task.question]
    with pytest.raises(ValueError, match=r"no field \{steps\}"):
        Written(Scripted(say), words="question")


def test_several_models_attempt_the_same_samples():
    models = [Scripted(lambda said, seed, index, k=k: f"answer : {k}{index}", name=f"m{k}") for k in (1, 2)]
    policy = Scripted(lambda said, seed, index: "answer : 0", name="own")
    made = list(SeveralModels(models, sampler=Independent(n=2))(policy, SAMPLES[:2], round=1))
    assert [(t.id, t.author, t.answer) for t in made[:6]] == [
        ("s0/1/0", "own", "0"), ("s0/1/1", "own", "0"), ("s0/1/2", "m1", "10"), ("s0/1/3", "m1", "11"),
        ("s0/1/4", "m2", "20"), ("s0/1/5", "m2", "21"),
    ]  # fmt: skip
    assert {t.author for t in SeveralModels(models, own=False)(policy, SAMPLES[:1], round=1)} == {"m1", "m2"}
    with pytest.raises(ValueError, match="expected somebody to ask"):
        SeveralModels(own=False)
