"""Scores after critiques: generated, gold or none."""

import pytest

from mmevolve.critics.critique_reward import CritiqueReward, compared
from mmevolve.critics.gold_critique import GoldCritique
from mmevolve.data.critiquing import critiquing
from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.models.scripted import Scripted
from mmevolve.prompts.error_list import parse
from mmevolve.text import split_steps
from mmevolve.types import Step, Trajectory

SAMPLES = shapes(n=8, seed=3)


class Rewards(Scripted):
    """Scores what it reads: the number of words `wrong` in the critique, negated; 7 without a critique."""

    def score(self, chats, critiques):
        self.read = list(zip([c[0]["content"][-1]["text"] for c in chats], critiques, strict=True))
        return [7.0 if text is None else -float(text.split().count("wrong")) for text in critiques]


def attempt(sample, *steps, index=0):
    return Trajectory(f"{sample.id}/0/{index}", sample.id, "x", tuple(map(Step, steps)), steps[-1] if steps else None)


def model(*said):
    script = iter(said)
    return Rewards(lambda text, seed, index: next(script))


def test_a_critique_is_generated_once_for_attempts_that_say_the_same_and_read_before_the_score():
    sample = SAMPLES[0]
    items = [(sample, attempt(sample, "2 + 2 = 4", index=i)) for i in (0, 1)] + [(sample, attempt(sample, "no"))]
    reward = CritiqueReward(model("step 1 : wrong wrong", "No errors."), words="world_critique")
    first, same, other = reward(items)
    assert (first.score, same.score, other.score) == (-2.0, -2.0, 0.0)
    assert first.text == "step 1 : wrong wrong" and first.critic == "reward" and first.sees_image
    prompts = [prompt for prompt, _ in reward.model.read]
    assert all("step 1 : 2 + 2 = 4" in p and sample.question in p for p in prompts[:2])
    assert not reward.sees_outcome


def test_without_a_critique_the_answer_alone_is_read():
    sample = SAMPLES[0]
    (said,) = CritiqueReward(model(), "none", words="world_critique")([(sample, attempt(sample, "no"))])
    assert (said.score, said.text) == (7.0, "")


def test_gold_critiques_are_those_of_the_other_critic_and_it_sees_the_outcome():
    sample = SAMPLES[0]
    right = attempt(sample, *gold(sample).splitlines())
    wrong = attempt(sample, *gold(sample).splitlines()[:-1], "answer : 99", index=1)
    reward = CritiqueReward(model(), "gold", GoldCritique(), words="world_critique")
    one, two, short = reward([(sample, right), (sample, wrong), (sample, attempt(sample, "answer : 1", index=2))])
    assert (one.score, two.score, short.score) == (0.0, -1.0, None)
    assert "not as many as its question" in short.error
    assert reward.sees_outcome


def test_an_attempt_without_steps_or_with_a_cut_critique_has_no_score_but_a_reason():
    sample = SAMPLES[0]
    reward = CritiqueReward(model("one two three four"), words="world_critique", max_tokens=2)
    empty, cut = reward([(sample, attempt(sample)), (sample, attempt(sample, "no"))])
    assert (empty.score, empty.error) == (None, "the attempt has no steps")
    assert (cut.score, cut.error) == (None, "the critique was cut at 2 tokens")


def test_gold_without_a_writer_and_a_writer_without_need_are_refused():
    with pytest.raises(ValueError, match="critic 'reward' reads gold critiques and got none as the critic who writes"):
        CritiqueReward(model(), "gold")
    with pytest.raises(ValueError, match="reads generated critiques and got 'gold'"):
        CritiqueReward(model(), gold=GoldCritique())
    with pytest.raises(ValueError, match=r"prompt 'question' has no field \{steps\}: critic 'reward' would not see"):
        CritiqueReward(model(), words="question")


def test_by_rule_a_verdict_follows_from_what_the_model_wrote_and_what_stands_there():
    sample = SAMPLES[0]
    wrote = "step 1 : 2 + 2 = 4 ; wrong \n step 2 : answer : 4 ; right"
    reward = CritiqueReward(model(wrote), verdicts="rule", words="world_critique")
    (said,) = reward([(sample, attempt(sample, "2 + 2 = 4", "answer : 5"))])
    assert said.text == "step 1 : 2 + 2 = 4 ; right\nstep 2 : answer : 4 ; wrong"
    assert said.score == -1.0
    cut = CritiqueReward(model(wrote), verdicts="rule", words="world_critique", max_tokens=2)
    (said,) = cut([(sample, attempt(sample, "2 + 2 = 4"))])
    assert (said.score, said.error) == (None, "the critique was cut at 2 tokens")


def test_only_lines_that_write_a_step_of_the_attempt_are_compared():
    steps = ["red circles : a1  b2 = 2", "answer : 2"]
    text = "look 1 : red circles : a1 b2 = 2\nstep 2 : answer : 3\nstep 3 : answer : 2 ; right\nNo errors."
    assert compared(text, steps) == (
        "step 1 : red circles : a1 b2 = 2 ; right\nstep 2 : answer : 3 ; wrong\nstep 3 : answer : 2 ; right\nNo errors."
    )
    assert compared("", steps) == ""
    beside = "step 1 : red circles : a1 = 1 ; 2 ; right\nstep 2 : answer : 2 ; 3 ; wrong"
    assert compared(beside, steps) == ("step 1 : red circles : a1 = 1 ; 2 ; wrong\nstep 2 : answer : 2 ; 2 ; right"), (
        "what the step came to stays, as it is"
    )


def test_a_rule_compares_what_the_model_wrote_and_nothing_else():
    with pytest.raises(ValueError, match="critic 'reward' has verdicts by rule on none critiques: expected generated"):
        CritiqueReward(model(), "none", verdicts="rule")


@pytest.mark.parametrize("form", ["looks", "verdicts", "beside"])
def test_on_inserted_errors_the_gold_critique_is_the_one_that_is_taught(form):
    tasks = critiquing(SAMPLES, words="world_critique", form=form, clean=0.2, most=3)
    by_id = {f"critique-{s.id}": s for s in SAMPLES}
    for task in tasks:
        sample = by_id[task.id]
        (said,) = GoldCritique(form=form)([(sample, attempt(sample, *task.meta["steps"]))])
        assert said.text == task.answer
        assert [i for i, s in enumerate(said.step_scores) if s == 0] == [e["step"] for e in task.meta["errors"]]
        assert said.score == float(not task.meta["errors"])
        by_rule = compared(said.text, task.meta["steps"])
        whole = GoldCritique(form="verdicts" if form == "looks" else form)
        assert by_rule == next(whole([(sample, attempt(sample, *task.meta["steps"]))])).text
        found = {d.step for d in parse(said.text, task.meta["steps"])}
        assert found == {e["step"] for e in task.meta["errors"]}, "it is read as it was meant"


def test_a_number_that_the_world_has_no_word_for_is_no_critique():
    """Six seen as one, and one as two: the difference would be -1, which no tokenizer of the world can write."""
    (sample,) = shapes(n=1, split="train", seed=0, families=("removal",))
    first, second, *_ = split_steps(gold(sample))
    assert (first, second) == ("triangles : a1 a2 a3 b3 d1 d2 = 6", "yellow triangles : a3 = 1")
    steps = ("triangles : a1 = 1", "yellow triangles : a1 a3 = 2", "1 - 2 = 0", "answer : 0")
    (said,) = GoldCritique()([(sample, attempt(sample, *steps))])
    assert (said.score, said.text) == (None, "") and "should say -1, a number that the world has no word" in said.error
