"""Self-Rationalization's four rules of pairing, SCIR's rows, what a critique in the loop leaves; their metrics."""

import math
from dataclasses import replace

import pytest

from mmevolve.answers import judge_reply
from mmevolve.answers.pair_verdicts import Compared, written
from mmevolve.metrics.agreement import Agreement
from mmevolve.metrics.refilled import Refilled
from mmevolve.metrics.saturation import Saturation
from mmevolve.prompts import template
from mmevolve.schedules.watch import Watch
from mmevolve.selectors.internal_pairs import BEFORE, FIRST, SECOND, InternalPairs
from mmevolve.selectors.judgment_pairs import JudgmentPairs
from mmevolve.selectors.refined import Refined
from mmevolve.text import ask
from mmevolve.types import Critique, Demonstration, Group, Sample, Step, Trajectory

SAMPLE = Sample("s", "judge this", ("a.png",), answer="5")


def judged(*rows, sample=SAMPLE):
    """Judgments by text, given score, nearness to gold, meta-judge's score; one whose text says so is cut."""
    tried = [
        Trajectory(
            f"{sample.id}/0/{i}", sample.id, "m", (Step(row[0]),), stop_reason="length" if "cut" in row[0] else "stop"
        )
        for i, row in enumerate(rows)
    ]
    said = [
        Critique(t.id, name, score, error=None if score is not None else "?")
        for k, name in enumerate(("given", "gold", "meta"), start=1)
        for t, row in zip(tried, rows, strict=True)
        for score in [row[k]]
    ]
    return Group(sample, tuple(tried), tuple(said))


# Five judgments of an answer that deserves 5 (1.0): scores 5, 4, 4, 2 and one that cannot be read.
FIVE = judged(
    ("five", 1.0, 1.0, 0.4), ("four", 0.75, 0.75, 0.9), ("four again", 0.75, 0.75, 0.4), ("two", 0.25, 0.25, 0.1),
    ("nothing", None, None, 0.8),
)  # fmt: skip


def pairs(group=FIVE, **settings):
    return [(row.chosen, row.rejected, row.margin) for row in JudgmentPairs(**settings)([group])]


def test_gold_prefers_the_score_that_is_deserved():
    assert pairs() == [("five", "four", 1.0), ("five", "four again", 1.0), ("five", "two", 1.0)]


def test_majority_prefers_the_score_most_often_given_right_or_wrong():
    wanted = [("four", "five"), ("four", "two"), ("four again", "five"), ("four again", "two")]
    assert [p[:2] for p in pairs(pair_by="majority")] == wanted


def test_without_a_majority_there_is_no_pair():
    assert pairs(judged(("a", 1.0, 1.0, 0), ("b", 0.5, 0.5, 0)), pair_by="majority") == []
    assert pairs(judged(("a", None, None, 0)), pair_by="majority") == []


def test_margin_prefers_the_nearer_score_by_enough():
    """1, 0.75, 0.75 and 0.25 near: with 1/2 or more between them, three pairs; with 3/4, one."""
    half = pairs(pair_by="margin", least=0.5)
    assert half == [("five", "two", 0.75), ("four", "two", 0.5), ("four again", "two", 0.5)]
    assert pairs(pair_by="margin", least=0.75) == [("five", "two", 0.75)]
    with pytest.raises(ValueError, match="pair_by is margin and least is 0, expected a least difference above 0"):
        JudgmentPairs(pair_by="margin")


def test_meta_prefers_what_the_judge_of_judgments_does():
    best = [("four", "five"), ("four", "four again"), ("four", "two")]
    assert [p[:2] for p in pairs(pair_by="meta")] == [("five", "two"), *best, ("four again", "two")]


def test_the_largest_differences_are_kept_and_rows_are_the_task():
    assert pairs(pair_by="meta", most=1) == [("four", "two", pytest.approx(0.8))]
    (row,) = JudgmentPairs(most=1)([FIVE])
    assert row.prompt == ask(SAMPLE, "{question}") and row.source == "s/0/0"


def test_repeats_and_cut_judgments_are_left_out():
    group = judged(("a", 1.0, 1.0, 0), ("a", 1.0, 1.0, 0), ("b cut", 0.0, 0.0, 0), ("c", 0.0, 0.0, 0))
    assert [p[:2] for p in pairs(group)] == [("a", "c")]
    assert [p[:2] for p in pairs(group, whole=False)] == [("a", "b cut"), ("a", "c")]
    with pytest.raises(KeyError, match="no critic 'other'"):
        pairs(gold="other")


def test_saturation_counts_scores_at_the_top():
    """Of 1, 0.75, 0.75, 0.25 and, at another question, 1, 1: 3 of 6; 3 and 1 levels are 2 on average."""
    other = judged(("a", 1.0, 0, 0), ("b", 1.0, 0, 0), sample=Sample("r", "?"))
    numbers = Saturation()([FIVE, other])
    assert numbers["saturated_given"] == 0.5 and numbers["floored_given"] == 0.0
    assert numbers["score_mean_given"] == pytest.approx(4.75 / 6) and numbers["score_levels_given"] == 2.0
    assert Saturation(low=0.25)([FIVE])["floored_given"] == 0.25
    with pytest.raises(ValueError, match=r"critic 'given' scores 1.0, expected 0 to 0.9"):
        Saturation(high=0.9)([FIVE])


def test_a_monitor_of_saturation_sounds_when_scores_drift_to_the_top():
    by_round = {-1: {}, 0: {"saturated_given": 0.5}, 1: {"saturated_given": 0.8}}
    assert Watch("saturated_given", "honesty", most=0.75)({k: by_round[k] for k in (-1, 0)}) is None
    assert (
        "'saturated_given' is 0.8, expected at most 0.75"
        in Watch("saturated_given", "honesty", most=0.75)(by_round).why
    )
    rise = Watch("saturated_given", "honesty", rise=0.15)(by_round)
    assert "rose from 0.5 (round 0) to 0.8" in rise.why
    silent = Saturation()([judged(("a", None, None, 0))])["saturated_given"]
    assert math.isnan(silent), "a judge that cannot be read is not saturated"


def attempts(*texts, sample=SAMPLE):
    return Group(sample, tuple(Trajectory(f"s/0/{i}", "s", "m", (Step(t),), t[-1]) for i, t in enumerate(texts)))


def test_internal_pairs_are_three_rows_with_one_source():
    first, there, back = InternalPairs()([attempts("x 1", "y 2")])
    assert (first.chosen, first.rejected, first.prefix, first.scope) == ("x 1", "y 2", "", "trajectory")
    assert first.prompt == ask(SAMPLE, "{question}")
    assert (there.prefix, there.chosen, there.rejected) == ("better :", " A", " B")
    assert (back.prefix, back.chosen, back.rejected) == ("better :", " B", " A")
    shown = [row.prompt[0]["content"][-1]["text"] for row in (there, back)]
    assert "Answer A:\nx 1\n\nAnswer B:\ny 2\n" in shown[0] and "Answer A:\ny 2\n\nAnswer B:\nx 1\n" in shown[1]
    assert all(row.prompt[0]["content"][0]["image"] == "a.png" for row in (first, there, back)), "both rewards see it"
    assert {row.source for row in (first, there, back)} == {"s/0/0"}
    assert {row.scope for row in (there, back)} == {"step"}, "the letter alone, without an end"


def test_internal_pairs_are_neighbours_and_an_attempt_is_first_once():
    rows = list(InternalPairs()([attempts("x 1", "y 2", "x 1", "z 2", "w 3")]))
    assert [(r.chosen, r.rejected) for r in rows[::3]] == [("x 1", "y 2"), ("y 2", "z 2"), ("z 2", "w 3")]
    assert [r.source for r in rows[::3]] == ["s/0/0", "s/0/1", "s/0/3"]
    differ = list(InternalPairs(differ=True, most=1)([attempts("y 2", "z 2", "w 3")]))
    assert [(r.chosen, r.rejected) for r in differ[::3]] == [("z 2", "w 3")]
    with pytest.raises(ValueError, match=r"prompt 'judge' has no field \{first\}"):
        InternalPairs(words="judge")


def compared(reply_of_first, reply_of_second):
    group = attempts("x 1", "y 2")
    said = [
        Critique("s/0/0", "pairwise", 1.0, text=written([Compared("s/0/1", "won", "won", reply_of_first)])),
        Critique("s/0/1", "pairwise", 0.0, text=written([Compared("s/0/0", "lost", "lost", reply_of_second)])),
    ]
    return replace(group, critiques=tuple(said))


def test_the_letter_of_internal_pairs_comes_after_the_judges_own_reasons():
    group = compared("it is 1\nA : 1\nB : 2\nbetter : A", "I count 1.\n**Better:** B")
    plain, there, back = InternalPairs(reasons="pairwise")([group])
    assert (there.prefix, there.chosen, there.rejected) == ("it is 1\nA : 1\nB : 2\nbetter :", " A", " B")
    assert (back.prefix, back.chosen, back.rejected) == ("I count 1.\n**Better:**", " B", " A")
    at_once = list(InternalPairs()([group]))
    assert plain == at_once[0] and [replace(r, prefix="better :") for r in (there, back)] == at_once[1:]


def test_internal_pairs_without_reasons_that_can_be_read_are_left_out_and_an_unasked_judge_is_named():
    assert list(InternalPairs(reasons="pairwise")([compared("better : A", "neither, I think")])) == []
    assert list(InternalPairs(reasons="pairwise")([compared("A", "better : B")])) == [], "a bare letter has no reasons"
    with pytest.raises(ValueError, match=r"critic 'pairwise' has not compared 's/0/0' with 's/0/1'"):
        list(InternalPairs(reasons="pairwise")([attempts("x 1", "y 2")]))


def scored(*rows, sample=SAMPLE):
    tried = attempts(*(f"t {i}" for i in range(len(rows))), sample=sample).trajectories
    said = [
        Critique(t.id, name, row[k], error=None if row[k] is not None else "?")
        for k, name in enumerate(("pairwise", "implicit"))
        for t, row in zip(tried, rows, strict=True)
    ]
    return Group(sample, tried, tuple(said))


def test_agreement_of_two_rewards_by_hand():
    """Six pairs of four attempts; with a tie or a missing score one is not decided: 01, 02, 12 are; 01, 02 agree."""
    group = scored((3.0, 9.0), (2.0, 5.0), (1.0, 7.0), (1.0, None))
    numbers = Agreement()([group])
    assert numbers == {"agree_pairwise_implicit": pytest.approx(2 / 3), "agree_decided_pairwise_implicit": 0.5}
    tied = Agreement()([scored((1.0, 0.0), (2.0, 0.0))])
    assert math.isnan(tied["agree_pairwise_implicit"]) and tied["agree_decided_pairwise_implicit"] == 0.0


def loop(*rows, sample=SAMPLE):
    """Attempts by name, text, right or not; `0~1` revises `0`."""
    tried, said = [], []
    for name, text, right in rows:
        parent = f"s/0/{name.partition('~')[0]}" if "~" in name else None
        told = {"critique": f"mend {parent}"} if parent else {}
        tried.append(Trajectory(f"s/0/{name}", "s", "m", (Step(text),), parent=parent, sampling=told))
        said.append(Critique(f"s/0/{name}", "answer", float(right)))
    return Group(sample, tuple(tried), tuple(said))


EASY = loop(("0", "a", True), ("1", "b", False), ("2", "c", True), ("1~1", "a", True), ("1~2", "d", True))
HARD = loop(("0", "p", False), ("1", "q", False), ("0~1", "r", False), ("1~1", "t", True), ("0~2", "u", True))


def test_right_originals_and_one_right_refinement_are_kept():
    rows = [(r.source, r.completion) for r in Refined()([EASY, HARD])]
    assert rows == [("s/0/0", "a"), ("s/0/2", "c"), ("s/0/1~2", "d"), ("s/0/1~1", "t")], "a says nothing new"
    assert [r.completion for r in Refined(originals=1, refinements=2)([EASY, HARD])] == ["a", "d", "t", "u"]
    assert [r.completion for r in Refined(refinements=0)([EASY, HARD])] == ["a", "c"]


def test_a_chain_shows_the_wrong_attempt_and_what_was_told():
    plain, chain = Refined(chains=True)([HARD])
    assert plain.prompt == ask(SAMPLE, "{question}") and chain.completion == plain.completion == "t"
    assert [m["role"] for m in chain.prompt] == ["user", "assistant", "user"]
    assert chain.prompt[1]["content"][0]["text"] == "q" and chain.prompt[2]["content"][0]["text"] == "mend s/0/1"
    untold = Group(
        SAMPLE, (Trajectory("s/0/0~1", "s", "m", (Step("x"),), parent="s/0/0"),), (Critique("s/0/0~1", "answer", 1.0),)
    )
    with pytest.raises(ValueError, match=r"'s/0/0~1': its parent 's/0/0' is not among the attempts"):
        list(Refined(chains=True)([untold]))


def test_the_first_set_goes_before_a_rounds_rows_where_there_are_any():
    first = Demonstration(ask(SAMPLE, "{question}"), "first", source="f")
    assert [r.completion for r in Refined(rows=[first])([EASY])] == ["first", "a", "c", "d"]
    assert list(Refined(rows=[first])([loop(("0", "p", False))])) == []


def test_what_refinements_bring_back_of_the_tail_by_hand():
    """Of three questions two are hard, one of these is refilled; two give rows, one of them hard; 4 of 6 are right."""
    lost = loop(("0", "p", False), ("0~1", "x", False))
    numbers = Refilled()([EASY, HARD, lost])
    assert numbers == {
        "hard": pytest.approx(2 / 3), "hard_refilled": 0.5, "tail_share": 0.5, "refined_right": pytest.approx(4 / 6),
    }  # fmt: skip
    plain = Refilled()([loop(("0", "a", True)), loop(("0", "p", False))])
    assert plain["tail_share"] == 0.0 and math.isnan(plain["refined_right"])


def test_the_judges_form_is_what_its_prompt_asks_for_and_its_reader_reads():
    assert f'"{BEFORE}{FIRST}" or "{BEFORE}{SECOND}"' in template("judge_pair_direct")
    assert (judge_reply.better(BEFORE + FIRST), judge_reply.better(BEFORE + SECOND)) == ("A", "B")
