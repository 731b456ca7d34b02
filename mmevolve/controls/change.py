"""What a control does to a number of each sample: with the picture and without, asked plainly and in another order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmevolve.answers.aggregate import multimodal_leakage
from mmevolve.answers.refusal import declines
from mmevolve.controls.link import Pair, pair
from mmevolve.controls.resampling import DEFAULT, Resampling
from mmevolve.metrics.accuracy import share_right
from mmevolve.metrics.mean import mean
from mmevolve.statistics import Interval
from mmevolve.types import Group


@dataclass(frozen=True)
class Change:
    """A number of the originals and of their variants.

    Attributes:
        original: mean over the originals that have variants.
        variant: mean over the same samples of the mean over their variants.
        difference: variant minus original, paired.
        left_out: originals without a variant.
    """

    original: Interval
    variant: Interval
    difference: Interval
    left_out: int


@dataclass(frozen=True)
class BlindGap:
    """Accuracy with the picture and without it.

    Attributes:
        seeing: accuracy on the originals that have variants.
        blind: accuracy on the variants: the share right without seeing.
        gain: seeing minus blind, paired: the multi-modal gain (MG) where the control is `no_image`.
        leakage: multi-modal leakage (ML), `blind` beyond the text model's accuracy; None when that was not given.
        also_blind: of what is right with the picture, the share that is right without it too; None when nothing is.
        constant: share of samples whose reference answer is the commonest: what always saying it would get.
        left_out: originals without a variant.
    """

    seeing: Interval
    blind: Interval
    gain: Interval
    leakage: float | None
    also_blind: float | None
    constant: float
    left_out: int

    @property
    def looks(self) -> bool:
        """Whether the picture helps beyond doubt: the whole interval of the gain is above 0."""
        return self.gain.low > 0


@dataclass(frozen=True)
class Refusals:
    """How often attempts give no answer.

    Attributes:
        declined: share of attempts that say that they cannot answer, mean over samples.
        unanswered: share of attempts without an extractable answer: the refusal rate of TRAIT.
    """

    declined: Interval
    unanswered: Interval


def change(
    originals: Sequence[Group],
    variants: Sequence[Group],
    value: Callable[[Group], float],
    *,
    resampling: Resampling = DEFAULT,
) -> Change:
    """A number of each group, compared between originals and variants.

    Args:
        originals: groups of the originals.
        variants: groups of their variants.
        value: the number; groups of several attempts give one number too.
        resampling: how the intervals are drawn.

    Raises:
        ValueError: when the groups do not pair.
    """
    pairs = pair(originals, variants)
    samples, before, after = [p.sample for p in pairs], [value(p.original) for p in pairs], _after(pairs, value)
    return Change(
        resampling.share(samples, before),
        resampling.share(samples, after),
        resampling.shift(samples, before, after),
        len(originals) - len(pairs),
    )


def blind_gap(
    originals: Sequence[Group],
    variants: Sequence[Group],
    *,
    critic: str = "answer",
    text_model: float | None = None,
    resampling: Resampling = DEFAULT,
) -> BlindGap:
    """What the picture adds: accuracy on the originals minus accuracy on variants whose picture says nothing.

    Paper: Chen et al. 2024, arXiv:2403.20330 (MG, ML).

    Args:
        originals: judged groups with the picture.
        variants: judged groups of `no_image`, `grey`, `swapped` or `permuted` variants.
        critic: the verifier.
        text_model: accuracy of the language model that the VLM was built from, for ML.
        resampling: how the intervals are drawn.

    Raises:
        ValueError: when the groups do not pair.
    """
    pairs = pair(originals, variants)

    def right(group: Group) -> float:
        return share_right(group, critic)

    samples = [p.sample for p in pairs]
    seeing, blind = [right(p.original) for p in pairs], _after(pairs, right)
    without = resampling.share(samples, blind)
    answers = Counter(s.answer for s in samples if s.answer is not None)
    return BlindGap(
        seeing=resampling.share(samples, seeing),
        blind=without,
        gain=resampling.shift(samples, blind, seeing),
        leakage=None if text_model is None else multimodal_leakage(without.mean, text_model),
        also_blind=sum(s * b for s, b in zip(seeing, blind, strict=True)) / sum(seeing) if any(seeing) else None,
        constant=max(answers.values(), default=0) / len(samples),
        left_out=len(originals) - len(pairs),
    )


def refusals(groups: Sequence[Group], *, resampling: Resampling = DEFAULT) -> Refusals:
    """Refusal rate of one set of groups; for what a control does to it, `change(..., declined)`.

    Raises:
        ValueError: when there are no groups.
    """
    samples = [g.sample for g in groups]
    return Refusals(
        resampling.share(samples, [declined(g) for g in groups]),
        resampling.share(samples, [unanswered(g) for g in groups]),
    )


def declined(group: Group) -> float:
    """Share of a sample's attempts that say that they cannot answer."""
    return sum(declines(t.text) for t in group.trajectories) / max(1, len(group.trajectories))


def unanswered(group: Group) -> float:
    """Share of a sample's attempts without an extractable answer."""
    return sum(t.answer is None for t in group.trajectories) / max(1, len(group.trajectories))


def _after(pairs: Sequence[Pair], value: Callable[[Group], float]) -> list[float]:
    return [mean([value(v) for v in p.variants]) for p in pairs]
