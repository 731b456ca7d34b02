import io
import math

import pytest

from mmevolve.console import Console
from mmevolve.finale import closing_lines

POINTS = [
    ("warmup", "before", 0.412, 0.3985, 0.72, 0.31, 0),
    ("warmup", 0, 0.45, 0.43, 0.74, 0.33, 400),
    ("reward", 0, None, None, None, None, 1983),
    ("evolve", 2, 0.579, 0.551, 0.781, 0.19, 1402),
]
NAMES = ("loop", "round", "accuracy", "pass@1", "pass@8", "right_answer_wrong_step", "rows")


def summary(**other):
    known = {
        "accuracy_before": 0.412, "accuracy_after": 0.579, "gain": 0.167, "gain_low": 0.131, "gain_high": 0.2033,
        "n_questions": 600, "seconds": 272.4, "peak_rss_bytes": 1_234_000_000,
        "rounds": [dict(zip(NAMES, p, strict=True)) for p in POINTS],
    }  # fmt: skip
    return known | other


def test_the_table_is_aligned_and_fits_a_hundred_columns():
    lines = closing_lines(summary(), run="runs/quickstart")
    rows = [line for line in lines if line.startswith(("  warmup", "  reward", "  evolve"))]
    assert [row.split()[0] for row in rows] == ["warmup", "warmup", "reward", "evolve"]
    assert len({len(row) for row in rows}) == 1 and max(map(len, lines)) <= 100
    assert rows[0].split() == ["warmup", "before", "41.2", "%", "39.9", "%", "72.0", "%", "31.0", "%", "-"]
    assert rows[2].split()[-2:] == ["-", "1,983"]


def test_the_gain_is_told_with_interval_questions_time_and_memory():
    text = "\n".join(closing_lines(summary(), run="runs/quickstart"))
    assert "41.2 % -> 57.9 %: +16.7 points" in text
    assert "95 % interval +13.1 to +20.3, paired over 600 questions" in text
    assert "4 min 32 s in all, at most 1.23 GB of memory" in text
    assert "runs/quickstart/report.html" in text and "mmevolve show runs/quickstart" in text
    assert "includes 0" not in text


def test_an_interval_around_zero_is_said_to_show_nothing():
    text = "\n".join(closing_lines(summary(gain=0.01, gain_low=-0.02, gain_high=0.04), run="r"))
    assert "the interval includes 0: this run alone does not show" in text


def test_two_turns_have_a_table_of_their_own():
    turns = {"acc_t1": 0.52, "acc_t2": 0.4117, "delta_i_to_c": 0.075, "delta_c_to_i": 0.1833}
    point = {**dict(zip(NAMES, POINTS[0], strict=True)), **dict.fromkeys(NAMES[2:]), "rows": 0}
    rounds = [{**point, **{f"refine/{name}": value for name, value in turns.items()}}]
    lines = closing_lines(summary(rounds=rounds, accuracy_before=None), run="r")
    heads, row = lines[2].split(), lines[4].split()
    assert heads == ["two", "turns", "first", "second", "to", "right", "to", "wrong"]
    assert row == ["warmup", "before,", "refine", "52.0", "%", "41.2", "%", "7.5", "%", "18.3", "%"]
    undefined = [{**point, **{f"refine/{name}": None for name in turns}}]  # nobody answered
    assert "two turns" not in "\n".join(closing_lines(summary(rounds=undefined, accuracy_before=None), run="r"))
    assert "measured is in" not in "\n".join(lines) and max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gain": None}, "measured once only"),
        ({"accuracy_before": None, "accuracy_after": None, "gain": None, "rounds": []}, "no held-out accuracy"),
    ],
)
def test_missing_numbers_make_plain_sentences(change, said):
    assert said in "\n".join(closing_lines(summary(**change), run="r"))


def test_columns_that_no_point_has_are_left_out():
    rounds = [{**dict.fromkeys(NAMES), "loop": "evolve", "round": 0, "accuracy": 0.5, "rows": 0}]
    text = "\n".join(closing_lines(summary(rounds=rounds), run="r"))
    assert "pass@8" not in text and "rows" not in text and "accuracy" in text


def test_benchmarks_are_named_where_no_other_questions_were_held_out_and_each_has_its_gain():
    further = {
        "accuracy_before": 0.5, "accuracy_after": 0.75, "gain": 0.25, "gain_low": -0.1, "gain_high": 0.6,
        "n_questions": 8,
    }  # fmt: skip
    once = dict.fromkeys(further) | {"accuracy_before": 0.4, "accuracy_after": 0.4}
    lines = closing_lines(summary(evaluation="nlvr1", benchmarks={"shapes": further, "pope": once}), run="r")
    assert "nlvr1," in lines[1] and lines[2].split()[:2] == ["measured", "accuracy"]
    assert "  accuracy on nlvr1 41.2 % -> 57.9 %: +16.7 points" in lines
    assert "  shapes 50.0 % -> 75.0 %: +25.0 points, 95 % interval -10.0 to +60.0, 8 questions" in lines
    assert "  pope 40.0 %, measured once only" in lines
    assert max(map(len, lines)) <= 100


def test_a_rounds_line_names_each_benchmark_with_its_interval_and_no_kind_of_question():
    out = io.StringIO()
    numbers = {
        "nlvr1/accuracy": 0.5, "nlvr1/accuracy/low": 0.25, "nlvr1/accuracy/high": 0.75, "rows": 8,
        "nlvr1/accuracy, kind x": 1.0, "nlvr1/accuracy, kind x/low": 0.5, "reflected/accuracy": 0.2,
        "pope/accuracy": 0.0, "pope/accuracy/low": math.nan, "pope/accuracy/high": math.nan,
    }  # fmt: skip
    Console(out).round("evolve", 0, numbers)
    assert out.getvalue() == "  ── evolve round 0: nlvr1 0.500 (0.250 to 0.750)   pope 0.000   8 rows trained\n"
