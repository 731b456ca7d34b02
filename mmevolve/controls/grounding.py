"""Grounding controls of critics: does a judge that is shown the picture use it, and does its critique say anything?

Papers: methods of the kind are due to Stechly et al. 2023, arXiv:2310.12397 (feedback against none); the shuffled
critique is its control with the form of a critique and another sample's content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmevolve.controls.derange import derangement
from mmevolve.controls.link import original_of
from mmevolve.controls.resampling import DEFAULT, Resampling
from mmevolve.metrics.reward import auroc
from mmevolve.statistics import Interval
from mmevolve.types import Critique, Group, Sample, Trajectory

Items = list[tuple[Sample, Trajectory]]


@dataclass(frozen=True)
class Grounding:
    """A critic's scores of the same attempts with the picture and under a control that takes it away.

    Attributes:
        auroc: chance that it ranks a right attempt above a wrong one, with the picture.
        control: the same under the control.
        drop: auroc minus control, with the interval of a bootstrap over samples; without ends where there is one
            cluster, or too many resamples hold one class only.
        moved: share of attempts whose score the control changes.
        declares: whether the critic says that it sees the image.
        n: attempts with both scores and a verdict.
        unjudged: attempts that lack one.
    """

    auroc: float
    control: float
    drop: Interval
    moved: float
    declares: bool
    n: int
    unjudged: int

    @property
    def uses_image(self) -> bool:
        """Whether it ranks better with the picture beyond doubt: the whole interval of the drop is above 0."""
        return self.drop.low > 0

    @property
    def complaint(self) -> str | None:
        """What does not fit with what the critic declares; None when all does."""
        if self.declares and self.moved == 0:
            return "it declares that it sees the image, and no score depends on it"
        if not self.declares and self.moved > 0:
            return f"it declares that it does not see the image, and {self.moved:.0%} of its scores depend on it"
        if self.declares and not self.uses_image:
            return "it is shown the image, and is not shown to rank better for it"
        return None


def under(groups: Sequence[Group], control: Callable[[Sequence[Sample]], Sequence[Sample]]) -> Items:
    """What to show a critic: each attempt beside its sample's variant, in order; samples without one are left out.

    Args:
        groups: attempts at the originals.
        control: `grey`, `swapped` or another one with a single variant a sample.

    Raises:
        ValueError: when the control gives two variants of one sample.
    """
    made: dict[str, Sample] = {}
    for sample in control([g.sample for g in groups]):
        origin = original_of(sample)
        if origin in made:
            raise ValueError(f"sample '{origin}' has two variants: a critic is shown one picture in place of another")
        made[origin] = sample
    return [(made[g.sample.id], t) for g in groups if g.sample.id in made for t in g.trajectories]


def shuffled_critiques(groups: Sequence[Group], critic: str, *, seed: int = 0) -> list[Critique]:
    """A critic's critiques dealt out to attempts at other samples: the form of a critique without its content.

    Every critique is used once. Step scores stay where the attempt has as many steps, and are empty elsewhere.

    Raises:
        ValueError: when one sample has more than half of the critiques, so that there is no such deal.
    """
    own = [(g.sample.id, t, g.by(critic)[t.id]) for g in groups for t in g.trajectories if t.id in g.by(critic)]
    donors = derangement([t.id for _, t, _ in own], [sample for sample, _, _ in own], seed)
    if not donors:
        raise ValueError(f"{len(own)} critiques by '{critic}': no deal gives each attempt one from another sample")
    dealt = []
    for (_, trajectory, _), donor in zip(own, donors, strict=True):
        critique = own[donor][2]
        steps = critique.step_scores if len(critique.step_scores) == len(trajectory.steps) else ()
        dealt.append(replace(critique, trajectory_id=trajectory.id, step_scores=steps))
    return dealt


def grounding(
    groups: Sequence[Group],
    under_control: Sequence[Critique],
    *,
    rank_by: str,
    truth: str = "answer",
    resampling: Resampling = DEFAULT,
) -> Grounding:
    """Whether a critic's ranking of right over wrong attempts lives on the picture.

    Args:
        groups: attempts judged by the critic with the picture, and by the verifier.
        under_control: the same critic's critiques of `under(groups, control)`, or dealt by `shuffled_critiques`.
        rank_by: the critic.
        truth: the verifier.
        resampling: of the drop's interval; its seed is that of the resamples.

    Raises:
        KeyError: when the critic or the verifier said nothing about a sample.
        ValueError: when no attempt has both scores and a verdict.
    """
    other = {c.trajectory_id: c.score for c in under_control if c.critic == rank_by}
    rows: list[tuple[Sample, float, float, bool]] = []
    total = 0
    for group in groups:
        both = zip(group.trajectories, group.scores(rank_by), group.scores(truth), strict=True)
        for t, score, right in both:
            total += 1
            control = other.get(t.id)
            if score is not None and control is not None and right is not None:
                rows.append((group.sample, score, control, right > 0))
    if not rows:
        raise ValueError(f"{total} attempts, none with a score by '{rank_by}' with and without the control")
    right = np.array([r for *_, r in rows])
    seen, blind = np.array([s for _, s, _, _ in rows]), np.array([c for _, _, c, _ in rows])
    weights = _weights([resampling.cluster(s) for s, *_ in rows], resampling)
    drops = _aurocs(seen, right, weights) - _aurocs(blind, right, weights)
    tail = (1 - resampling.level) / 2
    low, high = -np.inf, np.inf
    # a resample of one class has no AUROC; where many have none, the rest are no fair picture
    if np.isnan(drops).mean() <= 0.05 and (weights != weights[0]).any():
        low, high = np.nanquantile(drops, [tail, 1 - tail])
    plain = auroc(list(zip(seen.tolist(), right.tolist(), strict=True)))
    control_auroc = auroc(list(zip(blind.tolist(), right.tolist(), strict=True)))
    return Grounding(
        plain,
        control_auroc,
        Interval(plain - control_auroc, float(low), float(high), len(rows)),
        float((seen != blind).mean()),
        any(c.sees_image for g in groups for c in g.by(rank_by).values()),
        len(rows),
        total - len(rows),
    )


def _weights(clusters: Sequence[object], resampling: Resampling) -> np.ndarray:
    """How often each row is in each resample of whole clusters, (draws, rows)."""
    order: dict[object, int] = {}
    index = np.array([order.setdefault(c, len(order)) for c in clusters])
    generator = np.random.default_rng(resampling.seed)
    drawn = generator.multinomial(len(order), np.full(len(order), 1 / len(order)), size=resampling.draws)
    return drawn[:, index]


def _aurocs(scores: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC of each resample, ties at half; NaN where a class is missing."""
    levels, level = np.unique(scores, return_inverse=True)
    found = np.empty(len(weights))
    for i, row in enumerate(weights):
        good = np.bincount(level, weights=row * right, minlength=len(levels))
        bad = np.bincount(level, weights=row * ~right, minlength=len(levels))
        pairs = good.sum() * bad.sum()
        below = np.cumsum(bad) - bad
        found[i] = (good * (below + bad / 2)).sum() / pairs if pairs else np.nan
    return found
