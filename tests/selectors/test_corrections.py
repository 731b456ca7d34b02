"""The four outcomes of a review, and the two that make pairs."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mmevolve.selectors.corrections import Corrections
from mmevolve.text import assistant, user
from mmevolve.types import Critique, Group, Preference, Sample, Step, Trajectory

SAMPLE = Sample("s", "which ?", (b"\x89PNG picture",), answer="B", choices=("red", "blue"))
PROMPT = (user("which ?\n(A) red\n(B) blue", (b"\x89PNG picture",)),)


def reviewed(*outcomes, sample=SAMPLE):
    """Attempts and their revisions as (verdict before, verdict after)."""
    made, said = [], []
    for i, outcome in enumerate(outcomes):
        first = Trajectory(f"{sample.id}/0/{i}", sample.id, "m", (Step(f"first {i}"),))
        second = Trajectory(f"{first.id}~1", sample.id, "m", (Step(f"second {i}"),), parent=first.id)
        made += [first, second]
        said += [Critique(t.id, "answer", v) for t, v in zip((first, second), outcome, strict=True)]
    return Group(sample, tuple(made), tuple(said))


def test_only_changed_verdicts_make_pairs_and_the_right_side_is_chosen(caplog):
    group = reviewed((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (None, 1.0))
    assert list(Corrections()([group])) == [
        Preference(PROMPT, "second 1", "first 1", source="s/0/1~1"),
        Preference(PROMPT, "first 2", "second 2", source="s/0/2"),
    ]
    assert "corrections: 1 right -> right, 1 wrong -> right, 1 right -> wrong, 1 wrong -> wrong" in caplog.text


def test_a_chain_is_compared_turn_by_turn():
    group = reviewed((0.0, 1.0))
    third = Trajectory("s/0/0~2", "s", "m", (Step("third"),), parent="s/0/0~1")
    group = replace(
        group,
        trajectories=(*group.trajectories, third),
        critiques=(*group.critiques, Critique(third.id, "answer", 0.0)),
    )
    assert [(r.chosen, r.rejected) for r in Corrections()([group])] == [("second 0", "first 0"), ("second 0", "third")]


def test_both_turns_learn_from_the_same_texts_and_the_second_sees_what_was_said():
    group = reviewed((0.0, 1.0), (1.0, 0.0))
    third = Trajectory("s/0/0~2", "s", "m", (Step("third"),), parent="s/0/0~1")
    said = (*group.critiques, Critique(third.id, "answer", 0.0))
    group = replace(group, trajectories=(*group.trajectories, third), critiques=said)
    rows = list(Corrections(teach="both", review="check")([group]))
    assert rows[::2] == list(Corrections()([group]))
    again = user("which ?\n(A) red\n(B) blue check each step .")
    assert [r.prompt for r in rows[1::2]] == [
        (*PROMPT, assistant("first 0"), again),
        (*PROMPT, assistant("first 1"), again),
        (*PROMPT, assistant("first 0"), again, assistant("second 0"), again),
    ]
    assert [(r.chosen, r.rejected) for r in rows[1::2]] == [
        ("second 0", "first 0"), ("first 1", "second 1"), ("second 0", "third"),
    ]  # fmt: skip


def test_a_selector_without_the_second_turn_is_described_as_it_was():
    assert {"teach", "review"} & set(Corrections().describe()) == set()
    assert {"teach", "review"} <= set(Corrections(teach="both", review="check").describe())


def changed(group, index, **changes):
    made = tuple(replace(t, **changes) if i == index else t for i, t in enumerate(group.trajectories))
    return replace(group, trajectories=made)


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_without_text_or_without_an_end_makes_no_pair(side):
    group = reviewed((0.0, 1.0))
    assert list(Corrections()([changed(group, side, steps=())])) == []
    cut = changed(group, side, stop_reason="length")
    assert list(Corrections()([cut])) == []
    assert len(list(Corrections(whole=False)([cut]))) == 1


def test_the_same_pair_twice_is_one_and_most_bounds_them():
    group = reviewed((0.0, 1.0), (0.0, 1.0), (1.0, 0.0))
    same = changed(changed(group, 2, steps=(Step("first 0"),)), 3, steps=(Step("second 0"),))
    assert [r.source for r in Corrections()([same])] == ["s/0/0~1", "s/0/2"]
    assert len(list(Corrections(dedup=False)([same]))) == 3
    assert [r.source for r in Corrections(most=1)([group])] == ["s/0/0~1"]


@pytest.mark.parametrize(
    "known",
    [
        replace(SAMPLE, question="other"),
        replace(SAMPLE, id="t", answer="A", meta={"from": "elsewhere"}),
    ],
)
def test_an_evaluated_question_is_refused_by_name_and_by_content(known):
    with pytest.raises(ValueError, match="sample 's' is also evaluated: pairs made from it would teach the test"):
        list(Corrections(evaluated=[known])([reviewed((0.0, 1.0))]))


def test_an_evaluated_picture_is_known_where_the_run_keeps_it(tmp_path):
    name = hashlib.sha256(SAMPLE.images[0]).hexdigest()
    kept = replace(SAMPLE, id="t", images=(str(Path(tmp_path) / "images" / f"{name}.png"),))
    with pytest.raises(ValueError, match="is also evaluated"):
        list(Corrections(evaluated=[SAMPLE])([reviewed((0.0, 1.0), sample=kept)]))


def test_another_question_about_the_same_picture_is_no_evaluated_one():
    others = [replace(SAMPLE, id="t", choices=("blue", "red")), replace(SAMPLE, id="u", question="which not ?")]
    assert len(list(Corrections(evaluated=others)([reviewed((0.0, 1.0))]))) == 1


def test_a_revision_without_its_attempt_is_an_error():
    group = reviewed((0.0, 1.0))
    with pytest.raises(ValueError, match="'s/0/0~1' revises 's/0/0', which is not among the 1 attempts"):
        list(Corrections()([replace(group, trajectories=group.trajectories[1:])]))
