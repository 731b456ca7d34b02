import pytest

from mmevolve.answers import equal


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("4", "4"),
        ("4", "4.0"),
        ("1,204", "1204"),
        ("$1.30", "1.3"),
        ("four", "4"),
        ("twenty-one", "21"),
        ("1/2", "0.5"),
        (r"\frac{1}{2}", "0.5"),
        (r"\frac{1}{2}", "1/2"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        (r"4\pi", "4π"),
        ("0.33", "1/3"),
        ("2.09", "2.0944"),
        ("3.14", r"\pi"),
        ("50%", "0.5"),
        ("50%", "50"),
        ("12 cm", "12"),
        (r"160\mathrm{~cm}", "160"),
        ("12 cm", "12 cm"),
        ("36°", r"36^{\circ}"),
        ("1.5 million", "1,500,000"),
        ("yes", "Yes."),
        ("true", "yes"),
        ("The red circle", "red circle"),
        ("(3, 4)", "(3,4)"),
        ("x = 3", "3"),
        (r"\text{red}", "red"),
        (r"$\frac{3}{4}$", "0.75"),
        ("−5", "-5"),
        ("(B) no", "no"),
        ("1e3", "1000"),
        (r"12\frac{1}{2}", "12.5"),
        ("3:4", r"\frac{3}{4}"),
    ],
)
def test_the_same_answer_in_other_words_is_equal(a, b):
    assert equal(a, b)
    assert equal(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("4", "5"),
        ("100000", "100001"),
        ("0.3", "1/3"),
        ("2.0", "2.0944"),
        ("12 cm", "12 m"),
        ("yes", "no"),
        ("red", "blue"),
        ("(3,4)", "(4,3)"),
        ("1/55", "1/60"),
        ("2008", "2010"),
        ("", "4"),
        ("0.00", "0.004"),
        ("nan", "inf"),
        ("x", "y"),
        ("3 and 4", "3"),
        ("45", "45^2"),
        ("3²", "3"),
    ],
)
def test_other_answers_are_not_equal(a, b):
    assert not equal(a, b)


def test_a_missing_prediction_equals_nothing():
    assert not equal(None, "4")
    assert not equal("", "")


def test_options_compare_by_letter_text_or_number():
    choices = ("$10,208", "$10,308", "$10,408")
    assert equal("B", "$10,308", choices=choices)
    assert equal("10308", "B", choices=choices)
    assert equal("(b)", "B", choices=choices)
    assert not equal("A", "B", choices=choices)
    assert not equal("10,500", "B", choices=choices)


def test_letters_win_over_options_that_are_letters_in_another_order():
    choices = ("E", "B", "C", "A")
    assert equal("A", "A", choices=choices)
    assert not equal("A", "D", choices=choices)
