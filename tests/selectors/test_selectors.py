import random

import pytest

from mmevolve.selectors.correct import Correct
from mmevolve.selectors.random_k import RandomK
from mmevolve.selectors.step_labels import StepLabels
from mmevolve.selectors.top_k import TopK
from mmevolve.text import user
from mmevolve.types import Critique, Demonstration, Group, Labelled, Sample, Step, Trajectory

SAMPLE = Sample("s", "how many ?", ("a.png",), answer="4")


def group(*attempts, sample=SAMPLE):
    """Attempts as (text, verdict, rank or None)."""
    trajectories, critiques = [], []
    for i, (text, verdict, rank) in enumerate(attempts):
        t = Trajectory(f"{sample.id}/0/{i}", sample.id, "m", tuple(map(Step, text.split("\n"))), "4")
        trajectories.append(t)
        critiques += [Critique(t.id, "answer", verdict), Critique(t.id, "prm", rank)]
    return Group(sample, tuple(trajectories), tuple(critiques))


def sources(rows):
    return [r.source for r in rows]


MIXED = group(
    ("a", 1.0, 0.5),  # 0
    ("b", 0.0, 0.9),  # 1 wrong, though ranked best
    ("a", 1.0, 0.5),  # 2 the text of 0 again
    ("c", 1.0, 0.5),  # 3 as good as 0
    ("d", 1.0, 0.8),  # 4
    ("e", 1.0, None),  # 5 not ranked
    ("f", None, 0.7),  # 6 not judged
)


def test_correct_keeps_each_text_that_passes_once_in_sampling_order():
    assert sources(Correct()([MIXED])) == ["s/0/0", "s/0/3", "s/0/4", "s/0/5"]


def test_correct_keeps_repeats_when_told_to():
    assert sources(Correct(dedup=False)([MIXED])) == ["s/0/0", "s/0/2", "s/0/3", "s/0/4", "s/0/5"]


def test_correct_keeps_at_most_the_first_few():
    assert sources(Correct(most=2)([MIXED])) == ["s/0/0", "s/0/3"]
    assert sources(Correct(most=9)([MIXED])) == ["s/0/0", "s/0/3", "s/0/4", "s/0/5"]


def test_top_k_keeps_the_best_ranked_that_pass_and_ties_go_by_sampling_order():
    assert sources(TopK(k=1)([MIXED])) == ["s/0/4"]
    assert sources(TopK(k=2)([MIXED])) == ["s/0/4", "s/0/0"]
    assert sources(TopK(k=3)([MIXED])) == ["s/0/4", "s/0/0", "s/0/3"]


def test_top_k_never_keeps_what_was_not_ranked_or_does_not_pass():
    assert sources(TopK(k=9)([MIXED])) == ["s/0/4", "s/0/0", "s/0/3"]


def test_top_k_may_spend_its_places_on_repeats():
    assert sources(TopK(k=3, dedup=False)([MIXED])) == ["s/0/4", "s/0/0", "s/0/2"]


def test_above_is_strict():
    assert sources(TopK(k=9, above=0.5)([MIXED])) == ["s/0/4"]
    assert sources(TopK(k=9, above=0.49)([MIXED])) == ["s/0/4", "s/0/0", "s/0/3"]
    assert sources(TopK(k=9, above=0.8)([MIXED])) == []


def test_a_negative_rank_still_ranks():
    assert sources(TopK(k=1)([group(("a", 1.0, -2.0), ("b", 1.0, -1.0))])) == ["s/0/1"]


@pytest.mark.parametrize("selector", [TopK(), Correct(require="prm2"), RandomK(require="prm2"), StepLabels("prm2")])
def test_a_critic_that_is_not_there_is_an_error_and_not_an_empty_round(selector):
    silent = Group(SAMPLE, MIXED.trajectories, tuple(c for c in MIXED.critiques if c.critic == "answer"))
    with pytest.raises(KeyError, match=r"no critic 'prm2?' in the group of sample 's'"):
        list(selector([silent]))


@pytest.mark.parametrize("selector", [TopK(), Correct(), RandomK(), StepLabels()])
def test_a_sample_without_attempts_gives_no_row(selector):
    assert list(selector([Group(SAMPLE, ())])) == []


def test_random_k_draws_from_the_distinct_attempts_that_pass():
    kept = {row for seed in range(40) for row in sources(RandomK(k=2, seed=seed)([MIXED]))}
    assert kept == {"s/0/0", "s/0/3", "s/0/4", "s/0/5"}
    assert all(len(set(sources(RandomK(k=2, seed=seed)([MIXED])))) == 2 for seed in range(40))


def test_random_k_takes_all_when_there_are_fewer():
    assert set(sources(RandomK(k=9)([MIXED]))) == {"s/0/0", "s/0/3", "s/0/4", "s/0/5"}


def test_random_k_is_seeded_by_sample_and_leaves_the_global_generator_alone():
    other = group(*[(t, 1.0, 0.5) for t in "abcdef"], sample=Sample("other", "?"))
    before = random.getstate()
    alone, among = list(RandomK()([other])), list(RandomK()([MIXED, other]))
    assert random.getstate() == before
    assert among[-2:] == alone


@pytest.mark.parametrize("selector", [Correct(), TopK(), RandomK()])
def test_rows_teach_the_attempt_under_the_plain_prompt(selector):
    (row,) = selector([group(("a\nanswer : 4", 1.0, 0.5))])
    assert row == Demonstration((user("how many ?", ("a.png",)),), "a\nanswer : 4", source="s/0/0")


@pytest.mark.parametrize("selector", [Correct(most=1), TopK(k=1), RandomK(k=1)])
def test_groups_are_selected_from_one_by_one(selector):
    samples = [Sample(f"s{i}", "?") for i in range(6)]
    groups = [group(("a", 1.0, 0.5), ("b", 1.0, 0.6), sample=s) for s in samples]
    forward, backward = list(selector(groups)), list(selector(groups[::-1]))
    assert [r.source.partition("/")[0] for r in forward] == [s.id for s in samples]
    assert forward == backward[::-1]


def valued(*attempts):
    """Attempts as (text, step values)."""
    trajectories = tuple(
        Trajectory(f"s/0/{i}", "s", "m", tuple(map(Step, text.split("\n")))) for i, (text, _) in enumerate(attempts)
    )
    critiques = tuple(
        Critique(t.id, "value", min(values, default=None), values)
        for t, (_, values) in zip(trajectories, attempts, strict=True)
    )
    return Group(SAMPLE, trajectories, critiques)


def test_soft_labels_are_the_values_and_hard_ones_say_whether_any_rollout_succeeded():
    values = valued(("a\nb\nc", (0.75, 0.25, 0.0)))
    prompt = (user("how many ?", ("a.png",)),)
    assert list(StepLabels()([values])) == [Labelled(prompt, "a\nb\nc", (0.75, 0.25, 0.0), source="s/0/0")]
    assert list(StepLabels(kind="hard")([values])) == [Labelled(prompt, "a\nb\nc", (1.0, 1.0, 0.0), source="s/0/0")]


def test_labels_are_taken_from_wrong_attempts_too_and_repeats_are_dropped():
    values = valued(("a\nb", (0.5, 0.0)), ("a\nb", (0.5, 0.0)), ("a\nc", (0.5, 1.0)))
    assert sources(StepLabels()([values])) == ["s/0/0", "s/0/2"]
    assert sources(StepLabels(dedup=False)([values])) == ["s/0/0", "s/0/1", "s/0/2"]


def test_an_attempt_without_step_scores_gives_no_labels_and_does_not_shadow_a_later_one():
    values = valued(("a\nb", ()), ("a\nb", (0.5, 0.0)))
    assert sources(StepLabels()([values])) == ["s/0/1"]


def test_a_step_without_a_label_keeps_none_however_hard():
    nan = float("nan")
    for kind in ("soft", "hard"):
        (row,) = StepLabels(kind=kind)([valued(("a\nb", (nan, 1.0)))])
        assert row.labels[0] != row.labels[0]
        assert row.labels[1] == 1.0


def test_a_critic_without_one_score_a_step_is_refused():
    with pytest.raises(ValueError, match=r"trajectory 's/0/0' \(critic 'value'\): 1 step scores for 3 steps"):
        list(StepLabels()([valued(("a\nb\nc", (1.0,)))]))


@pytest.mark.parametrize("score", [-0.5, 1.5])
def test_a_soft_label_must_be_a_share(score):
    with pytest.raises(ValueError, match="expected shares from 0 to 1"):
        list(StepLabels()([valued(("a", (score,)))]))
    assert next(iter(StepLabels(kind="hard")([valued(("a", (score,)))]))).labels == (float(score > 0),)
