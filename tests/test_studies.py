"""The arithmetic of the studies: matched margins, overlap bins, rows of a step, verdicts, figures of two turns."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

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
    verdict = studies("self_correction").verdict
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


def test_a_share_of_a_figure_is_compared_by_its_sums(studies):
    study = studies("self_correction")
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


def test_a_question_asked_on_one_side_alone_is_not_paired(studies):
    with pytest.raises(ValueError, match="1 questions are on one side only, 'b' first"):
        studies("arms").difference([{"a": 1.0}], [{"a": 1.0, "b": 0.0}])
