"""TICK: checklists written once a question and answered item by item; STICK: chains refined by what failed."""

import pytest

from mmevolve.answers.checklist import items, not_read, parse, written
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.checklist import Checklist
from mmevolve.metrics.judged import ChecklistItems
from mmevolve.metrics.over_turns import OverTurns
from mmevolve.metrics.self_correction import SelfCorrection
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.checklist_refine import ChecklistRefine
from mmevolve.samplers.independent import Independent
from mmevolve.text import images_of
from mmevolve.types import Critique, Sample, Step, Trajectory
from mmevolve.verbs import group

SAMPLE = Sample("s", "how many ?", ("a.png",), answer="4")
LIST = "Checklist:\n1. Does it say one?\n2. Does it say two?\n3. Does it say three?\n3. Does it say three?"
SAID = ("one", "two", "three")


class Judge(Scripted):
    """Writes a list; an item is fulfilled when its last word is in the attempt, unread when that is `three?`."""

    def __init__(self, lists=LIST, third="YES"):
        super().__init__(self.say)
        self.lists, self.third, self.asked, self.pictures = lists, third, [], []

    def generate(self, chats, **knobs):
        self.asked += [chat[0]["content"][-1]["text"] for chat in chats]
        self.pictures += [len(images_of(chat)) for chat in chats]
        return super().generate(chats, **knobs)

    def say(self, said, seed, index):
        if "Write a checklist" in said:
            return self.lists
        attempt, item = said.split("An answer to it:\n")[1].split("\nDoes it say ")
        word = item.split("?")[0]
        if word == "three" and self.third != "YES":
            return self.third
        return "YES" if word in attempt else "NO."


def attempts(*texts, sample=SAMPLE):
    return [
        (sample, Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(text),) if text else (), "4"))
        for i, text in enumerate(texts)
    ]


def test_a_checklist_is_what_asks_each_once_and_at_most_so_many():
    reply = "Here it is:\n\n- [ ] Is it red?\n* **Does it add?**\n(3) Is it red?\n4) Is it short.\n\u2610 Is it right?"
    assert items(reply, 9) == (("Is it red?", "Does it add?", "Is it right?"), 2)
    assert items(reply, 2)[0] == ("Is it red?", "Does it add?")
    assert items("", 3) == ((), 0) and items("? " * 20_000, 3)[1] == 0


def test_a_critique_is_read_as_it_was_written():
    text = written(("Is it a: b?", "Is it?", "Or?"), (True, False, None), 2, "NO: this is what it wrote?\nYES")
    assert text.startswith("YES: Is it a: b?\nNO: Is it?\nUNREAD: Or?\nlines not read: 2\n| NO: this")
    assert parse(text) == [("Is it a: b?", True), ("Is it?", False), ("Or?", None)] and not_read(text) == 2
    assert parse("No checklist. NO: it is not one") == [] and not_read("") == 0


def test_the_score_is_the_share_of_yes_and_the_list_is_written_once():
    """Of three items one, two and three come true; the list is one call, each item of each attempt another."""
    judge = Judge()
    critic = Checklist(judge)
    said = list(critic(attempts("one", "two one", "one two three", "one", "")))
    assert [c.score for c in said] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0, pytest.approx(1 / 3), None]
    assert said[0].text == "YES: Does it say one?\nNO: Does it say two?\nNO: Does it say three?\nlines not read: 1"
    assert said[4].error == "the attempt has no steps" and said[0].sees_image
    assert critic.calls.asked == {"checklists": 1, "items": 9} and len(judge.asked) == 10
    assert "one" not in judge.asked[0].replace("one per line", "").replace("one thing", "")
    assert "at most 8 questions" in judge.asked[0] and judge.asked[1].count("Does it say") == 1
    list(critic(attempts("two", sample=SAMPLE)))
    assert critic.calls.asked["checklists"] == 1 and critic.calls.saved["checklists"] == 1


def test_items_that_cannot_be_read_count_neither_way_and_are_counted():
    judge = Judge(third="Hard to tell.")
    critic = Checklist(judge)
    tried = attempts("one", "one two")
    said = list(critic(tried))
    assert [c.score for c in said] == [0.5, 1.0] and critic.calls.unread["items"] == 2
    numbers = ChecklistItems()(group([SAMPLE], [t for _, t in tried], said))
    assert numbers == {
        "items_passed_checklist": 0.75, "items_unread_checklist": pytest.approx(1 / 3), "items_each_checklist": 3.0,
        "items_empty_checklist": 0.0, "items_lines_left_checklist": 1.0,
    }  # fmt: skip


def test_the_pooled_pass_rate_is_no_mean_of_scores():
    """One of one item and one of three: the mean score is 2/3, the pooled rate 2/4."""
    other = Sample("o", "how few ?")
    short, long = Checklist(Judge("Does it say one?")), Checklist(Judge())
    tried = [attempts("one"), attempts("one", sample=other)]
    said = [*short(tried[0]), *long(tried[1])]
    numbers = ChecklistItems()(group([SAMPLE, other], [t for row in tried for _, t in row], said))
    assert numbers["items_passed_checklist"] == 0.5
    assert sum(c.score for c in said) / 2 == pytest.approx(2 / 3)


@pytest.mark.parametrize("reply", ["", "I would look at the colours.\nNO: thanks"])
def test_an_empty_checklist_gives_no_score(reply):
    critic = Checklist(Judge(reply))
    tried = attempts("one", "two")
    said = list(critic(tried))
    assert [c.score for c in said] == [None, None] and said[0].error.startswith("the checklist is empty: ")
    assert critic.calls.unread["checklists"] == 1 and parse(said[0].text) == []
    assert all(line in said[0].text for line in reply.split("\n")), "what was written is kept"
    assert ChecklistItems()(group([SAMPLE], [t for _, t in tried], said))["items_empty_checklist"] == 1.0


def test_a_list_none_of_whose_items_is_answered_gives_no_score():
    critic = Checklist(Judge("Does it say three?", third="maybe"))
    (said,) = critic(attempts("one"))
    assert said.score is None and said.error == "none of 1 items was answered by yes or no"
    assert said.text == "UNREAD: Does it say three?"


def test_another_model_may_write_the_lists_and_neither_needs_the_picture():
    writer, judge = Judge("Does it say two?"), Judge()
    critic = Checklist(judge, writer=writer, sees_image=False)
    (said,) = critic(attempts("two"))
    assert (said.score, said.sees_image, critic.sees_image) == (1.0, False, False)
    assert (len(writer.asked), len(judge.asked)) == (1, 1) and writer.pictures == judge.pictures == [0]


def test_templates_that_lack_a_field_are_refused():
    with pytest.raises(ValueError, match=r"prompt 'checklist_write' of critic 'checklist' has no field \{attempt\}"):
        Checklist(None, answer="checklist_write")
    with pytest.raises(ValueError, match=r"prompt 'checklist_refine' of critic 'checklist' has no field \{question\}"):
        Checklist(None, write="checklist_refine")
    with pytest.raises(ValueError, match=r"template 'review' has no field \{failed\}"):
        ChecklistRefine(Checklist(None), refine="review")
    assert list(Checklist(None)([])) == []


class Policy(Scripted):
    """Writes `first`, and when items failed the next of `later`."""

    def __init__(self, first, *later):
        super().__init__(self.say)
        self.turns, self.chats = (first, *later), []

    def generate(self, chats, **knobs):
        self.chats += chats
        return super().generate(chats, **knobs)

    def say(self, said, seed, index):
        if "the check said no" not in said:
            return self.turns[0]
        before = said.split("\nYour answer was checked")[0].partition("\n")[2]
        return self.turns[min(self.turns.index(before) + 1, len(self.turns) - 1)]


def refined(*turns, judge=None, **settings):
    policy = Policy(*turns)
    made = list(ChecklistRefine(Checklist(judge or Judge()), **settings)(policy, [SAMPLE], round=2))
    return policy, made


def ends(made):
    stops = [t.sampling["stopped"] for t in made if "stopped" in t.sampling]
    return [t.text for t in made], made[-1].sampling.get("copy_of"), stops


def test_failed_items_are_told_until_all_pass():
    policy, made = refined("one", "one two", "one two three", "never")
    assert ends(made) == (["one", "one two", "one two three"], None, ["all pass"])
    assert [t.id for t in made] == ["s/2/0", "s/2/0~1", "s/2/0~2"]
    assert [t.parent for t in made] == [None, "s/2/0", "s/2/0~1"]
    assert [t.sampling["checklist"] for t in made] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]
    assert made[1].sampling["feedback"] == "Does it say two?\nDoes it say three?"
    assert made[2].sampling["feedback"] == "Does it say three?"
    question, answer, again = policy.chats[2]
    assert answer["content"][0]["text"] == "one two", "the last attempt alone"
    assert "- Does it say three?\nLook again" in again["content"][0]["text"]
    assert question["content"][0]["type"] == "image" and len(policy.chats) == 3


def test_an_answer_that_passes_is_left_alone():
    _, made = refined("one two three", "worse")
    assert ends(made) == (["one two three"], None, ["all pass"])


def test_the_best_is_kept_where_a_later_turn_lost_it():
    """2/3, 1/3, 1/3: the chain ends in a copy of the first; of equals the first would be kept too."""
    _, made = refined("one two", "one", "two")
    assert ends(made) == (["one two", "one", "two", "one two"], "s/2/0", ["rounds"])
    assert (made[3].id, made[3].parent) == ("s/2/0~3", "s/2/0~2") and "stopped" not in made[3].sampling
    _, equal = refined("one", "two", max_rounds=1)
    assert ends(equal) == (["one", "two", "one"], "s/2/0", ["rounds"])
    _, middle = refined("one", "one two", "two")
    assert ends(middle) == (["one", "one two", "two", "one two"], "s/2/0~1", ["rounds"])


def test_what_is_kept_is_what_metrics_of_first_and_last_turns_count():
    _, made = refined("one two\nAnswer: 4", "one\nAnswer: 5", "two\nAnswer: 6")
    said = list(AnswerMatch()([(SAMPLE, t) for t in made]))
    groups = group([SAMPLE], made, said)
    numbers = SelfCorrection()(groups)
    assert (numbers["acc_t1"], numbers["acc_t2"]) == (1.0, 1.0)
    over = OverTurns()(groups)
    assert [over[f"turn_acc@{t}"] for t in (1, 2, 3, 4)] == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("turns", "judge", "stopped"),
    [
        (("one", "one"), Judge(), "unchanged"),
        (("one two", "x"), Judge(third="hm"), "nothing failed"),
        (("one", "two"), Judge("no list"), "no score"),
        (("one", "two one", "one"), Judge(), "rounds"),
    ],
)
def test_each_other_way_to_stop(turns, judge, stopped):
    _, made = refined(*turns, judge=judge)
    assert [t.sampling["stopped"] for t in made if "stopped" in t.sampling] == [stopped]


def test_first_attempts_are_those_of_independent_sampling():
    def say(said, seed, index):
        return f"one {seed % 97} {index}"

    policy = Scripted(say)
    sampler = ChecklistRefine(Checklist(Judge()), n=3, temperature=0.7, max_rounds=1, seed=5)
    made = [t for t in sampler(policy, [SAMPLE], round=1) if t.parent is None]
    plain = list(Independent(n=3, temperature=0.7, seed=5)(policy, [SAMPLE], round=1))
    assert [(t.id, t.text) for t in made] == [(t.id, t.text) for t in plain]


def test_a_critic_without_a_checklist_is_refused():
    class Other:
        name, sees_image, sees_outcome = "other", False, False

        def __call__(self, items):
            yield from (Critique(t.id, "other", 0.5, text="it is fine") for _, t in items)

    with pytest.raises(ValueError, match=r"critic 'other' gives a score without a checklist, .* critics\.Checklist"):
        list(ChecklistRefine(Other())(Policy("one"), [SAMPLE], round=0))
