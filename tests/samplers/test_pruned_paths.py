import pytest

from mmevolve.metrics.pruning import Pruning, saving
from mmevolve.models.scripted import Scripted
from mmevolve.samplers.independent import Independent
from mmevolve.samplers.pruned_paths import PrunedPaths
from mmevolve.samplers.reflect import Reflect
from mmevolve.text import stable_seed
from mmevolve.types import Critique, Group, Sample

SAMPLES = [Sample(f"s{i}", f"question {i} ?", answer="4") for i in range(3)]


class By:
    """Scores what is written so far by a function of its step texts."""

    def __init__(self, score, text=""):
        self.name, self.score, self.text, self.asked = "by", score, text, []

    def __call__(self, items):
        for _, t in items:
            lines = tuple(s.text for s in t.steps)
            self.asked.append(lines)
            score = self.score(lines)
            yield Critique(t.id, self.name, score, text=self.text, error="no idea" if score is None else None)


def writer(calls):
    """Five lines, each with a number of its own seed, then the answer; counts the lines that were drawn."""

    def say(said, seed, index):
        done = [line for line in said.splitlines() if line.startswith("step")]
        calls.append(len(done))
        n = len(done)
        return "answer : 4" if n == 5 else f"step {n} is {stable_seed(seed, index) % 100}\nand more"

    return say


ALWAYS, NEVER = By(lambda lines: 1.0), By(lambda lines: 0.0)


def drawn(clarity, potential, **words):
    calls = []
    made = list(PrunedPaths(clarity, potential, **{"n": 3, **words})(Scripted(writer(calls)), SAMPLES, round=2))
    return made, calls


def unlucky(lines):
    """No potential where the last number is below 40."""
    return float(int(lines[-1].split()[-1]) >= 40)


def test_without_a_gate_every_path_is_written_to_its_end():
    made, calls = drawn(NEVER, NEVER)
    assert [t.id for t in made] == [f"s{i}/2/{j}" for i in range(3) for j in range(3)]
    assert {len(t.steps) for t in made} == {6} and {t.answer for t in made} == {"4"}
    assert {t.stop_reason for t in made} == {"stop"} and len(calls) == 9 * 6
    assert len({t.text for t in made}) == 9


def test_a_path_is_really_cut_and_what_it_said_is_what_it_would_have_said():
    """The gate opens at step 3; paths whose third number is below 40 end there, no further line is drawn."""
    whole, _ = drawn(NEVER, NEVER)
    made, calls = drawn(By(lambda lines: float(len(lines) >= 3)), By(unlucky))
    given_up = [t for t in made if t.sampling["cut_at"] is not None]
    assert given_up, "the seeds hold some"
    for old, new in zip(whole, made, strict=True):
        assert [s.text for s in old.steps][: len(new.steps)] == [s.text for s in new.steps]
        lives = int(old.steps[2].text.split()[-1]) >= 40 or new.sampling["fallback"]
        assert (len(new.steps), new.stop_reason, new.answer) == ((6, "stop", "4") if lives else (3, "length", None))
    assert len(calls) == sum(len(t.steps) for t in made), "one line drawn for every step that there is"
    assert {t.sampling["clear_at"] for t in made} == {3} and {t.sampling["asked"] for t in made} == {1}


def test_the_saving_is_counted_and_here_exact():
    whole, _ = drawn(NEVER, NEVER)
    made, _ = drawn(By(lambda lines: float(len(lines) >= 3)), By(unlucky))
    groups = [Group(s, tuple(t for t in made if t.sample_id == s.id)) for s in SAMPLES]
    numbers = Pruning()(groups)
    truth = sum(len(t.token_ids) for t in whole) - sum(len(t.token_ids) for t in made)
    assert numbers["tokens_saved"] == pytest.approx(truth) and truth > 0
    total = sum(len(t.token_ids) for t in whole)
    assert numbers["tokens_saved_share"] == pytest.approx(truth / total)
    assert numbers["pruned"] == pytest.approx(sum(t.sampling["cut_at"] is not None for t in made) / 9)


def test_the_saving_by_hand():
    """Finished 10 and 14, mean 12: of 4 it saves 8, of 13 nothing. Nothing finished, nothing known."""
    assert saving([10, 14, 4, 13], [False, False, True, True]) == 8.0
    assert saving([4], [True]) == 0.0


def test_the_gate_latches_and_is_not_asked_again():
    clarity = By(lambda lines: float(len(lines) == 2))
    drawn(clarity, ALWAYS)
    assert {len(lines) for lines in clarity.asked} == {1, 2}


@pytest.mark.parametrize(("assess", "lengths"), [("once", [2]), ("every", [2, 3, 4, 5])])
def test_the_potential_is_asked_once_or_at_every_step_from_the_gate_on(assess, lengths):
    potential = By(lambda lines: 1.0)
    drawn(By(lambda lines: float(len(lines) >= 2)), potential, assess=assess)
    assert sorted({len(lines) for lines in potential.asked}) == lengths


def test_when_all_are_cut_the_one_with_the_most_potential_is_finished():
    def low(lines):
        return int(lines[0].split()[-1]) / 1000

    made, _ = drawn(ALWAYS, By(low))
    for s in SAMPLES:
        own = [t for t in made if t.sample_id == s.id]
        (finished,) = [t for t in own if t.sampling["cut_at"] is None]
        assert finished.sampling["fallback"] and finished.answer == "4" and len(finished.steps) == 6
        assert finished.sampling["potential"] == max(t.sampling["potential"] for t in own)
        assert [len(t.steps) for t in own if t is not finished] == [1, 1]


def test_a_judge_without_a_score_cuts_nothing():
    made, _ = drawn(ALWAYS, By(lambda lines: None))
    assert {t.sampling["cut_at"] for t in made} == {None}
    made, _ = drawn(By(lambda lines: None), NEVER)
    assert {t.sampling["asked"] for t in made} == {0}


def test_a_path_ends_at_the_end_token_at_an_empty_line_or_at_its_limits():
    def made(reply, **words):
        (t,) = PrunedPaths(NEVER, NEVER, n=1, **words)(Scripted(lambda *_: reply), SAMPLES[:1], round=0)
        return [s.text for s in t.steps], t.stop_reason

    assert made("no line break") == (["no line break"], "stop"), "the reply ends in the end token"
    assert made("") == ([], "stop")
    assert made("on\nand on", max_steps=3) == (["on"] * 3, "length")
    assert made("a b c d", step_tokens=2) == (["a b"], "length")


def test_paths_do_not_depend_on_the_batch():
    sampler = PrunedPaths(By(lambda lines: float(len(lines) >= 3)), By(unlucky), n=3)
    policy = Scripted(writer([]))
    together = {t.id: t for t in sampler(policy, SAMPLES, round=1)}
    assert together == {t.id: t for s in reversed(SAMPLES) for t in sampler(policy, [s], round=1)}
    assert list(sampler(policy, [], round=0)) == []


def reviser(said, seed, index):
    """Wrong at first; right at the second revision."""
    return "answer : 4" if "answer : 3" in said else "answer : 3" if "answer : 2" in said else "answer : 2"


RIGHT = By(lambda lines: float(lines[-1] == "answer : 4"), text="look again")


def test_an_attempt_is_reflected_on_until_the_judge_says_yes():
    made = list(Reflect(Independent(n=2), RIGHT)(Scripted(reviser), SAMPLES[:1], round=1))
    assert [(t.id, t.parent, t.answer) for t in made] == [
        ("s0/1/0", None, "2"), ("s0/1/1", None, "2"), ("s0/1/0~1", "s0/1/0", "3"), ("s0/1/1~1", "s0/1/1", "3"),
        ("s0/1/0~2", "s0/1/0~1", "4"), ("s0/1/1~2", "s0/1/1~1", "4"),
    ]  # fmt: skip


@pytest.mark.parametrize(("rounds", "count"), [(1, 2), (3, 4), (5, 6)])
def test_reflection_ends_after_its_rounds(rounds, count):
    made = list(Reflect(Independent(n=1), NEVER, rounds=rounds)(Scripted(reviser), SAMPLES[:1], round=0))
    assert len(made) == count


def test_the_reflection_is_in_sight_of_the_revision():
    seen = []

    def say(said, seed, index):
        seen.append(said)
        return "answer : 1"

    list(Reflect(Independent(n=1), RIGHT, rounds=1)(Scripted(say), SAMPLES[:1], round=0))
    assert seen[1].endswith("A former attempt:\nanswer : 1\nWhat is wrong with it: look again\nAnswer again.")
    list(Reflect(Independent(n=1), NEVER, rounds=1)(Scripted(say), SAMPLES[:1], round=0))
    assert "What is wrong with it: it is not right" in seen[3]


def test_what_was_cut_or_not_judged_is_left_as_it_is():
    cut = Reflect(Independent(n=1, max_tokens=2), NEVER)
    assert len(list(cut(Scripted(lambda *_: "a b c d"), SAMPLES[:1], round=0))) == 1
    unjudged = Reflect(Independent(n=1), By(lambda lines: None))
    assert len(list(unjudged(Scripted(reviser), SAMPLES[:1], round=0))) == 1


@pytest.mark.parametrize("field", ["attempt", "reflection"])
def test_a_template_that_hides_what_it_should_show_is_refused(field):
    with pytest.raises(ValueError, match=rf"has no field \{{{field}\}}"):
        Reflect(Independent(), RIGHT, asks="{question} {attempt} {reflection}".replace(f"{{{field}}}", ""))
