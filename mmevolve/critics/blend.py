"""Several critics' scores as one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class Blend:
    """Weighted sum of critics' scores, each normalised first if so wished; no score where one of them gave none.

    `normalise` is one of

    - `none`: scores as they are;
    - `group`: (score - mean) / std over the sample's own attempts with a score by that critic (population std; 0 where
      all score the same), as group-normalised policy gradients do with one reward;
    - `fixed`: (score - mean) / std with `means` and `stds`, one a critic, measured once.

    A running mean, or one over a batch, would depend on how attempts are batched; none of these does. With `group`,
    all attempts at a sample must be judged together, as loops do.

    Papers: Wu et al. 2023, "Fine-Grained Human Feedback Gives Better Rewards for Language Model Training",
    arXiv:2306.01693 (a weight a reward; one of them put to mean 0 and std 1 by fixed numbers); the normalisation by
    reward within a question, before the sum, is that of several advantages (SLIM).
    Differs: one number an attempt, not one a segment.

    Attributes:
        critics: at least one.
        weights: one a critic; any sign.
        normalise: as above.
        means: of `fixed`, one a critic.
        stds: of `fixed`, one a critic, above 0.
        name: the column other parts refer to.

    Raises:
        ValueError: when weights, means or stds are not one a critic, or not finite, or a std is not above 0; for means
            or stds without `fixed`.
    """

    critics: Sequence[Critic]
    weights: Sequence[float]
    normalise: Literal["none", "group", "fixed"] = "none"
    means: Sequence[float] = ()
    stds: Sequence[float] = ()
    name: str = "blend"

    def __post_init__(self) -> None:
        fixed = self.normalise == "fixed"
        if not self.critics:
            raise ValueError(f"critic '{self.name}' blends no critics, expected at least one")
        for what, given in (("weights", self.weights), ("means", self.means), ("stds", self.stds)):
            wanted = len(self.critics) if what == "weights" or fixed else 0
            if len(given) != wanted:
                raise ValueError(
                    f"critic '{self.name}', normalise {self.normalise}: {len(given)} {what} for {len(self.critics)} "
                    f"critics, expected {wanted}"
                )
            if not all(math.isfinite(value) and (what != "stds" or value > 0) for value in given):
                kind = "numbers above 0" if what == "stds" else "finite numbers"
                raise ValueError(f"critic '{self.name}': {what} are {list(given)}, expected {kind}")

    @property
    def sees_image(self) -> bool:
        return any(critic.sees_image for critic in self.critics)  # type: ignore[attr-defined]

    @property
    def sees_outcome(self) -> bool:
        return any(critic.sees_outcome for critic in self.critics)  # type: ignore[attr-defined]

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        said = [list(critic(items)) for critic in self.critics]
        terms = [self._normalised(k, [s.id for s, _ in items], own) for k, own in enumerate(said)]
        for i, (_, t) in enumerate(items):
            own = [critiques[i] for critiques in said]
            sees = any(c.sees_image for c in own)
            silent = next((c for c in own if c.score is None), None)
            if silent is not None:
                error = f"critic '{silent.critic}' gives no score: {silent.error}"
                yield Critique(t.id, self.name, None, sees_image=sees, error=error)
                continue
            score = math.fsum(w * term[i] for w, term in zip(self.weights, terms, strict=True))
            parts = ", ".join(f"{c.critic} {c.score:.6g}" for c in own)
            yield Critique(t.id, self.name, score, text=parts, sees_image=sees)

    def _normalised(self, k: int, names: Sequence[str], said: Sequence[Critique]) -> list[float]:
        """The k-th critic's scores, one an item; NaN where it gave none, which is never read."""
        scores = [math.nan if c.score is None else c.score for c in said]
        if self.normalise == "none":
            return scores
        if self.normalise == "fixed":
            return [(score - self.means[k]) / self.stds[k] for score in scores]
        by_sample: dict[str, list[float]] = {}
        for name, score in zip(names, scores, strict=True):
            if not math.isnan(score):
                by_sample.setdefault(name, []).append(score)
        known = {name: spread(own) for name, own in by_sample.items()}
        return [_standard(score, *known.get(name, (0.0, 0.0))) for name, score in zip(names, scores, strict=True)]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation, the same bits in any order; exactly 0 where all values are the same."""
    mean = math.fsum(values) / len(values)
    if min(values) == max(values):
        return mean, 0.0
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def _standard(score: float, mean: float, std: float) -> float:
    return (score - mean) / std if std else 0.0
