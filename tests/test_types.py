import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmevolve.text import assistant, user
from mmevolve.types import (
    Critique,
    Demonstration,
    Group,
    Labelled,
    Preference,
    Rollout,
    Sample,
    Step,
    Trajectory,
    from_row,
    to_row,
)

texts = st.text(max_size=12)
names = st.text(min_size=1, max_size=6)
numbers = st.floats(allow_nan=False, width=64)
ints = st.integers(-(2**40), 2**40)
json_values = st.recursive(
    st.none() | st.booleans() | ints | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
metas = st.dictionaries(names, json_values, max_size=4)


def tuples(values, size=4):
    return st.lists(values, max_size=size).map(tuple)


boxes = st.tuples(numbers, numbers, numbers, numbers)
steps = st.builds(
    Step, texts, st.sampled_from(("perception", "reasoning", "answer")), tuples(boxes, 2), st.integers(0, 3)
)
chats = tuples(st.builds(user, texts, tuples(texts, 2)) | st.builds(assistant, texts), 3)
samples = st.builds(Sample, texts, texts, tuples(texts, 2), st.none() | texts, tuples(texts), texts, metas)
trajectories = st.builds(
    Trajectory, texts, texts, texts, tuples(steps), st.none() | texts, ints, st.none() | texts,
    st.sampled_from(("stop", "length", "error")), metas, tuples(ints), tuples(numbers),
)  # fmt: skip
critiques = st.builds(
    Critique, texts, texts, st.none() | numbers, tuples(numbers), texts, st.booleans(), st.none() | texts
)
demonstrations = st.builds(Demonstration, chats, texts, numbers, tuples(st.tuples(ints, ints)), texts)
preferences = st.builds(
    Preference, chats, texts, texts, texts, st.none() | chats, numbers, numbers, numbers, texts, texts
)
labelled = st.builds(Labelled, chats, texts, tuples(numbers), tuples(numbers), texts)
rollouts = st.builds(Rollout, chats, tuples(ints), tuples(numbers), tuples(numbers), texts, numbers)


def plain(value):
    """JSON has one kind of sequence: free-form values may come back with lists where there were tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


@settings(deadline=None)
@given(samples | trajectories | critiques | labelled.map(lambda row: dataclasses.replace(row, prompt=())))
def test_a_row_gives_back_the_noun_that_made_it(noun):
    assert from_row(type(noun), to_row(noun)) == noun


@settings(deadline=None)
@given(demonstrations | preferences | labelled | rollouts)
def test_a_row_gives_back_the_training_row_that_made_it(row):
    back = from_row(type(row), to_row(row))
    for field in dataclasses.fields(row):
        was, now = getattr(row, field.name), getattr(back, field.name)
        assert plain(now) == plain(was)
        assert type(now) is type(was)
    assert to_row(back) == to_row(row)


def test_a_prompt_comes_back_as_the_same_tuples():
    row = Demonstration((user("how many ?", ("a.png",)),), "3")
    assert from_row(Demonstration, to_row(row)) == row


def test_rows_are_flat_numbers_stay_lists_and_the_rest_is_json():
    row = to_row(
        Trajectory("s/0/1", "s", "m@1", (Step("a1 : red", "perception", ((0.0, 0.0, 0.5, 1.0),)),), logprobs=(-0.5,))
    )
    assert row["id"] == "s/0/1"
    assert row["answer"] is None
    assert row["logprobs"] == [-0.5]
    assert row["steps"] == '[{"image": 0, "kind": "perception", "region": [[0.0, 0.0, 0.5, 1.0]], "text": "a1 : red"}]'


def test_image_bytes_never_reach_a_table():
    with pytest.raises(TypeError, match="image bytes reach a table"):
        to_row(Sample("s", "?", (b"\x89PNG",)))
    with pytest.raises(TypeError, match="image bytes reach a table"):
        to_row(Demonstration((user("?", (b"\x89PNG",)),), "3"))
    with pytest.raises(TypeError, match="image bytes reach a table"):
        to_row(Sample("s", "?", meta={"thumbnail": b"\x89PNG"}))


def test_a_row_without_a_field_is_refused():
    row = to_row(Critique("s/0/0", "answer", 1.0))
    del row["score"]
    with pytest.raises(KeyError, match="score"):
        from_row(Critique, row)


def test_nouns_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sample("s", "?").answer = "3"


def test_the_text_of_a_trajectory_is_its_steps_by_line():
    assert Trajectory("t", "s", "m", (Step("one"), Step("two"))).text == "one\ntwo"
    assert Trajectory("t", "s", "m", ()).text == ""


def test_scores_are_in_the_order_of_the_trajectories_and_missing_ones_are_none():
    group = Group(
        Sample("s", "?"),
        tuple(Trajectory(i, "s", "m", ()) for i in "abc"),
        (Critique("c", "prm", 0.3), Critique("a", "prm", 0.1), Critique("b", "answer", 1.0)),
    )
    assert group.scores("prm") == [0.1, None, 0.3]
    assert group.by("answer") == {"b": Critique("b", "answer", 1.0)}


def test_a_critic_that_said_nothing_is_an_error_and_those_that_spoke_are_named():
    group = Group(Sample("s-7", "?"), (Trajectory("a", "s-7", "m", ()),), (Critique("a", "answer", 1.0),))
    with pytest.raises(KeyError, match=r"no critic 'prm' in the group of sample 's-7': its critics are \['answer'\]"):
        group.scores("prm")
    assert Group(Sample("s", "?"), ()).scores("prm") == []
