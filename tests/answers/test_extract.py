import pytest

from mmevolve.answers import equal, extract, outcome

CAT_DOG = ("a cat", "a dog", "a red bird")


@pytest.mark.parametrize("answer", ["4", "yes", "no", "red", "circle", "0"])
def test_the_embedded_worlds_last_line_is_read_as_it_stands(answer):
    text = f"red circle : a2 a4 = 2\nblue square : none = 0\n2 + 2 = 4\nanswer : {answer}"
    assert extract(text) == answer
    assert extract(text, strict=False) == answer


def test_steps_without_an_answer_line_state_no_answer():
    text = "red circle : a2 a4 = 2\n2 + 2 = 4"
    assert extract(text) is None
    assert extract(text, strict=False) == "4"


@pytest.mark.parametrize("text", ["", "   ", "\n\n", "answer :", "answer : \n", "Answer:", r"\boxed{}", r"\boxed{4"])
def test_nothing_stated_is_none(text):
    assert extract(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 42", "42"),
        ("The sum is 3.\nFinal answer: 7.", "7"),
        ("**Answer:** 12 cm", "12 cm"),
        ("**Answer: 12**", "12"),
        ("Answer:\n\n5", "5"),
        ("So the answer is 3.5.", "3.5"),
        ("Therefore, the correct answer is yes.", "yes"),
        ("The answer to the question is 9", "9"),
        (r"Hence $x = \boxed{\frac{3}{4}}$.", r"\frac{3}{4}"),
        (r"The final answer is $\boxed{12}$.", "12"),
        (r"The answer is $\frac{1}{2}$.", r"\frac{1}{2}"),
        (r"The answer is \(2\sqrt{3}\).", r"2\sqrt{3}"),
        ("<answer>blue</answer>", "blue"),
        ("some work\n#### 1,200", "1,200"),
        ("The answer is 4. Wait, the answer is 5.", "5"),
        ("Answer: 3 + 4 = 7", "7"),
        ("Answer: 8</s>", "8"),
        ("The answer would be 20", "20"),
    ],
)
def test_an_explicit_statement_is_read_even_strictly(text, answer):
    assert extract(text) == answer


@pytest.mark.parametrize("text", ["B", "It is 4.", "42", "(A) a cat", "There are 4 boxes, so 4."])
def test_strict_takes_nothing_but_a_statement(text):
    assert extract(text, choices=CAT_DOG) is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A dog is on the left, so the answer is (B).", "B"),
        ("(b)", "B"),
        ("A. 3/11 is too small; B is right", "B"),
        ("answer: C. A cat is not there", "C"),
        ("B", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("(B)</s>", "B"),
        ("B. a dog", "B"),
        ("Answer: $B", "B"),
        (r"\[\text{Answer: B}\]", "B"),
        (r"\boxed{\text{(B)}}", "B"),
        ("The correct answer is B: a dog", "B"),
        ("Answer: a dog", "B"),
        ("a dog", "B"),
        ("The picture shows a dog on a red mat.", "B"),
        ("It is not a cat, I think it is a dog.", "B"),
        ("I would choose option B because of the ears.", "B"),
        ("(A) is too small and (C) too large. The answer is (B).", "B"),
        ("Both are animals.\n\nb. a dog", "B"),
    ],
)
def test_an_option_is_named_in_many_ways(text, letter):
    assert extract(text, choices=CAT_DOG, strict=False) == letter


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I can't help with that.",
        "A picture is worth a thousand words.",
        "Without the image I cannot say.",
        "",
        "Z",
    ],
)
def test_a_text_that_names_no_option_is_none_and_never_a_random_one(text):
    choices = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    assert {extract(text, choices=choices, strict=False) for _ in range(20)} == {None}


def test_a_statement_that_names_no_option_is_its_own_words_so_that_it_is_wrong_and_not_unparsed():
    assert extract("Answer: a horse", choices=CAT_DOG) == "a horse"
    assert outcome("Answer: a horse", "B", choices=CAT_DOG) == "wrong"


def test_an_options_own_words_do_not_pass_for_a_statement():
    choices = ("the answer is option B in the image.", "the answer is option A in the image.", "none")
    assert extract("(B) the answer is option A in the image.", choices=choices, strict=False) == "B"
    assert extract("The correct answer is (B) the answer is option A in the image.", choices=choices) == "B"


def test_a_letter_that_names_a_point_is_no_option_and_a_number_is_one_whatever_its_unit():
    text = "Since angle A is right, the triangle gives that the angle at B is 60 degrees."
    assert extract(text, choices=("30°", "60°", "90°"), strict=False) == "B"
    assert extract("Then point A lies so that the length is 3.0", choices=("5", "4", "3"), strict=False) == "C"


def test_lettered_points_of_a_figure_are_not_options_of_a_yes_no_question():
    text = "The line AO is a radius, it connects O (point O) to point A on the circle.\n\nFalse"
    assert extract(text, choices=("True", "False"), strict=False) == "B"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("There are 3 boxes of 12 eggs in the picture.", "3"),
        ("The mode is 10.", "10"),
        ("7", "7"),
        ("Yes, there is a circle.", "yes"),
        ("No, it is blue.", "no"),
        ("No classrooms have 39 desks.", "No classrooms have 39 desks"),
        ("After that there are three small objects left on the table.", "three"),
        ("2 + 3 = 5\n5 * 2 = 10", "10"),
        ("The color is red", "red"),
        ("19 - 12 = 7", "7"),
        ("There are two bars with values smaller than 6.", "two"),
        ("The answer to the question is 3, as 3 objects are preferred by more than 7 people.", "3"),
    ],
)
def test_free_text_yields_its_yes_no_or_number(text, answer):
    assert extract(text, strict=False) == answer


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("answer : 4", "4", "correct"),
        ("answer : 5", "4", "wrong"),
        ("no idea at all about this picture or its many contents", "4", "unparsed"),
        (None, "4", "error"),
    ],
)
def test_an_attempt_is_correct_wrong_unparsed_or_an_error(text, reference, expected):
    assert outcome(text, reference) == expected


def test_what_is_extracted_from_a_letter_answer_equals_the_letter_and_the_text():
    said = extract("The answer is (B).", choices=CAT_DOG)
    assert equal(said, "B", choices=CAT_DOG)
    assert equal(said, "a dog", choices=CAT_DOG)
    assert not equal(said, "a cat", choices=CAT_DOG)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("E", "E"),
        ("Answer: A", "A"),
        ("C. A", "C"),
        ("E2", "E"),
    ],
)
def test_a_letter_is_a_letter_even_where_options_are_letters_or_stand_behind_it(text, letter):
    choices = ("3", "4", "0", "1", "2") if text == "E2" else ("B", "D", "A", "C", "E")
    assert extract(text, choices=choices, strict=False) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (r"B. \(R_{A}=-1.529\text{kips}\)", "B"),
        ("See table (a) and (c).\n\nThe section is:\n\n**B. $R_A = -1.529$ kips**", "B"),
        ("A. the closest is 7, so C", "C"),  # a letter with other words beside it is not yet an answer
    ],
)
def test_a_letter_with_its_options_text_is_read_whatever_the_markup(text, letter):
    choices = ("$R_{A}=-3.429kips$", "$R_{A}=-1.529kips$", "7")
    assert extract(text, choices=choices, strict=False) == letter
