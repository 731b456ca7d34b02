"""Option orders: the options move, and the right answer with them."""

import pytest

from mmevolve.answers import equal
from mmevolve.controls.option_order import adjacent, circular, reordered, reverse, shuffled, stays
from mmevolve.controls.said import chosen
from mmevolve.types import Sample

PETS = Sample("q", "which?", (), "B", ("cat", "dog", "emu"))


def test_circular_is_every_rotation_but_the_first():
    made = circular([PETS])
    assert [(s.id, s.choices, s.answer) for s in made] == [
        ("q@circular1", ("dog", "emu", "cat"), "A"),
        ("q@circular2", ("emu", "cat", "dog"), "C"),
    ]
    assert made[0].meta["control"] == {"name": "circular", "of": "q", "order": [1, 2, 0]}


def test_adjacent_options_trade_places_and_reverse_turns_all_round():
    five = Sample("q", "?", (), "E", ("a1", "b1", "c1", "d1", "e1"))
    assert adjacent([five])[0].choices == ("b1", "a1", "d1", "c1", "e1")
    assert reverse([five])[0].choices == ("e1", "d1", "c1", "b1", "a1")
    assert (adjacent([five])[0].answer, reverse([five])[0].answer) == ("E", "A")


@pytest.mark.parametrize("answer", ["B", "(b)", "dog", "B. dog", "(B) dog"])
@pytest.mark.parametrize("control", [circular, adjacent, reverse, shuffled])
def test_the_reference_goes_with_its_option_however_it_is_written(control, answer):
    sample = Sample("q", "which?", (), answer, PETS.choices)
    for made in control([sample]):
        assert equal("dog", made.answer, choices=made.choices)
        assert not equal("cat", made.answer, choices=made.choices)
        assert chosen(made, made.answer) == 1


def test_a_reference_that_is_the_options_text_stays_and_one_that_would_be_read_as_a_letter_does_not():
    assert reverse([Sample("q", "?", (), "dog", PETS.choices)])[0].answer == "dog"
    letters = Sample("q", "vitamin?", (), "C", ("B", "C", "K"))  # the third option, not the second
    (made,) = reverse([letters])
    assert (made.choices, made.answer) == (("K", "C", "B"), "A")


def test_an_unlabelled_sample_stays_unlabelled_and_a_reference_that_is_no_option_is_refused():
    assert circular([Sample("q", "?", (), None, PETS.choices)])[0].answer is None
    with pytest.raises(ValueError, match="sample 'q': its answer 'cow' names none of its 3 options"):
        circular([Sample("q", "?", (), "cow", PETS.choices)])
    with pytest.raises(ValueError, match=r"sample 'q': \[0, 0, 1\] is no order of 3 options"):
        reordered(PETS, (0, 0, 1), "x")


@pytest.mark.parametrize(
    "choices",
    [
        (),
        ("cat",),
        ("cat", "cat"),
        ("a", "b", "c"),
        ("(A)", "(B)"),
        ("cat", "dog", "All of the above"),
        ("cat", "dog", "none of the above."),
        ("cat", "dog", "Both A and B"),
        ("cat", "dog", "A, B and C"),
        ("cat", "dog", "option A is wrong"),
        tuple(f"o{i}" for i in range(27)),
    ],
)
def test_options_that_cannot_move_are_left_out(choices):
    fixed = Sample("fixed", "?", (), "A", choices)
    assert stays(fixed) is not None
    assert [s.id for s in reverse([fixed, PETS])] == ["q@reverse"]
    with pytest.raises(ValueError, match=r"none of 1 samples has options that can change place: 'fixed', for one: it"):
        reverse([fixed])


def test_a_question_that_lists_its_options_keeps_their_order():
    listed = Sample("q", "Which is it?\n(A) cat\n(B) dog", (), "A", ("cat", "dog"))
    assert stays(listed) == "its question lists the options itself, in the old order"
    assert stays(Sample("q", "Is it B. dog food or a cat?", (), "A", ("cat", "dog"))) is None


@pytest.mark.parametrize("choices", [("cat", "none of these"), ("A cat", "a dog"), ("x", "y"), ("both", "neither")])
def test_options_that_mean_the_same_anywhere_may_move(choices):
    assert stays(Sample("q", "?", (), "A", choices)) is None


@pytest.mark.parametrize("n", [3, 8])
def test_shuffled_orders_differ_from_each_other_and_from_the_original(n):
    sample = Sample("q", "?", (), "A", tuple(f"o{i}" for i in range(n)))
    orders = [tuple(s.meta["control"]["order"]) for s in shuffled([sample], k=5, seed=1)]
    assert len(orders) == len(set(orders)) == 5
    assert tuple(range(n)) not in orders
    assert shuffled([sample], k=5, seed=1) == shuffled([sample], k=5, seed=1) != shuffled([sample], k=5, seed=2)


def test_of_two_options_there_is_one_other_order():
    assert len(shuffled([Sample("q", "?", (), "A", ("cat", "dog"))], k=5)) == 1
    with pytest.raises(ValueError, match="k=0: at least one order"):
        shuffled([PETS], k=0)
