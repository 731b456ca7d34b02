"""Extraction rules by name: what a response says, or None. Each maps a spec's word onto one rule of `answers`."""

from __future__ import annotations

import re
from collections.abc import Callable

from mmevolve.answers import (
    extract,
    m3cot,
    mathvision,
    mathvista,
    mmmu,
    mmmu_pro,
    options,
    scienceqa,
    tabmwp,
    written_critique,
    yes_no,
)
from mmevolve.answers import visonlyqa as vis
from mmevolve.benchmarks import critic_scores
from mmevolve.types import Sample

Read = str | frozenset | tuple
Extractor = Callable[[str, Sample], Read | None]
VERDICT = re.compile(
    r"(?:^|[\n,;{])[ \t*\"'(\[-]{0,8}(?:step|sentence|line)?[ \t_#]{0,3}(\d{1,3})[\"')\]*]{0,3}"
    r"[ \t]{0,3}[:.=)-]?[ \t*\"'(\[]{0,5}"
    r"(incorrect|correct|wrong|right|false|true|bad|good)\b",
    re.IGNORECASE,
)
_FINE = frozenset({"correct", "right", "true", "good"})
_JUDGED = re.compile(r"overall judg[e]?ment\b[^.\n]{0,200}?\banswer\s*([12])\b[^.\n]{0,60}?\bbetter", re.IGNORECASE)
_BETTER = re.compile(r"\b(?:answer|response)\s*\(?([12AB])\)?\s+(?:is|was|seems)\s+(?:\w+\s+)?better", re.IGNORECASE)
_BRACKETS = re.compile(r"\[\[([AB12])\]\]")


def _letters(sample: Sample) -> dict[str, str]:
    return dict(zip(options.letters(sample.choices), sample.choices, strict=False))


def _choice(rule: Callable[[str, Sample], str | None]) -> Extractor:
    """A rule for questions with options only; on others it finds nothing, and the chain goes on."""
    return lambda text, sample: rule(text, sample) if sample.choices else None


def _free(rule: Callable[[str, Sample], Read | None]) -> Extractor:
    """A rule for questions without options only."""
    return lambda text, sample: None if sample.choices else rule(text, sample)


def _scienceqa(text: str, sample: Sample) -> str | None:
    index = scienceqa.parse_index(text, len(sample.choices), plain=True)
    return None if index is None else chr(ord("A") + index)


def _mathvista(text: str, sample: Sample) -> str | None:
    """The official rules that need no LLM, then our own; an empty response is unparsed, officially it is not."""
    kind = sample.meta.get("answer_type", "text")
    found = mathvista.shortcut(text.strip(), answer_type=kind, choices=sample.choices)
    return found or extract(text, choices=sample.choices, strict=False)


def _true_false(text: str, sample: Sample) -> str | None:
    """An option, or a yes or no that stands for `true` or `false`."""
    said = extract(text, choices=sample.choices, strict=False)
    if said is not None and len(said) == 1 and said in options.letters(sample.choices):
        return said
    verdict = yes_no.parse(said or text)
    meant = [letter for letter, choice in _letters(sample).items() if yes_no.parse(choice) == verdict]
    return meant[0] if verdict and len(meant) == 1 else None


def step_verdicts(text: str, sample: Sample) -> tuple[bool, ...] | None:
    """For each step whether the response calls it wrong; None unless every step has a verdict. The last word counts."""
    count = len(sample.meta["steps"])
    said = {int(number): word.lower() not in _FINE for number, word in VERDICT.findall(text)}
    return tuple(said[i] for i in range(1, count + 1)) if all(i in said for i in range(1, count + 1)) else None


def preference(text: str, sample: Sample) -> str | None:
    """Which of two answers is said to be better, as a letter; None where both are."""
    for pattern in (_JUDGED, _BRACKETS, _BETTER):
        said = {"1": "A", "2": "B"}
        found = {said.get(word.upper(), word.upper()) for word in pattern.findall(text)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def critique(text: str, sample: Sample) -> tuple[bool | None, ...] | None:
    """For each step whether a critique calls it wrong, None for a step it does not judge; None when it says nothing."""
    said = written_critique.parse(text, len(sample.meta["steps"]))
    return None if said.empty else said.steps


EXTRACTORS: dict[str, Extractor] = {
    "stated": lambda text, s: extract(text, choices=s.choices, strict=True),
    "own": lambda text, s: extract(text, choices=s.choices, strict=False),
    "whole": lambda text, s: text.strip() or None,
    "mmmu_choice": _choice(lambda text, s: mmmu.parse_choice(text, _letters(s))),
    "mmmu_open": _free(lambda text, s: mmmu.parse_open(text) or None),
    "mmmu_pro": _choice(lambda text, s: mmmu_pro.parse_choice(text, _letters(s))),
    "m3cot": _choice(lambda text, s: m3cot.parse_choice(text, s.choices)),
    "mathvision": lambda text, s: mathvision.extract(text) or None,
    "mathvista": _mathvista,
    "scienceqa": _choice(_scienceqa),
    "tabmwp": lambda text, s: tabmwp.extract(text, s.choices) or None,
    "visonlyqa": lambda text, s: vis.parse_choice(text, s.choices, several=_several(s)),
    "visonlyqa_own": lambda text, s: vis.parse_own(text, s.choices, several=_several(s)),
    "true_false": _choice(_true_false),
    "yes_no": lambda text, s: yes_no.parse(text),
    "pope": lambda text, s: yes_no.pope(text),
    "step_scores": lambda text, s: critic_scores.verdicts(text, len(s.meta["steps"])),
    "step_verdicts": step_verdicts,
    "critique": critique,
    "pair_scores": lambda text, s: critic_scores.better(text),
    "preference": preference,
}


def _several(sample: Sample) -> bool:
    return sample.meta.get("answer_type") == "multiple_answers"


def shown(read: Read | None) -> str | None:
    """What was read, as text for tables and logs."""
    if read is None or isinstance(read, str):
        return read
    if isinstance(read, tuple):
        return " ".join("?" if said is None else "wrong" if said else "right" for said in read)
    return " | ".join(sorted(str(part) for part in read))
