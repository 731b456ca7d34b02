"""Internal consistency: how far a model agrees with itself, in its answers, its probabilities and its layers.

Paper: Liang et al. 2024, "Internal Consistency and Self-Feedback in Large Language Models: A Survey", arXiv:2407.14507:
of expressions Y drawn at one layer, -Var(Y) for numbers and -H(Y) for categories. {4, 3, 3, 3, 4} has -0.24 and -0.971.
Differs: entropies are in bits; at the decoding layer the probabilities themselves are used where the survey draws; the
fourth layer, agreement under changes of the image that change no answer, is ours.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from mmevolve.answers import numbers as reading
from mmevolve.controls.link import pair
from mmevolve.controls.resampling import DEFAULT, Resampling
from mmevolve.controls.said import labels, said
from mmevolve.metrics.reward import auroc
from mmevolve.statistics import Interval
from mmevolve.types import Group, Sample


@dataclass(frozen=True)
class Consistency:
    """Agreement with itself at one layer; 0 is full agreement, and less is less.

    Attributes:
        mean: over samples: minus the entropy in bits, or minus the variance.
        auroc: chance that a sample whose commonest answer is right is the more consistent of two; None where it cannot
            be said.
        samples: the samples, in order.
        values: the consistency of each.
    """

    mean: Interval
    auroc: float | None
    samples: tuple[Sample, ...]
    values: tuple[float, ...]


def negative_entropy(expressions: Sequence[Hashable]) -> float:
    """Minus the entropy of the empirical distribution, in bits; NaN of nothing.

    >>> round(negative_entropy([4, 3, 3, 3, 4]), 3)
    -0.971
    """
    n = len(expressions)
    return 0.0 - _bits([count / n for count in Counter(expressions).values()]) if n else float("nan")


def negative_variance(values: Sequence[float]) -> float:
    """Minus the variance over n, not n - 1; NaN of nothing.

    >>> round(negative_variance([4, 3, 3, 3, 4]), 2)
    -0.24
    """
    if not values:
        return float("nan")
    centre = math.fsum(values) / len(values)
    return 0.0 - math.fsum((v - centre) ** 2 for v in values) / len(values)


def response_consistency(
    groups: Sequence[Group], *, critic: str = "answer", numeric: bool = False, resampling: Resampling = DEFAULT
) -> Consistency:
    """Response layer: agreement of the answers of n sampled attempts.

    Args:
        groups: several sampled attempts a question.
        critic: the verifier, for `auroc`.
        numeric: minus the variance of answers that are numbers; else minus the entropy, in which having no answer is
            one more category.
        resampling: how the interval is drawn.

    Raises:
        ValueError: when a sample has fewer than two attempts, or a numeric answer is no number.
    """
    values = []
    for group in groups:
        if len(group.trajectories) < 2:
            raise ValueError(
                f"sample '{group.sample.id}' has {len(group.trajectories)} attempts: consistency needs two or more"
            )
        if numeric:
            values.append(negative_variance([_number(group.sample, t.answer) for t in group.trajectories]))
        else:
            values.append(negative_entropy(labels([group])[0]))
    return _over(groups, values, critic, resampling)


def decoding_consistency(
    groups: Sequence[Group],
    logprobs: Sequence[Mapping[str, float]] | None = None,
    *,
    critic: str = "answer",
    resampling: Resampling = DEFAULT,
) -> Consistency:
    """Decoding layer: minus the entropy of the model's own probabilities of the answers, normalised over them.

    Args:
        groups: the questions, with attempts.
        logprobs: for each question the natural log-probability of each candidate answer, such as each option; by
            default those of the attempts (`answer_logprobs`).
        critic: the verifier, for `auroc`.
        resampling: how the interval is drawn.

    Raises:
        ValueError: when there is not one mapping a question, or one is empty.
    """
    given = [answer_logprobs(g) for g in groups] if logprobs is None else list(logprobs)
    if len(given) != len(groups):
        raise ValueError(f"log-probabilities of {len(given)} questions for {len(groups)} groups")
    values = []
    for group, of_answer in zip(groups, given, strict=True):
        if not of_answer or any(math.isnan(x) or x == math.inf for x in of_answer.values()):
            raise ValueError(f"sample '{group.sample.id}': log-probabilities of answers {dict(of_answer)}")
        top = max(of_answer.values())
        weights = [math.exp(x - top) for x in of_answer.values()]
        values.append(0.0 - _bits([w / math.fsum(weights) for w in weights]))
    return _over(groups, values, critic, resampling)


def answer_logprobs(group: Group) -> dict[str, float]:
    """Log-probability mass of each answer over the distinct attempts that give it, from their behaviour log-probs.

    An attempt drawn twice counts once. Answers that are equal share their mass, under the label `0`, `1`, ..., or
    `none` for attempts without an answer.

    Raises:
        ValueError: when an attempt has no log-probabilities.
    """
    found: dict[str, list[float]] = {}
    seen: set[Hashable] = set()
    for trajectory, label in zip(group.trajectories, labels([group])[0], strict=True):
        if not trajectory.logprobs:
            raise ValueError(f"trajectory '{trajectory.id}' has no log-probabilities: give those of the answers")
        key = trajectory.token_ids or trajectory.text
        if key not in seen:
            seen.add(key)
            found.setdefault("none" if label is None else str(label), []).append(math.fsum(trajectory.logprobs))
    return {answer: _logsumexp(masses) for answer, masses in found.items()}


def latent_consistency(
    groups: Sequence[Group],
    vectors: Sequence[Sequence[Sequence[float]]],
    *,
    critic: str = "answer",
    resampling: Resampling = DEFAULT,
) -> Consistency:
    """Latent layer: agreement of what single layers, or single attention heads, would answer.

    Args:
        groups: the questions, with attempts.
        vectors: for each question and each expression (a layer, or a head alone) its score of each answer option, of
            which the largest is what it would answer; of equal ones the first.
        critic: the verifier, for `auroc`.
        resampling: how the interval is drawn.

    Raises:
        ValueError: when there is not one list a question, or its vectors do not have one positive length.
    """
    if len(vectors) != len(groups):
        raise ValueError(f"vectors of {len(vectors)} questions for {len(groups)} groups")
    values = []
    for group, expressions in zip(groups, vectors, strict=True):
        lengths = {len(v) for v in expressions}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"sample '{group.sample.id}': vectors of lengths {sorted(lengths)}, expected one length")
        values.append(negative_entropy([max(range(len(v)), key=v.__getitem__) for v in expressions]))
    return _over(groups, values, critic, resampling)


def augmentation_consistency(
    originals: Sequence[Group], variants: Sequence[Group], *, critic: str = "answer", resampling: Resampling = DEFAULT
) -> Consistency:
    """Image layer: agreement of the first answers to a picture and to its augmented variants.

    Raises:
        ValueError: when the groups do not pair.
    """
    pairs = pair(originals, variants)
    values = [negative_entropy([x for first in said(p) for x in first[:1]]) for p in pairs]
    return _over([p.original for p in pairs], values, critic, resampling)


def agreement_with_last(
    groups: Sequence[Group], vectors: Sequence[Sequence[Sequence[float]]], *, resampling: Resampling = DEFAULT
) -> tuple[Interval, Interval]:
    """Share of the layers of the lower and of the upper half that would answer as the last one, mean over samples.

    The last layer itself does not count; the survey finds that agreement rises with depth.

    Args:
        groups: the questions.
        vectors: as for `latent_consistency`, the first layer first; at least three layers.
        resampling: how the intervals are drawn.

    Raises:
        ValueError: when there are fewer than three layers.
    """
    halves: tuple[list[float], list[float]] = ([], [])
    for group, layers in zip(groups, vectors, strict=True):
        picks = [max(range(len(v)), key=v.__getitem__) for v in layers]
        middle = (len(picks) - 1) // 2
        if not middle:
            raise ValueError(f"sample '{group.sample.id}': {len(picks)} layers have no lower and upper half")
        for half, part in zip(halves, (picks[:middle], picks[middle:-1]), strict=True):
            half.append(sum(pick == picks[-1] for pick in part) / len(part))
    samples = [g.sample for g in groups]
    return resampling.share(samples, halves[0]), resampling.share(samples, halves[1])


def higher(upper: Consistency, lower: Consistency, *, resampling: Resampling = DEFAULT) -> Interval:
    """Share of samples that are more consistent at one layer than at another: the survey's hourglass, tested.

    Raises:
        ValueError: when the two are not of the same samples.
    """
    ids = [[s.id for s in part.samples] for part in (upper, lower)]
    if ids[0] != ids[1]:
        raise ValueError(f"two layers of {len(ids[0])} and {len(ids[1])} samples: expected the same ones in one order")
    more = [float(a > b) for a, b in zip(upper.values, lower.values, strict=True)]
    return resampling.share(upper.samples, more)


def _over(groups: Sequence[Group], values: Sequence[float], critic: str, resampling: Resampling) -> Consistency:
    samples = tuple(g.sample for g in groups)
    judged = any(c.critic == critic for g in groups for c in g.critiques)
    ranks = [(v, _commonest_right(g, critic)) for g, v in zip(groups, values, strict=True)] if judged else []
    area = auroc(ranks)
    return Consistency(resampling.mean(samples, values), None if math.isnan(area) else area, samples, tuple(values))


def _commonest_right(group: Group, critic: str) -> bool:
    """Whether the commonest answer is right; of equally common ones the first."""
    given = labels([group])[0]
    common = Counter(x for x in given if x is not None).most_common(1)
    scores = group.scores(critic)
    return bool(common) and (scores[given.index(common[0][0])] or 0.0) > 0


def _number(sample: Sample, answer: str | None) -> float:
    value = None if answer is None else reading.parse(answer)
    if value is None:
        raise ValueError(f"sample '{sample.id}': answer {answer!r} is no number, as numeric consistency needs")
    return float(value)


def _bits(shares: Sequence[float]) -> float:
    return math.fsum(-p * math.log2(p) for p in shares if p > 0)


def _logsumexp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(v - top) for v in values))
