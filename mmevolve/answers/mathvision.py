r"""MATH-Vision: the official extraction rules and the official equality.

Paper: Wang et al. 2024, "Measuring Multimodal Mathematical Reasoning with the MATH-Vision Dataset", arXiv:2402.14804.
Reference code: mathllm/MATH-V, evaluation/evaluate.py and utils.py.
Differs: values of expressions come from `latex.value` in official mode instead of latex2sympy and `eval`, so that time
is bounded and no text is ever executed.
"""

from __future__ import annotations

from mmevolve.answers.latex import value

_LETTERS = "ABCDE"
_FLAGS = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
_REMOVED_FIRST = (" ", "\\,")
_REWRITTEN = (
    ("∞", "\\infty"), ("+\\infty", "\\infty"), ("\\\\", "\\"), ("\n", ""), ("\\text", ""), ("\\mbox", ""),
    ("bmatrix", "pmatrix"), ("\\left", ""), ("\\right", ""), ("^{\\circ}", ""), ("^\\circ", ""), ("{m}^3", ""),
    ("m^3", ""), ("{units}", ""), ("units", ""), ("{km}", ""), ("km", ""),
)  # fmt: skip
_STRIPPED = (
    ("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", ""),
    ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""), ("$", ""),
)  # fmt: skip


def extract(response: str) -> str:
    """The answer that the official rules read out of a response; the whole, normalised, where none fires."""
    answer = response.strip()
    for letter in _LETTERS:
        ends = (f" {letter}.", f" ({letter}).")
        starts = (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        if answer.endswith(ends) or answer.startswith(starts):
            answer = letter
    last = answer.rsplit("is ", 1)[-1].rstrip(".")
    if _is_float(last):
        answer = last
    boxes = answer.count("oxed{")
    if boxes == 0:
        answer = _after_flags(answer)
    elif boxes > 1:
        answer = "\\boxed{" + answer.rsplit("oxed{", 1)[1]
    answer = normalise(answer)
    for letter in _LETTERS.lower():
        answer = answer.replace(f"({letter})", letter)
    for letter in _LETTERS.lower():
        answer = answer.replace(f"{{{letter}}}", letter)
    return answer.rstrip(".").lstrip(":").strip()


def correct(answer: str, gold: str, option: str = "") -> bool:
    """Whether an extracted answer equals the gold letter or value, or the text of the gold option."""
    return equal(gold, answer) or equal(option, answer)


def equal(gold: str, answer: str) -> bool:
    """Equal strings, equal tuples, or expressions whose values agree after rounding to 2 decimals."""
    gold, answer = gold.lower(), answer.lower()
    if not gold.replace(" ", "") or not answer.replace(" ", ""):
        return False
    if gold.strip() == answer.strip():
        return True
    gold, answer = _tuple(gold), _tuple(answer)
    if gold == answer:
        return True
    a, b = value(answer, official=True), value(gold, official=True)
    return a is not None and b is not None and round(a, 2) == round(b, 2)


def normalise(text: str) -> str:
    r"""Content of the box, or the whole; after the last `=`; without spaces, units, degrees and dollar signs."""
    text = text.lower().replace("{}", "")
    _, found, rest = text.partition("oxed{")
    if found and "}" in rest:
        text = rest.rpartition("}")[0]
    close, open_ = text.find("}"), text.find("{")
    if close != -1 and (open_ == -1 or close < open_):
        text = text[:close]
    text = text.rsplit("=", 1)[-1].rsplit("\\approx", 1)[-1]
    for mark in _REMOVED_FIRST:
        text = text.replace(mark, "")
    for old, new in _REWRITTEN:
        text = text.replace(old, new)
    return _strip(text)


def _strip(text: str) -> str:
    for old, new in _STRIPPED:
        text = text.replace(old, new)
    text = text.split("\\text{ ")[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    for relation in ("=", "\\approx"):
        if text.count(relation) == 1:
            text = text.rpartition(relation)[2]
    if "sqrt" in text:
        text = _brace_roots(text)
    text = text.replace(" ", "")
    if "sqrt" in text:
        text = _brace_fractions(text)
    if text == "0.5":
        text = "\\frac{1}{2}"
    return _slash_fraction(text)


def _brace_roots(text: str) -> str:
    first, *rest = text.split("\\sqrt")
    return first + "".join(
        f"\\sqrt{{{part[0]}}}{part[1:]}" if part and part[0] != "{" else f"\\sqrt{part}" for part in rest
    )


def _brace_fractions(text: str) -> str:
    first, *rest = text.split("\\frac")
    parts = [first]
    for part in rest:
        if part.startswith("{"):
            parts.append(part)
        elif len(part) < 2:
            return text
        else:
            bottom = part[1] if part[1] == "{" else f"{{{part[1]}}}"
            parts.append(f"{{{part[0]}}}{bottom}{part[2:]}")
    return "\\frac".join(parts)


def _slash_fraction(text: str) -> str:
    top, slash, bottom = text.partition("/")
    if not slash or not _plain_int(top) or not _plain_int(bottom):
        return text
    return f"\\frac{{{top}}}{{{bottom}}}"


def _plain_int(text: str) -> bool:
    """Written as Python writes that whole number."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and (digits == "0" or digits[0] != "0") and text != "-0"


def _after_flags(answer: str) -> str:
    for flag in _FLAGS:
        for form in (flag, flag.replace("the", "The")):
            if form in answer:
                answer = answer.rsplit(form, 1)[1].strip().split("\n")[0].split(". ")[0]
            else:
                answer = answer.strip()
    return answer


def _tuple(text: str) -> str:
    """A bracketed list with each element as its value to 2 decimals; the text itself where that fails."""
    elements = text[1:-1].split(",")
    if len(elements) < 2 or (text[0], text[-1]) not in (("(", ")"), ("[", "]")):
        return text
    done = []
    for element in elements:
        if "infty" in element or element in ("a", "-a"):
            done.append(element)
            continue
        number = value(element, official=True)
        if number is None:
            return text
        done.append(str(round(number, 2)))
    return f"{text[0]}{','.join(done)}{text[-1]}"


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
