"""From verdicts to benchmark numbers, where that is more than a mean.

Papers: Zou et al. 2024, "DynaMath", arXiv:2411.00836 (average and worst case); Chen et al. 2024, "Are We on the Right
Way for Evaluating Large Vision-Language Models?", arXiv:2403.20330 (gain, leakage); Liu et al. 2023, "MMBench",
arXiv:2307.06281 (circular); Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models",
arXiv:2305.10355 (POPE).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class VariantAccuracy:
    """Accuracy over variants of seed questions.

    Attributes:
        average: mean verdict over all variants.
        worst: share of seeds with every variant right.
        best: share of seeds with some variant right.
        seeds: number of seeds.
    """

    average: float
    worst: float
    best: float
    seeds: int


@dataclass(frozen=True)
class Detection:
    """Yes/no results, `yes` being the positive class; a prediction that is neither is wrong, and no yes or no.

    Attributes:
        accuracy: share of right answers over all.
        precision: share of said yes that is right; None when nothing was said yes to.
        recall: share of true yes that was said; None when nothing is yes.
        f1: harmonic mean of the two; None when either is.
        yes_rate: share of `yes` among the predictions.
        unparsed: share of predictions that are neither.
    """

    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    yes_rate: float
    unparsed: float


def over_variants(verdicts: Sequence[bool], seeds: Sequence[Hashable]) -> VariantAccuracy:
    """Average-case, worst-case and best-case accuracy.

    Raises:
        ValueError: when there are no verdicts, or not one seed a verdict.
    """
    groups = _groups(verdicts, seeds)
    return VariantAccuracy(
        average=sum(verdicts) / len(verdicts),
        worst=sum(all(group) for group in groups.values()) / len(groups),
        best=sum(any(group) for group in groups.values()) / len(groups),
        seeds=len(groups),
    )


def circular_accuracy(verdicts: Sequence[bool], questions: Sequence[Hashable]) -> float:
    """Share of questions that are right in every rotation of their options."""
    return over_variants(verdicts, questions).worst


def multimodal_gain(with_image: float, without_image: float) -> float:
    """MG: what the image adds to the score."""
    return with_image - without_image


def multimodal_leakage(without_image: float, language_base: float) -> float:
    """ML: what the model knows without the image beyond its language model; never negative."""
    return max(0.0, without_image - language_base)


def detection(predictions: Sequence[str | None], references: Sequence[str]) -> Detection:
    """Accuracy, precision, recall, F1 and yes rate of yes/no answers.

    Raises:
        ValueError: when there are no predictions, lengths differ, or a reference is neither yes nor no.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    odd = sorted(set(references) - {"yes", "no"})
    if odd:
        raise ValueError(f"references must be yes or no, got {odd[:5]}")
    pairs = list(zip(predictions, references, strict=True))
    hit = sum(p == "yes" == r for p, r in pairs)
    said = sum(p == "yes" for p, _ in pairs)
    true = sum(r == "yes" for _, r in pairs)
    precision = hit / said if said else None
    recall = hit / true if true else None
    f1 = None
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall) if hit else 0.0
    return Detection(
        accuracy=sum(p == r for p, r in pairs) / len(pairs),
        precision=precision,
        recall=recall,
        f1=f1,
        yes_rate=said / len(pairs),
        unparsed=sum(p not in ("yes", "no") for p, _ in pairs) / len(pairs),
    )


def _groups(verdicts: Sequence[bool], seeds: Sequence[Hashable]) -> dict[Hashable, list[bool]]:
    if not verdicts or len(verdicts) != len(seeds):
        raise ValueError(f"{len(verdicts)} verdicts for {len(seeds)} seeds")
    groups: dict[Hashable, list[bool]] = {}
    for verdict, seed in zip(verdicts, seeds, strict=True):
        groups.setdefault(seed, []).append(bool(verdict))
    return groups
