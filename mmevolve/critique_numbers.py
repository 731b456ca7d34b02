"""What `mmevolve critique` counts: verdicts against what is known, and against the same critic without the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from mmevolve.controls.grounding import grounding
from mmevolve.controls.resampling import Resampling
from mmevolve.metrics.reward import StepAUROC, auroc
from mmevolve.metrics.visco import VISCO, Judged, answer_f1
from mmevolve.types import Critique, Group

SKILL = "critic_superskill"  # VISCO's column: reasoning or perception
DRAWS = 2_000  # resamples of an interval; their memory grows with the attempts


def measured(groups: Sequence[Group], name: str, threshold: float = 0.5) -> dict[str, float]:
    """All numbers that the labels allow; wrong is the positive class of every F1.

    `auroc` is of answers: the chance that a right one scores above a wrong one. A critique without a score is neither a
    hit nor an alarm, and has no rank.
    """
    said = {t: c for g in groups for t, c in g.by(name).items()}
    numbers = {
        "attempts": float(sum(len(g.trajectories) for g in groups)),
        "judged": float(sum(c.score is not None for c in said.values())),
    }
    known = [(said[t], c.score > 0) for g in groups for t, c in g.by("answer").items() if c.score is not None]
    if known:
        pairs = [Judged(not right, _wrong(c.score, threshold), (), (), ()) for c, right in known]
        numbers["wrong_answers"] = float(sum(not right for _, right in known))
        numbers["labelled_answers"] = float(len(known))
        numbers[f"answer_f1_{name}"] = answer_f1(pairs)
        numbers[f"auroc_{name}"] = auroc([(c.score, right) for c, right in known if c.score is not None])
    labelled = [g for g in groups if any(c.step_scores for c in g.by("oracle").values())]
    if labelled:
        by = (SKILL,) if all(SKILL in g.sample.meta for g in labelled) else ()
        visco = VISCO(name, threshold=threshold, by=by)(labelled)
        silent = visco[f"unsaid_steps_{name}"] == 1  # a critic of whole answers has no F1 of steps, not one of 0
        numbers |= {k: v for k, v in visco.items() if k not in numbers and (not silent or k.startswith("unsaid"))}
        if any(c.step_scores for c in said.values()):
            numbers |= StepAUROC(name)(labelled)
    return numbers


def grounded(
    groups: Sequence[Group], apart: Mapping[str, Sequence[Critique]], name: str, threshold: float = 0.5
) -> dict[str, float]:
    """Of each control the share of verdicts it turns, and how much worse answers are ranked under it.

    `<control>/turned` is the share of attempts of which the verdict on the answer, or on any step, is another one;
    `<control>/drop` the AUROC with the picture less that without, with its interval; `grounded` is 1 when a drop's
    whole interval is above 0, 0 when no control turns any verdict, and NaN between the two.
    """
    numbers: dict[str, float] = {}
    said = {t: c for g in groups for t, c in g.by(name).items()}
    sure = False
    for control, critiques in apart.items():
        turned = [
            _verdicts(said[c.trajectory_id], threshold) != _verdicts(c, threshold)
            for c in critiques
            if c.trajectory_id in said
        ]
        numbers[f"{control}/turned"] = sum(turned) / len(turned) if turned else math.nan
        try:
            found = grounding(groups, critiques, rank_by=name, resampling=Resampling(draws=DRAWS))
        except (KeyError, ValueError):  # no answer is labelled: verdicts are all there is
            continue
        drop = found.drop
        numbers |= {f"{control}/auroc": found.control, f"{control}/drop": drop.mean}
        numbers |= {f"{control}/drop_low": drop.low, f"{control}/drop_high": drop.high}
        sure = sure or found.uses_image
    if apart:
        still = all(numbers[f"{control}/turned"] == 0 for control in apart)
        numbers["grounded"] = 0.0 if still else 1.0 if sure else math.nan
    return numbers


def lines(numbers: Mapping[str, float], name: str, controls: Sequence[str]) -> Iterator[str]:
    """The numbers of one place, for a terminal."""
    unread = numbers["attempts"] - numbers["judged"]
    yield f"  {numbers['attempts']:,.0f} answers" + (f", {unread:,.0f} of them without a score" if unread else "")
    if "labelled_answers" in numbers:
        wrong = f"({numbers['wrong_answers']:,.0f} of {numbers['labelled_answers']:,.0f} are wrong)"
        yield f"  answers       F1 {_n(numbers, f'answer_f1_{name}')}   AUROC {_n(numbers, f'auroc_{name}')}   {wrong}"
    else:
        yield "  answers       no label says which are wrong"
    if f"step_f1_{name}" in numbers:
        yield f"  steps         F1 {_n(numbers, f'step_f1_{name}')}   AUROC {_n(numbers, f'step_auroc_{name}')}"
        score = f"VISCore-local {_n(numbers, f'viscore_local_{name}')}"
        yield f"  explanations  F1 {_n(numbers, f'explanation_f1_{name}')}   {score}"
    elif f"unsaid_steps_{name}" in numbers:
        yield "  steps         it says nothing of them"
    parts = [key.removeprefix(f"step_f1_{name}_") for key in numbers if key.startswith(f"step_f1_{name}_")]
    for part in parts:
        f1s = (_n(numbers, f"{kind}_f1_{name}_{part}") for kind in ("answer", "step", "explanation"))
        yield f"  {part:<13} F1 of answers, steps, explanations: {', '.join(f1s)}"
    for control in controls:
        turned = f"{_n(numbers, f'{control}/turned')} of the verdicts turn"
        ends = f"({_n(numbers, f'{control}/drop_low')} to {_n(numbers, f'{control}/drop_high')})"
        drop = f"AUROC {_n(numbers, f'{control}/auroc')}, a drop of {_n(numbers, f'{control}/drop')} {ends}"
        yield f"  {control:<13} {turned}" + (f"; {drop}" if f"{control}/auroc" in numbers else "")
    if "grounded" in numbers:
        yield {
            0.0: "  not grounded: no verdict depends on the picture",
            1.0: "  grounded: it ranks answers better with their picture",
        }.get(
            numbers["grounded"],
            "  not shown to be grounded: verdicts turn, and no better with their picture",
        )


def _verdicts(critique: Critique, threshold: float) -> tuple[bool | None, ...]:
    return (_wrong(critique.score, threshold), *(score < threshold for score in critique.step_scores))


def _wrong(score: float | None, threshold: float) -> bool | None:
    return None if score is None else score < threshold


def _n(numbers: Mapping[str, float], key: str) -> str:
    value = numbers.get(key, math.nan)
    return "-" if math.isnan(value) else f"{value:.3f}"
