"""The official rules, warts included, on rows made up for the purpose."""

import pytest

from mmevolve.answers import (
    m3cot,
    mathvision,
    mathvista,
    mmmu,
    mmmu_pro,
    mmstar,
    relaxed,
    scienceqa,
    tabmwp,
    visonlyqa,
    yes_no,
)

METALS = {"A": "iron", "B": "gold", "C": "tin alloy", "D": "zinc"}


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("(B)", "B"),
        ("B", "B"),
        ("B.", "B"),
        ("'B'", "B"),
        ("'B'!?", None),  # marks are stripped in turn: `!` before `?`
        ("Not (A) but (D), or maybe (B)", "B"),
        ("I say C for sure", "C"),
        ("The coin is surely made of gold, they said.", "B"),
        ("It is gold", None),  # option texts count only beyond five words
        ("b", None),
        ("A dog likes the bone here", "A"),
        ("gold comes first and then iron in this list", "A"),
        ("B:(C)", "C"),
    ],
)
def test_mmmu_reads_the_last_letter_in_brackets_then_alone_then_the_option_text(response, letter):
    assert mmmu.parse_choice(response, METALS) == letter


def test_mmmu_strips_marks_in_turn_so_that_an_inner_one_stays():
    assert mmmu.strip_edges(",.B.,") == "B"
    assert mmmu.strip_edges(".,B,.") == ",B,"


def test_mmmu_open_answers_are_tails_of_key_lines_and_their_numbers():
    parsed = mmmu.parse_open("We add the terms.\nThe result is 1,234.567")
    assert parsed == {1234.57, 1234.0, 234.57}  # the tail, then the numbers in it, cut at the comma
    assert mmmu.open_correct(parsed, "1234.57")
    assert mmmu.open_correct(parsed, ["7", "1,234.567"])
    assert not mmmu.open_correct(parsed, "1234.5")


@pytest.mark.parametrize(
    ("response", "gold", "right"),
    [
        ("The answer is 0.5 m", "0.5", True),
        ("x = 24/7", "24/7", True),
        ("So the tissue is Myelin sheath.", "myelin sheath", True),
        ("it must be a transformer", "transformer", True),
        ("The answer is C", "c", True),
        ("The answer is cat", "c", False),  # one letter needs a space beside it
        ("volume = 5e3", "5000", True),
        ("about -3", "-3", True),
        ("", "3", False),
    ],
)
def test_mmmu_open_answers_are_right_when_they_contain_the_gold_string_or_number(response, gold, right):
    assert mmmu.open_correct(mmmu.parse_open(response), gold) is right


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,234,567 and -12", ["1,234,567", "567", "-12"]),
        ("1,23,456", ["23,456", "456"]),
        ("-1.5e-3", ["-1.5e-3", "-1", "-3"]),
        ("1.2.3e5", ["2.3e5", "1.2", "5"]),
        ("12.25,", ["12"]),
        (".5 and 5.", [".5", "5"]),
        ("5cm 5 cm", ["5"]),
        ("3-4", ["3", "-4"]),
        ("", []),
    ],
)
def test_mmmu_numbers_with_commas_then_with_exponents_then_plain_ones(text, found):
    assert mmmu.numbers(text) == found


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("Answer: C", "C"),
        ("Answer: C. tin alloy", "C"),
        ("Answer: A or B", None),
        ("(A) is wrong. Answer: (B)", "B"),
        ("Answer: D\nAnswer: B", "B"),
        ("I'd say D. It is", "D"),
        ("NASA said nothing", "A"),  # a letter before a space counts inside a word
        ("(B) and then (A)", "A"),
        ("Without a hint there is zinc in here", "D"),
        ("Sorry.", None),
    ],
)
def test_mmmu_pro_reads_what_follows_answer_first(response, letter):
    options = mmmu_pro.options_of(list(METALS.values()))
    if response == "Answer: A or B":
        assert mmmu_pro.parse_choice(response, options) in ("A", "B")
    else:
        assert mmmu_pro.parse_choice(response, options) == letter


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("(b) gold", "B"),
        ("(A) no, (D)", "D"),
        ("It is gold.", "B"),
        ("gold or iron", "B"),  # the last in the order of the options, not of the text
        ("D, I think", "D"),
        ("so d it is", "D"),
        ("[Rationale] (A) [Answer] (C) [Context] (D)", "C"),
        ("nothing", None),
        ("(Z)", "Z"),
    ],
)
def test_m3cot_reads_the_last_bracket_then_text_then_letters(response, letter):
    assert m3cot.parse_choice(response, ["iron", "gold", "tin alloy", "zinc"]) == letter


@pytest.mark.parametrize(
    ("output", "index"),
    [
        ("The answer is B.", 1),
        ("The answer is A. Because.", 0),
        ("The answer is B. No, The answer is B.", None),
        ("the answer is B.", None),
        ("The answer is B", None),
        ("", None),
    ],
)
def test_scienceqa_wants_its_sentence_exactly_once(output, index):
    assert scienceqa.parse_index(output) == index


@pytest.mark.parametrize(
    ("output", "options", "plain", "index"),
    [
        ("The answer is B, because", 5, False, 1),  # the official full stop stands for any character
        ("The answer is B\n", 5, False, None),  # but not for a line break
        ("The answer is D.", 3, False, None),  # beyond the options: officially a random draw
        ("The answer is F.", 6, False, None),  # only five letters are known
        ("B", 4, False, None),
        ("B", 4, True, 1),
        ("C. gold", 4, True, 2),
        ("C. The answer is B.", 4, True, 2),
        ("F. gold", 6, True, None),
        ("", 4, True, None),
    ],
)
def test_scienceqa_letters_stop_at_the_options_and_plain_ones_count_for_llava(output, options, plain, index):
    assert scienceqa.parse_index(output, options, plain=plain) == index


@pytest.mark.parametrize(
    ("output", "choices", "answer"),
    [
        ("The answer is 1,234.", (), "1,234"),
        ("She pays $3 × 4 = $12", (), "$12"),
        ("The total is 14 apples", (), "14"),
        ("The clock shows 7:25 P.M.", (), "7:25 P.M."),
        ("It is $\\frac{3}{4}$ of it", (), "3/4"),
        ("7 − 9=−2", (), "-2"),
        ("(B)", ("yes", "no"), "no"),
        ("The answer is (A) yes.", ("yes", "no"), "yes"),
        ("The answer is no", ("yes", "no"), "no"),
        ("more red than blue", ("more red", "more blue"), "more red"),
        ("(D)", ("yes", "no"), None),
        ("words only", (), "words only"),
    ],
)
def test_tabmwp_takes_the_first_pattern_that_fires(output, choices, answer):
    assert tabmwp.extract(output, choices) == answer


@pytest.mark.parametrize(
    ("text", "unit", "form"),
    [
        ("1,000", None, "1000"),
        ("$56.40", None, "56.4"),
        ("3/4", None, "0.75"),
        ("-3/2", None, "-1.5"),
        ("007", None, "7"),
        ("2.0004", None, "2"),
        ("8 kg", "kg", "8"),
        ("yes", None, "yes"),
        ("1/0", None, "1/0"),
        ("5.", None, "5"),
    ],
)
def test_tabmwp_normal_form(text, unit, form):
    assert tabmwp.normalise(text, unit) == form


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The answer is 12.", "12"),
        ("So we get (B).", "b"),
        ("C\nbecause it fits", "c"),
        ("the final answer is $7$. Or so", "7"),
        (r"thus \boxed{12\text{ cm}}", "12{cm}"),
        (r"\boxed{1} and \boxed{\frac{3}{4}}", r"\frac{3}{4}"),
        ("x = 0.5", r"\frac{1}{2}"),
        ("The answer is 3/4", r"\frac{3}{4}"),
        (r"\boxed{36^\circ}", "36"),
        (r"\boxed{\sqrt2}", r"\sqrt{2}"),
    ],
)
def test_mathvision_extraction(response, answer):
    assert mathvision.extract(response) == answer


@pytest.mark.parametrize(
    ("answer", "gold", "option", "right"),
    [
        ("c", "C", "", True),
        (r"\frac{1}{4}", "C", r"$\frac{1}{4}$", True),
        ("0.25", "1/4", "", True),
        ("0.251", "1/4", "", True),  # two decimals
        (r"\frac{1}{55}", r"\frac{1}{60}", "", True),  # wart of rounding to two decimals
        ("(2.0,0)", "(2,0)", "", True),
        ("(2,0)", "(2.001,0)", "", False),  # wart: in a tuple `2` and `2.0` are strings,
        ("(1,2)", "(2,1)", "", False),
        ("1:4", r"\frac{1}{4}", "", True),
        ("60", "D", "60 cm", False),
        ("", "D", "60", False),
        ("5km", "5", "", False),
    ],
)
def test_mathvision_equality(answer, gold, option, right):
    assert mathvision.correct(answer, gold, option) is right


@pytest.mark.parametrize(
    ("extraction", "rule", "prediction"),
    [
        ("(B) 8", {"answer_type": "text", "choices": ["7", "8"]}, "8"),
        ("B", {"answer_type": "text", "choices": ["7", "8"]}, "8"),
        ("seven point", {"answer_type": "text", "choices": ["7 points", "8"]}, "7 points"),
        ("", {"answer_type": "text", "choices": ["long option", "no"]}, "no"),  # a silent model gets the shortest
        ("(Z)", {"answer_type": "text", "choices": ["Y", "long"]}, "Y"),
        ("4.7", {"answer_type": "integer"}, "4"),
        ("4.7", {"answer_type": "integer", "published": True}, None),
        ("4", {"answer_type": "integer", "published": True}, "4"),
        ("1.26", {"answer_type": "float", "precision": 1}, "1.3"),
        ("two", {"answer_type": "float", "precision": 1}, None),
        ("inf", {"answer_type": "integer"}, None),
        ("[1, 2]", {"answer_type": "list"}, "[1, 2]"),
        (2.5, {"answer_type": "list"}, "2.5"),
        (3, {"answer_type": "float", "precision": 1.0}, "3.0"),
        ("3", {"answer_type": "float"}, None),
        (None, {"answer_type": "integer"}, None),
    ],
)
def test_mathvista_normal_form(extraction, rule, prediction):
    assert mathvista.normalise(extraction, **rule) == prediction


@pytest.mark.parametrize(
    ("response", "answer_type", "choices", "extraction"),
    [
        ("8", "text", ["7", "8"], "8"),
        ("12", "integer", [], "12"),
        ("1.50", "float", [], "1.5"),
        ('The answer is "red".', "text", [], "red"),
        ("It may be 12", "integer", [], None),
        ("", "integer", [], ""),
    ],
)
def test_mathvista_shortcuts_need_no_judge(response, answer_type, choices, extraction):
    assert mathvista.shortcut(response, answer_type=answer_type, choices=choices) == extraction


def test_visonlyqa_takes_the_only_option_found():
    assert visonlyqa.parse_choice("(b) 2.5", "abcde") == "b"
    assert visonlyqa.parse_choice("(a) or (b)", "abcde") is None
    assert visonlyqa.parse_choice("True", ["True", "False"]) == "True"
    assert visonlyqa.parse_choice("(a)", "abcd", several=True) is None
    assert visonlyqa.parse_choice("(10)", ["1", "10"]) == "1"  # the first option that the found one contains
    assert visonlyqa.parse_own("Both.\n\nFinal answer: (c), (a)", "abcd", several=True) == "a,c"
    assert visonlyqa.parse_own("The statement is **False**.", ["True", "False"]) == "False"


@pytest.mark.parametrize("said", ["6", "9", "z", "@", "é"])
def test_visonlyqa_reads_no_option_where_one_character_is_stated_that_names_none(said):
    assert visonlyqa.parse_own(f"answer : {said}", "abcde") is None
    many = "abcdefghijklmnopqrst"  # from the end, the place of `6` would be one of these
    assert visonlyqa.parse_own(f"answer : {said}", many) is None
    assert visonlyqa.parse_own("answer : t", many) == "t"


def test_chartqa_relaxed_accuracy_on_the_eight_published_cases():
    said = ["abc", "abc", "Abc", "100%", "100%", "100%", "100%", "Don't"]
    targets = ["abc", "Abc", "abc", "96%", "94%", "0.96", "0.94", "Won't"]
    pairs = list(zip(said, targets, strict=True))
    assert sum(relaxed.correct(p, t) for p, t in pairs) / 8 == 0.625
    assert sum(relaxed.exact(p, t) for p, t in pairs) / 8 == 0.125
    assert sum(relaxed.anls(p, t) for p, t in pairs) / 8 == pytest.approx(0.475)


@pytest.mark.parametrize(
    ("prediction", "target", "official", "tidy"),
    [
        ("2008", "2010", True, False),
        ("96", "96%", False, True),
        ("Yes.", "yes", False, True),
        ("0", "0", True, True),
        ("0.0", "0", False, False),
    ],
)
def test_chartqa_warts_are_kept_in_official_mode_and_mended_in_tidy_mode(prediction, target, official, tidy):
    assert relaxed.correct(prediction, target) is official
    assert relaxed.correct(prediction, target, tidy=True) is tidy


def test_relaxed_accuracy_of_what_is_no_finite_number_is_the_official_one():
    assert not relaxed.correct("nan", "nan")
    assert not relaxed.correct("inf", "inf")
    assert relaxed.correct("inf", "inf", tidy=True)
    assert not relaxed.correct("5", "inf")


def test_anls_is_zero_at_the_threshold_itself():
    assert relaxed.anls("ab", "ac") == 0.0
    assert relaxed.anls("abc", "abd") == pytest.approx(2 / 3)


def test_pope_says_yes_to_whatever_does_not_deny():
    assert yes_no.pope("No, there is none.") == "no"
    assert yes_no.pope("There is not a dog. Yes.") == "no"
    assert yes_no.pope("Perhaps.") == "yes"
    assert yes_no.parse("Perhaps.") is None
    assert yes_no.parse("Yes, there is.") == "yes"


def test_mmstar_wants_the_letter_at_the_start():
    assert mmstar.correct("B. red", "B")
    assert mmstar.correct("(b)", "B")
    assert mmstar.correct("The answer is B", "B")
    assert not mmstar.correct("I think B", "B")
    assert not mmstar.correct("", "B")
    assert not mmstar.correct("AB", "AB")  # one letter is compared, so that a longer gold is never met
