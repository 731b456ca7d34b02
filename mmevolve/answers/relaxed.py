"""ChartQA: relaxed accuracy, exact match and ANLS.

Paper: Masry et al. 2022, "ChartQA", arXiv:2203.10244; Biten et al. 2019, "Scene Text Visual Question Answering",
arXiv:1905.13648, for ANLS.
Reference code: google-research/pix2struct, pix2struct/metrics.py.
Differs: `tidy=True` mends three official warts: trailing full stops, `96` beside `96%`, and years, which must be equal.
"""

from __future__ import annotations

import re

from mmevolve.answers.edit import distance

_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")


def correct(prediction: str, target: str, *, tolerance: float = 0.05, tidy: bool = False) -> bool:
    """Within a relative tolerance of a numeric target that is not zero; otherwise equal but for case.

    Args:
        prediction: the model's short answer.
        target: the reference answer.
        tolerance: largest relative difference.
        tidy: mend the official warts; False reproduces the published rule.
    """
    if tidy:
        prediction, target = prediction.strip().rstrip("."), target.strip().rstrip(".")
        if prediction.lower() == target.lower():
            return True
        if _YEAR.fullmatch(target):
            return False
        if prediction.endswith("%") != target.endswith("%"):
            prediction, target = prediction.rstrip("% "), target.rstrip("% ")
    said, wanted = _number(prediction), _number(target)
    if said is not None and wanted:
        return abs(said - wanted) / abs(wanted) <= tolerance
    return prediction.lower() == target.lower()


def exact(prediction: str, target: str) -> bool:
    """Equal to the letter, case included."""
    return prediction == target


def anls(prediction: str, target: str, *, threshold: float = 0.5) -> float:
    """One minus the edit distance as a share of the longer text, whatever the case; 0 from the threshold on."""
    a, b = prediction.lower(), target.lower()
    if a == b:
        return 1.0
    apart = distance(a, b) / max(len(a), len(b))
    return 1.0 - apart if apart < threshold else 0.0


def _number(text: str) -> float | None:
    """The number that a text is, with a percentage as a fraction of one."""
    percent = text.endswith("%")
    try:
        number = float(text.rstrip("%")) if percent else float(text)
    except ValueError:
        return None
    return number / 100.0 if percent else number
