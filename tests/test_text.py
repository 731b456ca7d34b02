import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmevolve.text import ask, assistant, chunks, fill, images_of, split_steps, stable_seed, user
from mmevolve.types import Sample

SEEDS = {
    (): 8203414616412130826,
    (0, "s-1", 3): 8790110907842382601,
    ("répondre", 7, None, 0.5): 3434791063893964008,
}


@pytest.mark.parametrize("parts", SEEDS)
def test_seeds_are_fixed_numbers(parts):
    assert stable_seed(*parts) == SEEDS[parts]


def test_seeds_are_the_same_in_another_process_with_another_hash_seed():
    code = "from mmevolve.text import stable_seed; print(stable_seed(0, 's-1', 3))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "12345"}
    )
    assert int(said.stdout) == SEEDS[0, "s-1", 3]


@settings(deadline=None)
@given(st.lists(st.text(max_size=5), max_size=4))
def test_seeds_fit_in_63_bits(parts):
    assert 0 <= stable_seed(*parts) < 2**63


def test_where_one_part_ends_matters():
    assert stable_seed("ab", "c") != stable_seed("a", "bc") != stable_seed("abc")


def test_a_question_is_put_with_its_images_first_and_its_options_lettered():
    sample = Sample("s", "which colour ?", ("a.png", b"bytes"), choices=("red", "blue {green}"))
    (message,) = ask(sample, "Look. {question} Think.")
    assert message["role"] == "user"
    assert message["content"] == (
        {"type": "image", "image": "a.png"},
        {"type": "image", "image": b"bytes"},
        {"type": "text", "text": "Look. which colour ?\n(A) red\n(B) blue {green} Think."},
    )


def test_a_question_without_options_is_put_as_it_is():
    (message,) = ask(Sample("s", "how many ?"), "{question} hint : {answer}", answer="3")
    assert message["content"] == ({"type": "text", "text": "how many ? hint : 3"},)


def test_braces_in_a_value_are_left_alone():
    assert fill("{question} -> {answer}", question="f(x) = {answer} {x}", answer="{question}") == (
        "f(x) = {answer} {x} -> {question}"
    )


def test_braces_that_are_no_field_are_left_alone():
    assert fill("{question} as {1} or {}", question="q") == "q as {1} or {}"


def test_a_field_without_a_value_is_refused_and_the_given_ones_named():
    with pytest.raises(KeyError, match=r"prompt field '{answer}' has no value: given are \['question'\]"):
        fill("{question} {answer}", question="q")


def test_images_of_a_chat_are_in_reading_order():
    chat = (user("one", ("a", "b")), assistant("two"), user("three", ("c",)))
    assert images_of(chat) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        (" \n\t\n", []),
        ("one", ["one"]),
        ("  one \n\n two\r\nthree\n", ["one", "two", "three"]),
    ],
)
def test_steps_are_the_stripped_lines_that_are_not_empty(text, steps):
    assert split_steps(text) == steps


@settings(deadline=None)
@given(st.text(alphabet="ab \n\r\t\x0b\x85\u2028", max_size=30))
def test_joined_steps_split_into_the_same_steps(text):
    steps = split_steps(text)
    assert split_steps("\n".join(steps)) == steps


def test_chunks_hold_at_most_their_size_and_everything_once():
    assert list(chunks([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(chunks([], 2)) == []
