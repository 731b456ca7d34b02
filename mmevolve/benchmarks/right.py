"""Score rules by name: whether what was read is right, and what a reference answer must be for the rule to work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmevolve.answers import equal, mathvision, mathvista, mmmu, mmstar, numbers, options, relaxed, tabmwp
from mmevolve.types import Sample


@dataclass(frozen=True)
class Scorer:
    """A rule of equality.

    Attributes:
        right: whether what was read is right.
        complaint: what is wrong with the sample's reference answer for this rule; None when it is fine.
    """

    right: Callable[[Any, Sample], bool]
    complaint: Callable[[Sample], str | None]


def _letter(sample: Sample) -> str | None:
    if sample.choices and sample.answer not in options.letters(sample.choices):
        return f"answer {sample.answer!r} is no letter of the {len(sample.choices)} options"
    return None


def _needs_options(sample: Sample) -> str | None:
    return _letter(sample) if sample.choices else "the question has no options, which the score rule needs"


def _yes_no(sample: Sample) -> str | None:
    return None if sample.answer in ("yes", "no") else f"answer {sample.answer!r} is neither 'yes' nor 'no'"


def _mathvista_gold(sample: Sample) -> str:
    return sample.choices[ord(sample.answer or "A") - 65] if sample.choices else sample.answer or ""


def _mathvista(read: str, sample: Sample) -> bool:
    said = mathvista.normalise(
        read,
        answer_type=sample.meta.get("answer_type", "text"),
        choices=sample.choices,
        precision=_whole(sample.meta.get("precision")),
    )
    return said == _mathvista_gold(sample)


def _mathvista_fits(sample: Sample) -> str | None:
    kind = sample.meta.get("answer_type")
    if kind not in ("text", "integer", "float", "list"):
        return f"answer_type is {kind!r}, expected text, integer, float or list"
    if not sample.choices and kind in ("integer", "float") and numbers.parse(sample.answer or "") is None:
        return f"answer {sample.answer!r} is no number, but answer_type is {kind}"
    return _letter(sample)


def _tabmwp(read: str, sample: Sample) -> bool:
    gold = sample.choices[ord(sample.answer or "A") - 65] if sample.choices else sample.answer or ""
    unit = sample.meta.get("unit")
    return tabmwp.normalise(read, unit).lower() == tabmwp.normalise(gold, unit).lower()


def _mathvision(read: str, sample: Sample) -> bool:
    gold = sample.answer or ""
    option = sample.choices[ord(gold) - 65] if sample.choices else ""
    return mathvision.correct(read, gold, option)


def _dynamath(read: str, sample: Sample) -> bool:
    """Decimals within 0.001, as the official rule has it; everything else by our own equality."""
    said, gold = numbers.parse(read), numbers.parse(sample.answer or "")
    if sample.meta.get("answer_type") == "float" and said is not None and gold is not None:
        return abs(said - gold) <= 0.001 * (1 + 1e-9)
    return equal(read, sample.answer or "", choices=sample.choices)


def _mmmu(read: Any, sample: Sample) -> bool:
    if isinstance(read, frozenset):
        return mmmu.open_correct(read, sample.answer or "")
    return mmmu.choice_correct(read, sample.answer or "")


def _steps(sample: Sample) -> str | None:
    return step_complaint(sample.meta)


def step_complaint(meta: Mapping[str, Any]) -> str | None:
    """What is wrong with a row's steps and labels, 1 right and 0 wrong; None when nothing is."""
    steps, labels = meta.get("steps"), meta.get("step_labels")
    if not isinstance(steps, list | tuple) or not steps or not all(isinstance(s, str) and s.strip() for s in steps):
        return "steps is not a list of texts"
    if not isinstance(labels, list | tuple) or any(label not in (0, 1) for label in labels):
        return "step_labels is not a list of 0 and 1"
    return None if len(labels) == len(steps) else f"{len(steps)} steps and {len(labels)} step_labels"


def _none(sample: Sample) -> str | None:
    return None


SCORERS: dict[str, Scorer] = {
    "letter": Scorer(lambda read, s: read == s.answer, _needs_options),
    "equal": Scorer(lambda read, s: equal(read, s.answer or "", choices=s.choices), _letter),
    "same_text": Scorer(lambda read, s: read.strip().lower() == (s.answer or "").strip().lower(), _none),
    "same_raw": Scorer(lambda read, s: read == s.answer, _none),
    "yes_no": Scorer(lambda read, s: read == s.answer, _yes_no),
    "mmmu": Scorer(_mmmu, _letter),
    "mmstar": Scorer(lambda read, s: mmstar.correct(read, s.answer or ""), _needs_options),
    "mathvista": Scorer(_mathvista, _mathvista_fits),
    "mathvision": Scorer(_mathvision, _letter),
    "relaxed": Scorer(lambda read, s: relaxed.correct(read, s.answer or ""), _none),
    "relaxed_tidy": Scorer(lambda read, s: relaxed.correct(read, s.answer or "", tidy=True), _none),
    "tabmwp": Scorer(_tabmwp, _letter),
    "dynamath": Scorer(_dynamath, _letter),
    "all_steps": Scorer(lambda read, s: list(read) == [not label for label in s.meta["step_labels"]], _steps),
}


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
