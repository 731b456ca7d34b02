"""The arithmetic of the studies: margins, overlap, rows of a step, verdicts, two turns, verifiers, hindsight."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmevolve.controls.grounding import grounding
from mmevolve.metrics.reward import auroc
from mmevolve.statistics import Interval
from mmevolve.types import Critique, Group, Sample, Step, Trajectory


@pytest.fixture(scope="module")
def studies():
    """The scripts by name; they import one another from their folder."""
    folder = str(Path(__file__).parents[1] / "eval" / "studies")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)


def attempt(name, text, parent=None, **sampling):
    return Trajectory(name, "q", "m", tuple(Step(line) for line in text.splitlines()), parent=parent, sampling=sampling)


def judged(*attempts_and_scores):
    said = tuple(Critique(t.id, "answer", score) for t, score in attempts_and_scores)
    return Group(Sample("q", "?", ()), tuple(t for t, _ in attempts_and_scores), said)


def test_the_margin_is_crossed_on_the_line_between_two_measurements_and_first_counts(studies):
    crossing = studies("losses").crossing
    assert crossing([0.0, 0.5, 1.5, 2.5], 2.0) == (2, 0.5)
    assert crossing([0.0, 2.0, 1.0, 3.0], 2.0) == (0, 1.0)
    assert crossing([0.0, -1.0, 1.9], 2.0) is None


def test_overlap_is_one_for_the_same_text_and_zero_for_nothing_in_common(studies):
    overlap = studies("losses").overlap
    assert (overlap("abc", "abc"), overlap("abc", "xyz")) == (1.0, 0.0)
    assert overlap("kitten", "sitting") == pytest.approx(4 / 7)


def test_a_step_pair_is_the_first_step_that_differs_after_those_that_are_shared(studies):
    losses = studies("losses")
    pair = (Sample("q", "?", ()), attempt("r", "a\nb\nanswer : 1"), attempt("w", "a\nc\nanswer : 1"))
    (row,) = losses.first_step(pair, pair)
    assert (row.prefix, row.chosen, row.rejected, row.scope) == ("a\n", "b", "c", "step")
    cut = (pair[0], attempt("r", "a\nb"), attempt("w", "a"))
    (row,) = losses.first_step(cut, cut)
    assert (row.prefix, row.chosen, row.rejected) == ("", "a\nb", "a"), "no step differs: the pair stays whole"


def test_every_loss_of_the_study_reads_the_rows_that_it_is_given(studies):
    losses = studies("losses")
    pair = (Sample("q", "?", ("a.png",)), attempt("r", "a\nb"), attempt("w", "a\nc"))
    other = (Sample("p", "?", ("b.png",)), *pair[1:])
    for entry in losses.LOSSES.values():
        assert all(isinstance(row, entry.loss.example) for row in entry.rows(pair, other))
    text, image = losses.with_picture(pair, other)
    assert (image.chosen, image.rejected) == (text.chosen, text.chosen) and image.prompt != image.rejected_prompt


def test_the_highest_bin_less_the_lowest_by_hand(studies):
    page = studies("losses_page")
    assert [page.binned(x, [0.8, 0.9]) for x in (0.5, 0.8, 0.85, 0.9, 0.95)] == [
        "low",
        "low",
        "middle",
        "middle",
        "high",
    ]
    runs = [{"a": -1.0, "b": 5.0, "c": -3.0}, {"a": -2.0, "b": 5.0, "c": -5.0}]
    overlaps = [{"a": 0.5, "b": 0.85, "c": 0.95}] * 2
    assert page.high_less_low(runs, overlaps, [0.8, 0.9]).mean == pytest.approx(-4.0 + 1.5)


def test_a_claim_of_no_difference_needs_an_interval_near_zero(studies):
    verdict = studies("self_correction_page").verdict
    near, wide, far = Interval(0.01, -0.01, 0.03, 9), Interval(0.01, -0.1, 0.1, 9), Interval(0.2, 0.1, 0.3, 9)
    assert [verdict(0, gap) for gap in (near, wide, far)] == ["agrees", "undecided", "disagrees"]
    assert [verdict(-1, gap) for gap in (near, wide, far)] == ["undecided", "undecided", "disagrees"]


def test_figures_of_two_turns_tell_mended_from_broken(studies):
    two_turns = studies("self_correction").two_turns
    before, after = attempt("q/0/0", "abc"), attempt("q/0/0~1", "abd", parent="q/0/0")
    found = {name: own["q"] for name, own in two_turns([judged((before, 0.0), (after, 1.0))]).items()}
    assert found == {
        "t1": 0, "t2": 1, "gain": 1, "fixed": 1, "broken": 0, "edits": pytest.approx(1 / 6), "unchanged": 0
    }  # fmt: skip


def test_a_gate_that_can_tell_leaves_right_answers_alone_and_has_others_mended(studies):
    groups = []
    for i in range(60):  # short first answers are wrong and mended, long ones right and broken
        first = replace(attempt(f"q{i}/0/0", "a"), steps=(Step("a"),) * (1 + 3 * (i % 2)))
        after = attempt(f"q{i}/0/0~1", "b", parent=first.id)
        own = judged((first, float(i % 2)), (after, float(1 - i % 2)))
        groups.append(replace(own, sample=replace(own.sample, id=f"q{i}")))
    found = studies("self_correction_page").gated(groups)
    assert sum(found["without"].values()) == 0
    assert sum(found["with"].values()) == 30
    assert set(found["broken"].values()) == {1.0} and set(found["fixed"].values()) == {0.0}


def test_a_share_of_a_figure_is_compared_by_its_sums(studies):
    study = studies("self_correction_page")
    before = [{"broken": {"a": 1, "b": 0, "c": 0}, "t1": {"a": 1, "b": 1, "c": 0}}]
    after = [{"broken": {"a": 1, "b": 0, "c": 0}, "t1": {"a": 1, "b": 1, "c": 1}}]
    finding = study.Finding("", "", -1, "broken", "after", "before", of="t1")
    gap = study.share_difference(finding, {"before": before, "after": after})
    assert gap.mean == pytest.approx(1 / 3 - 1 / 2)


def test_figures_of_feedback_are_where_each_chain_ends(studies):
    told = studies("self_correction").told
    arms = ["resample", "all_wrong", "shuffled"]
    first = attempt("q/0/0", "x", arms=arms, attempts=2, chain="q/0/0")
    later = [attempt(f"q/0/0~{arm}1", "y", arm=arm, turn=1, chain="q/0/0", attempts=2) for arm in arms]
    found = told([judged((first, 0.0), *zip(later, (1.0, 0.0, 0.0), strict=True))])
    assert {name: own["q"] for name, own in found.items()} == {
        "first": 0, "resample": 1, "all_wrong": 0, "shuffled": 0, "effect": -1, "content_effect": 0
    }  # fmt: skip


def test_figures_of_five_turns_read_the_chain_and_not_the_order(studies):
    first = attempt("q/0/0", "a")
    second, third = attempt("q/0/0~1", "b", parent="q/0/0"), attempt("q/0/0~1~1", "c", parent="q/0/0~1")
    found = studies("self_correction").five_turns([judged((third, 1.0), (first, 0.0), (second, 0.0))])
    assert {name: own["q"] for name, own in found.items()} == {"t1": 0, "t2": 0, "last": 1, "gain": 1}


def test_figures_of_one_answer_tell_right_from_true(studies):
    one = attempt("q/0/0", "a")
    own = judged((one, 1.0))
    group = replace(own, critiques=(*own.critiques, Critique(one.id, "errors", 0.0)))
    assert studies("self_correction").answered([group]) == {"right": {"q": 1.0}, "true": {"q": 0.0}}


def test_a_question_asked_on_one_side_alone_is_not_paired(studies):
    with pytest.raises(ValueError, match="1 questions are on one side only, 'b' first"):
        studies("arms").difference([{"a": 1.0}], [{"a": 1.0, "b": 0.0}])


def several(questions):
    """Groups of attempts, each (score, right)."""
    groups, scores = [], {}
    for q, tried in enumerate(questions):
        made = [(attempt(f"q{q}/0/{k}", "x"), right) for k, (_, right) in enumerate(tried)]
        scores |= {t.id: score for (t, _), (score, _) in zip(made, tried, strict=True)}
        groups.append(judged(*((t, float(right)) for t, right in made)))
    return scores, groups


def test_ranking_within_a_question_counts_each_pair_once_and_no_score_is_lowest(studies):
    within = studies("verifiers_page").within
    scores, groups = several([[(2.0, 1), (1.0, 0), (2.0, 0)], [(None, 1), (0.0, 0)], [(5.0, 1), (9.0, 1)]])
    assert within([(scores, g) for g in groups]) == pytest.approx((1 + 0.5 + 0) / 3)


def test_the_area_of_every_resample_is_that_of_its_attempts_written_out(studies):
    page = studies("verifiers_page")
    scores, groups = several([[(2.0, 1), (1.0, 0)], [(1.0, 1), (3.0, 0)], [(None, 0), (2.0, 1)]])
    drawn = page.weights(3, draws=20, seed=1)
    assert drawn[0].tolist() == [1, 1, 1] and set(drawn.sum(axis=1)) == {3}
    for times, found in zip(drawn.tolist(), page.areas(scores, groups, drawn), strict=True):
        pairs = [
            (-99.0 if scores[t.id] is None else scores[t.id], bool(right))
            for n, g in zip(times, groups, strict=True)
            for _ in range(n)
            for t, right in zip(g.trajectories, g.scores("answer"), strict=True)
        ]
        assert found == pytest.approx(auroc(pairs))


def test_what_the_picture_is_worth_is_what_the_grounding_control_says(studies):
    page = studies("verifiers_page")
    seen, groups = several([[(2.0, 1), (1.0, 0)], [(1.0, 1), (3.0, 0)], [(0.0, 0), (2.0, 1)]])
    groups = [replace(g, sample=replace(g.sample, id=f"s{k}")) for k, g in enumerate(groups)]
    blind = {name: -score for name, score in seen.items()}
    said = [Critique(name, "c", score, sees_image=True) for name, score in seen.items()]
    both = [replace(g, critiques=(*g.critiques, *(c for c in said if c.trajectory_id[:2] == g.trajectories[0].id[:2])))
            for g in groups]  # fmt: skip
    theirs = grounding(both, [replace(c, score=-c.score) for c in said], rank_by="c")
    once = page.weights(3, draws=1)
    ours = page.areas(seen, groups, once)[0] - page.areas(blind, groups, once)[0]
    assert ours == pytest.approx(theirs.drop.mean) and page.moved([(seen, blind)]) == pytest.approx(theirs.moved)


def test_the_pick_of_a_verifier_is_the_mean_of_its_seeds_and_ties_are_shared(studies):
    page = studies("verifiers_page")
    scores, groups = several([[(2.0, 1), (2.0, 0)], [(1.0, 0), (None, 1)]])
    other = {name: {"q0/0/0": 9.0, "q1/0/1": 9.0}.get(name, 0.0) for name in scores}
    assert page.picks([scores], groups) == [0.5, 0.0]
    assert page.picks([scores, other], groups) == [0.75, 0.5]


def test_every_reply_text_and_pair_that_a_model_is_asked_for_counts(studies):
    class Model:
        name = "m"

        def generate(self, chats, *, n=1):
            return [["a"] * n for _ in chats]

        def logprobs(self, chats, completions):
            return completions

    counted = studies("verifiers").Counted(Model())
    assert counted.generate([1, 2], n=3) == [["a"] * 3] * 2 and counted.logprobs([1], ["x"]) == ["x"]
    assert (counted.calls, counted.name) == (7, "m")


def test_lessons_ask_what_the_judges_ask_and_reply_as_the_verdicts_say(studies):
    group = judged((attempt("q/0/0", "good"), 1.0), (attempt("q/0/1", "bad"), 0.0), (attempt("q/0/2", "bad"), 0.0))
    rows = studies("verifiers").lessons([group], {"q": "own"}, 0)
    replies = [row.completion for row in rows]
    assert replies == ["true", "score : 10", "score : 10", "false", "score : 1", "score : 1", "good", "better : A",
                       "better : B"]  # fmt: skip
    asked = [row.prompt[0]["content"][-1]["text"] for row in rows]
    assert "own" in asked[2] and asked[7].index("good") < asked[7].index("bad") and "own" not in asked[0]


def test_a_judge_of_the_text_alone_is_given_no_picture(studies):
    study, shown = studies("hindsight"), []

    def critic(items):
        shown.extend(sample.images for sample, _ in items)
        return [Critique(t.id, "inner", 0.5, sees_image=True) for _, t in items]

    (said,) = study.TextOnly(critic)([(Sample("q", "?", ("a.png",)), attempt("q/0/0", "x"))])
    assert shown == [()] and (said.critic, said.score, said.sees_image) == ("text", 0.5, False)


def test_figures_of_hindsight_by_hand(studies):
    study = studies("hindsight")
    steps = (Step("circles : a1 = 1", "perception"), Step("squares : none = 0", "perception"), Step("answer : 1"))
    one = Trajectory("q/0/0", "q", "m", steps, logprobs=(-1.0, -2.0))
    other = Trajectory("q/0/1", "q", "m", steps[:1], logprobs=(-3.0,))
    said = [
        Critique(t.id, name, score)
        for t, scores in ((one, (0.9, 0.4, 1.0)), (other, (0.5, 0.2, 0.0)))
        for name, score in zip(("text", "image", "answer"), scores, strict=True)
    ]
    said += [Critique("q/0/0", "oracle", 0.0, (1.0, 0.0, 1.0)), Critique("q/0/1", "oracle", 1.0, (1.0,))]
    found = {k: v["q"] for k, v in study.figures([Group(Sample("q", "?"), (one, other), tuple(said))]).items()}
    assert found == {
        "text": 0.7, "image": pytest.approx(0.3), "answer": 0.5, "oracle": 0.5, "false percepts": 0.5, "sure": -2.0,
        "gap text": pytest.approx(0.2), "gap image": pytest.approx(-0.2),
    }  # fmt: skip
    group = Group(Sample("q", "?"), (one, other), tuple(said))
    assert study.area([group], "image") == study.at_the_same_question([group], "image") == 1.0


def test_what_an_arm_gained_is_read_question_by_question(studies):
    runs = [[{"text": {"a": 0.25}}, {"text": {"a": 0.5}}, {"text": {"a": 1.0}}]]
    assert studies("hindsight").gained(runs, "text") == [{"a": 0.75}]
