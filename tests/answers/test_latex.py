import math

import pytest

from mmevolve.answers.latex import value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("3", 3),
        ("1,234.5", 1234.5),
        (r"\frac{3}{4}", 0.75),
        (r"\frac34", 0.75),
        (r"\dfrac{1+2}{4}", 0.75),
        (r"12\frac{1}{2}", 12.5),
        (r"2\sqrt{3}", 2 * math.sqrt(3)),
        (r"\sqrt[3]{8}", 2),
        (r"-\frac{24}{25}", -0.96),
        (r"5\sqrt{5}-10", 5 * math.sqrt(5) - 10),
        (r"\frac{9+8\sqrt{3}}{36}", (9 + 8 * math.sqrt(3)) / 36),
        (r"4\pi", 4 * math.pi),
        ("2^3^2", 64),
        ("45^2", 2025),
        ("2^{10}", 1024),
        ("10^-2", 0.01),
        ("1:4", 0.25),
        (r"3 \cdot 2^{5}", 96),
        (r"\left(\sqrt{2}-1\right)^{2}", (math.sqrt(2) - 1) ** 2),
        (r"36^{\circ}", 36),
        (r"45\%", 0.45),
        ("5!", 120),
        (r"\binom{9}{4}", 126),
        (r"\frac{7^3}{2^{12} 13^2}", 343 / (4096 * 169)),
        (r"\frac{3^{1008}-1}{3^{1009}}", 1 / 3),
        ("(1+2)(3)", 9),
        (r"\pi e^2", math.pi * math.e**2),
    ],
)
def test_an_expression_has_its_value(expression, expected):
    assert value(expression) == pytest.approx(expected)


@pytest.mark.parametrize(
    "expression",
    ["", "x", "3x", "km", "5km", "1/0", r"\sqrt{-1}", "(1", "3 4 and", "--", r"\frac{1}", "1..2", "{", "}"],
)
def test_what_is_no_number_has_none(expression):
    assert value(expression) is None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5.so,evenwithout", 5),
        (r"8+2\sqrt{2}}.theansweris", 8 + 2 * math.sqrt(2)),
        (r"12\frac{1}{2}", 6),
        (r"\frac12", None),
        ("120°", None),
        ("42%", None),
        (r"42\%", 0.42),
        ("3and6", None),
        ("1:2", 0.5),
        ("10,20", None),
        (r"1/2\pi", 1 / (2 * math.pi)),  # factors side by side bind first
        (r"6\div 2(1+2)", 1),
        (r"\ln{2}", None),
        (r"\log_{2}{8}", 3),
        (r"\log{100}", 2),
        (r"\lfloor 2.5 \rfloor", 2),
        ("\u0663", None),
        (r"\frac{-6}{2.5}", -2.4),  # sympy prints -6/5/2, of which `eval` makes -0.6
    ],
)
def test_official_mode_reads_as_latex2sympy_does(expression, expected):
    found = value(expression, official=True)
    assert found == (None if expected is None else pytest.approx(expected))
