import time

import pytest

from mmevolve.answers import (
    equal,
    extract,
    latex,
    m3cot,
    mathvision,
    mathvista,
    mmmu,
    mmmu_pro,
    mmstar,
    numbers,
    refusal,
    relaxed,
    scienceqa,
    tabmwp,
    visonlyqa,
    yes_no,
)

MEGABYTE = 1_000_000
QUARTER = MEGABYTE // 4  # for inputs whose cost is known to grow in step with their length
OPTIONS = {"A": "a cat", "B": "a dog", "C": "12", "D": r"\frac{1}{2}"}
TEXTS = tuple(OPTIONS.values())
HOSTILE = {
    "digits": "1" * MEGABYTE,
    "decimals": "1." + "1" * QUARTER + ",",
    "commas": "1,111" * (QUARTER // 5),
    "dots": "." * QUARTER,
    "spaces": "\n" + " " * MEGABYTE + "x",
    "lines": "\n" * QUARTER,
    "braces": "{" * MEGABYTE,
    "boxes": "\\boxed{" * (MEGABYTE // 7),
    "closed boxes": "\\boxed{" * 50_000 + "4" + "}" * 50_000,
    "fractions": "\\frac{" * 20_000 + "1" + "}{2}" * 20_000,
    "roots": "\\sqrt" * (QUARTER // 5),
    "powers": "9^" * (QUARTER // 2) + "9",
    "tower": "9^{9^{9^{9^{9^{9}}}}}",
    "exponent": "1e999999999",
    "big exponent": "9" * 300 + "^{" + "9" * 300 + "}",
    "factorials": "9" + "!" * QUARTER,
    "markers": "answer: " * (MEGABYTE // 8),
    "stars": "*" * QUARTER,
    "phrases": "the answer is " * (QUARTER // 14),
    "letters": "(A) " * (QUARTER // 4),
    "alone": "A B C D " * (QUARTER // 8),
    "minus": "-" * MEGABYTE,
    "dollars": "$" * QUARTER,
    "text": "\\text{" * (QUARTER // 6),
    "is": "is " * (QUARTER // 3),
    "equals": "= " * (QUARTER // 2),
    "nulls": "\x00" * MEGABYTE,
    "surrogate": "\ud800" * 1000,
    "emoji": "👍🏽" * (QUARTER // 8),
    "apostrophes": "I'm sorry " * (QUARTER // 10),
    "slashes": "1/" * (QUARTER // 2),
    "word": "so is thus = " * (QUARTER // 13),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_rule_hangs_or_crashes_on_a_page_without_end_of(name):
    text = HOSTILE[name]
    start = time.process_time()
    extract(text)
    extract(text, strict=False)
    extract(text, choices=TEXTS, strict=False)
    equal(text, "12")
    equal(text[:2_000], text[:1_999] + "0")
    equal(text, "B", choices=TEXTS)
    latex.value(text)
    latex.value(text[:2_000], official=True)
    numbers.parse(text)
    numbers.last_number(text)
    yes_no.parse(text)
    yes_no.pope(text)
    refusal.declines(text)
    mmmu.parse_choice(text, OPTIONS)
    mmmu.open_correct(mmmu.parse_open(text), "12")
    mmmu_pro.parse_choice(text, OPTIONS)
    m3cot.parse_choice(text, TEXTS)
    mmstar.correct(text, "B")
    scienceqa.parse_index(text)
    tabmwp.normalise(tabmwp.extract(text))
    tabmwp.extract(text, TEXTS)
    visonlyqa.parse_choice(text, ("a", "b"))
    visonlyqa.parse_own(text, ("a", "b"), several=True)
    mathvision.correct(mathvision.extract(text), "12", r"$\frac{1}{2}$")
    mathvista.normalise(text, answer_type="text", choices=TEXTS)
    mathvista.normalise(text, answer_type="integer")
    mathvista.normalise(text, answer_type="float", precision=1)
    mathvista.shortcut(text, answer_type="integer")
    relaxed.correct(text, "12")
    assert time.process_time() - start < 10
