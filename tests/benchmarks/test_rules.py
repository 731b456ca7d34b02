from __future__ import annotations

import pytest

from mmevolve.benchmarks.read import EXTRACTORS, shown
from mmevolve.benchmarks.right import SCORERS
from mmevolve.benchmarks.score import judge
from mmevolve.benchmarks.spec import load_spec
from mmevolve.types import Sample

PAIR = Sample("p", "?", choices=("first", "second"), answer="A")
TRUE = Sample("t", "Is it true or false?", choices=("true", "false"), answer="A")
STEPS = Sample("s", "?", meta={"steps": ["a", "b", "c"], "step_labels": [1, 0, 1]})
OPEN = Sample("o", "How many?", answer="3")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1: correct\n2: incorrect\n3: correct", (False, True, False)),
        ("Step 1: Correct. It is so.\nStep 2 - wrong, the bar is red.\nStep 3) right", (False, True, False)),
        ("- **1**: correct\n- **2**: incorrect\n- **3**: incorrect", (False, True, True)),
        ('{"1": "correct", "2": "correct", "3": "incorrect"}', (False, False, True)),
        ("1: correct\n2: correct\n3: correct\nOn second thoughts\n2: incorrect", (False, True, False)),
        ("1: correct\n2: incorrect", None),
        ("All steps are correct.", None),
    ],
)
def test_a_verdict_on_every_step_is_read_or_none(text, read):
    assert EXTRACTORS["step_verdicts"](text, STEPS) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Both see the dog.\nOverall Judgment: Answer 2 is better.", "B"),
        ("**Overall Judgment:** Answer 1 is slightly better than the other", "A"),
        ("[[A]]", "A"),
        ("Answer 1 is better in style, but Answer 2 is better in fact.", None),
        ("Neither.", None),
    ],
)
def test_a_preference_is_read_where_only_one_is_said(text, read):
    assert EXTRACTORS["preference"](text, PAIR) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [("true", "A"), ("answer : yes", "A"), ("The statement is false.", "B"), ("(B)", "B"), ("answer : 7", None)],
)
def test_yes_stands_for_true(text, read):
    assert EXTRACTORS["true_false"](text, TRUE) == read


def test_a_stated_number_is_no_option_of_visonlyqa():
    sample = Sample("v", "?", choices=("a", "b", "c"), answer="c")
    read = EXTRACTORS["visonlyqa_own"]
    assert (read("answer : 6", sample), read("answer : b", sample)) == (None, "b")


def test_rules_of_questions_with_options_find_nothing_on_others():
    assert EXTRACTORS["mmmu_choice"]("(A)", OPEN) is None
    assert EXTRACTORS["mmmu_open"]("It is 3", PAIR) is None
    assert SCORERS["mmmu"].right(EXTRACTORS["mmmu_open"]("so the answer is 3", OPEN), OPEN)


def test_mathvista_compares_the_options_text_and_rounds_to_the_precision():
    sample = Sample("m", "?", answer="1.2", meta={"answer_type": "float", "precision": 1})
    assert SCORERS["mathvista"].right(EXTRACTORS["mathvista"]("The answer is 1.23", sample), sample)
    assert not SCORERS["mathvista"].right(EXTRACTORS["mathvista"]("The answer is 1.26", sample), sample)
    assert SCORERS["mathvista"].right(EXTRACTORS["mathvista"]("(A) first", PAIR), PAIR)


def test_dynamath_takes_decimals_within_a_thousandth():
    sample = Sample("d", "?", answer="2.0944", meta={"answer_type": "float"})
    assert SCORERS["dynamath"].right("2.095", sample) and not SCORERS["dynamath"].right("2.096", sample)


def test_tabmwp_compares_without_the_unit_and_by_the_options_text():
    assert SCORERS["tabmwp"].right("$1,204.50", Sample("x", "?", answer="1204.5", meta={"unit": "$"}))
    assert SCORERS["tabmwp"].right("second", Sample("x", "?", choices=("first", "second"), answer="B"))


@pytest.mark.parametrize(
    ("score", "sample", "says"),
    [
        ("letter", OPEN, "the question has no options, which the score rule needs"),
        ("letter", Sample("x", "?", choices=("a", "b"), answer="C"), "answer 'C' is no letter of the 2 options"),
        ("yes_no", Sample("x", "?", answer="maybe"), "answer 'maybe' is neither 'yes' nor 'no'"),
        ("mathvista", OPEN, "answer_type is None, expected text, integer, float or list"),
        (
            "mathvista",
            Sample("x", "?", answer="many", meta={"answer_type": "integer"}),
            "answer 'many' is no number, but answer_type is integer",
        ),
    ],
)
def test_a_reference_that_a_rule_cannot_use_is_a_fault(score, sample, says):
    assert SCORERS[score].complaint(sample) == says


def test_outcomes_are_four_and_an_empty_response_is_never_guessed(here):
    spec = load_spec("eval/benchmarks/four.yaml")
    sample = Sample("q", "Which?", choices=("cat", "dog"), answer="B")
    said = {"dog": "correct", "(A)": "wrong", "Hard to say.": "unparsed", "": "unparsed", None: "error"}
    assert {text: judge(spec, sample, text).outcome for text in said} == said
    assert judge(spec, sample, "answer : dog").rule == "stated"


def test_what_was_read_is_shown_as_text():
    assert shown(None) is None and shown("A") == "A" and shown((True, False)) == "wrong right"
    assert shown(frozenset({3.0, "three"})) == "3.0 | three"


HOSTILE = [
    "6",
    "answer : ?",
    "answer : @",
    "(Z)",
    "\\boxed{",
    "}",
    "a" * 3000,
    "=",
    "\u200b",
    "1/0",
    "nan",
    "inf",
    "(B",
    "Z.",
]


@pytest.mark.parametrize("score", sorted(SCORERS))
@pytest.mark.parametrize("rule", sorted(EXTRACTORS))
def test_no_response_stops_the_scoring(rule, score):
    kinds = {"letter": (PAIR, TRUE), "all_steps": (STEPS,), "mmstar": (PAIR,)}.get(score, (PAIR, TRUE, OPEN))
    if (rule in ("step_verdicts", "step_scores", "critique")) != (score == "all_steps"):
        return  # steps are read and judged by rules of their own
    for sample in kinds:
        for text in HOSTILE:
            read = EXTRACTORS[rule](text, sample)
            if isinstance(read, str) or (isinstance(read, tuple) and score == "all_steps"):
                assert SCORERS[score].right(read, sample) in (True, False)
