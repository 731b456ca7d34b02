r"""The number that a LaTeX or plain expression stands for, in time linear in its length.

A recursive-descent parser over floats (whole numbers stay exact while they are small): sums, products, ratios with `:`,
powers, roots, fractions, mixed numbers, functions, pi and percent. Bounds instead of a clock: at most `_LONGEST`
characters, `_DEEPEST` nested groups, and no exact power of more than `_WIDEST` bits, so the same input always gives
the same answer.

Differs: from latex2sympy (augustt198/latex2sympy) in that no symbolic algebra is done: an expression with a free
variable has no value, nor has a comparison, a binomial coefficient of parts, `\\gcd` or `\\lcm`. MATH-Vision evaluates
the text that sympy prints, which drops brackets in a negative quotient by a decimal (`-6/2.5` becomes `-6/5/2`, by the
sympy release): that accident is not followed, `-6/2.5` is -2.4.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_LONGEST = 2_000
_DEEPEST = 60
_WIDEST = 4_096
_TOKEN = re.compile(
    r"\s*(?:([0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?(?:\\%)?|\.[0-9]+(?:\\%)?)|(\\[a-zA-Z]+|\\.)|(\*\*|.))",
    re.DOTALL,
)
_NOISE = re.compile(r"\\(?:left|right|displaystyle|mathrm|text|quad|,|!|;|:| )|\\?\$|~")
_OFFICIAL_NOISE = re.compile(r"\\(?:left|right|displaystyle|quad|qquad)(?![a-z])|[$~]")
_STRAY = set("})]._&'") | {"\\}", "\\\\", "\\to", "\\rightarrow", "\\Rightarrow"}
# words of latex2sympy's matrix language: `12 triangles` ends at `tr` and is 12
_KEYWORDS = ("tr", "norm", "rank", "eig", "eye", "diag", "rref", "hstack", "vstack", "orth", "nullspace", "cols")
_KEYWORDS += ("rows", "zeros", "ones", "gcd", "lcm", "floor", "ceil")
_SPELLINGS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "π": "\\pi ", "√": "\\sqrt "})
_DIGITS = frozenset("0123456789")
_OPEN = {"\\{": "\\}", "(": ")", "{": "}", "[": "]"}
_FRACTIONS = {"\\frac", "\\dfrac", "\\tfrac"}
_FACTORS = {*_FRACTIONS, "\\sqrt", "\\binom", "\\lfloor", *_OPEN}
_PRODUCT = {"*", "\\cdot", "\\times", "\\ast"}
_RATIO = {"/", ":", "\\div"}
_FUNCTIONS = {
    "\\sin": math.sin, "\\cos": math.cos, "\\tan": math.tan, "\\arcsin": math.asin, "\\arccos": math.acos,
    "\\arctan": math.atan, "\\ln": math.log, "\\log": math.log10, "\\exp": math.exp,
}  # fmt: skip
_CONSTANTS = {"\\pi": math.pi, "pi": math.pi}

Number = int | float


class NoValueError(ValueError):
    """The expression has no value that is a finite real number."""


def value(expression: str, *, official: bool = False) -> Number | None:
    r"""Value of an expression; None when it has none.

    Args:
        expression: LaTeX or plain text, such as `\frac{3}{4}`, `2\sqrt{3}`, `3:4`, `12\frac{1}{2}`.
        official: read as latex2sympy and `eval` do: up to a stray `}`, `)`, `.`, arrow or keyword; `1/2\pi` is
            `1/(2\pi)`; degrees, a bare `%`, `\ln` and `\frac12` have no value. Otherwise they have one, and all must be
            an expression.

    >>> value(r"12\frac{1}{2}")
    12.5
    """
    if len(expression) > _LONGEST:
        return None
    if official:
        text = _OFFICIAL_NOISE.sub(" ", expression)
    else:
        text = _NOISE.sub(" ", expression).translate(_SPELLINGS)
    tokens = [match.group(match.lastindex or 0) for match in _TOKEN.finditer(text.strip())]
    parser = _Parser(tokens, official=official)
    try:
        result = parser.sum(0)
    except (NoValueError, OverflowError, ZeroDivisionError, ValueError):
        return None
    rest = tokens[parser.at : parser.at + 9]
    if rest and not (official and (rest[0] in _STRAY or "".join(rest).startswith(_KEYWORDS))):
        return None
    return result if isinstance(result, int) or math.isfinite(result) else None


@dataclass
class _Parser:
    """Tokens and a place in them; `official` has products instead of mixed numbers, and fewer spellings."""

    tokens: list[str]
    official: bool
    at: int = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self, depth: int) -> Number:
        total = self.product(depth)
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            total = total + sign * self.product(depth)
        return total

    def product(self, depth: int) -> Number:
        result = self.operand(depth)
        while True:
            token = self.peek()
            if token in _PRODUCT:
                self.at += 1
                result = result * self.operand(depth)
            elif token in _RATIO:
                self.at += 1
                result = _divide(result, self.operand(depth))
            elif self.starts_factor(token):
                # a whole number before a fraction of numbers is a mixed number
                mixed = token in _FRACTIONS and self.tokens[self.at - 1].isdigit()
                factor = self.power(depth)
                result = result + factor if mixed and 0 < abs(factor) < 1 else result * factor
            else:
                return result

    def operand(self, depth: int) -> Number:
        """What a product or ratio joins; officially factors that stand side by side bind first: `1/2x` is `1/(2x)`."""
        result = self.signed(depth)
        while self.official and self.starts_factor(self.peek()):
            result = result * self.power(depth)
        return result

    def signed(self, depth: int) -> Number:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        return sign * self.power(depth)

    def power(self, depth: int) -> Number:
        base = self.factor(depth)
        while self.peek() == "!":
            self.at += 1
            base = _factorial(base)
        while self.peek() == "^" or (self.peek() == "**" and not self.official):
            self.at += 1
            if self.official:
                base = _raise(base, self.argument(depth + 1))
            elif self.tokens[self.at : self.at + 3] == ["{", "\\circ", "}"]:
                self.at += 3
            elif self.peek() == "\\circ":
                self.at += 1
            else:
                base = _raise(base, self.argument(depth + 1))
        while self.peek() in ("%", "\\%") and not self.official:
            self.at += 1
            base = base / 100
        return base

    def argument(self, depth: int) -> Number:
        """What a command or `^` applies to: a group, or one token, where only the first digit of a number counts."""
        token = self.peek()
        if token in ("-", "+"):
            return self.signed(depth)
        if len(token) > 1 and token.isdigit():
            self.tokens[self.at] = token[1:]
            return int(token[0])
        return self.factor(depth)

    def brace(self, depth: int) -> Number:
        """An argument, which latex2sympy wants in braces."""
        if self.official and self.peek() != "{":
            raise NoValueError("a fraction without braces")
        return self.argument(depth)

    def logarithm(self, token: str, depth: int) -> Number:
        """To a base that is written; the natural one has the base `E`, which the official `eval` does not know."""
        if token == "\\ln":
            raise NoValueError("no natural logarithm")
        self.at += 1
        base = self.argument(depth)
        return math.log(self.power(depth), base)

    def starts_factor(self, token: str) -> bool:
        if token in _FACTORS or token in _FUNCTIONS or token in _CONSTANTS:
            return True
        if token == "e":
            return self.tokens[self.at + 1 : self.at + 2] == ["^"]
        return token[:1] in _DIGITS or (token[:1] == "." and len(token) > 1)

    def factor(self, depth: int) -> Number:
        if depth > _DEEPEST:
            raise NoValueError("nested too deeply")
        token = self.take()
        if token in _OPEN:
            inner = self.sum(depth + 1)
            if self.take() != _OPEN[token]:
                raise NoValueError(f"'{token}' is not closed")
            return inner
        if token[:1] in _DIGITS or (token[:1] == "." and len(token) > 1):
            return _read(token)
        if token in _FRACTIONS or token == "\\binom":
            top = self.brace(depth + 1)
            bottom = self.brace(depth + 1)
            return _divide(top, bottom) if token in _FRACTIONS else _choose(top, bottom)
        if token == "\\sqrt":
            index: Number = 2
            if self.peek() == "[":
                index = self.factor(depth + 1)
            return _raise(self.argument(depth + 1), 1 / index)
        if token == "e" and self.peek() == "^":
            return math.e
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token == "\\lfloor":
            inner = self.sum(depth + 1)
            if self.take() != "\\rfloor":
                raise NoValueError("'\\lfloor' is not closed")
            return math.floor(inner)
        if token in ("\\ln", "\\log") and self.official and (token == "\\ln" or self.peek() == "_"):
            return self.logarithm(token, depth + 1)
        if token in _FUNCTIONS:
            return _FUNCTIONS[token](self.power(depth + 1))
        raise NoValueError(f"'{token}' is not a number")


def _read(token: str) -> Number:
    token = token.replace(",", "")
    if token.endswith("\\%"):
        return float(token[:-2]) / 100
    if token.isdigit():
        return int(token) if len(token) <= 300 else float(token)
    return _whole(float(token))


def _whole(number: float) -> Number:
    """An int where the number is whole and small enough to be exact."""
    return int(number) if abs(number) < 2**53 and number == int(number) else number


def _divide(top: Number, bottom: Number) -> Number:
    if isinstance(top, int) and isinstance(bottom, int) and bottom and top % bottom == 0:
        return top // bottom
    return top / bottom


def _raise(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() * exponent <= _WIDEST:
            return base**exponent
        raise NoValueError("too large a power")
    result = float(base) ** exponent
    if isinstance(result, complex):
        raise NoValueError("not a real number")
    return _whole(result) if isinstance(base, int) else result


def _choose(n: Number, k: Number) -> Number:
    if not isinstance(n, int) or not isinstance(k, int) or not 0 <= k <= n <= 1_000:
        raise NoValueError("no binomial coefficient")
    return math.comb(n, k)


def _factorial(base: Number) -> Number:
    if not isinstance(base, int) or not 0 <= base <= 170:
        raise NoValueError("no factorial")
    return math.factorial(base)
