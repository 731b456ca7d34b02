"""Whether a critic's scores are the probabilities that they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from mmevolve.config.ranges import Range
from mmevolve.metrics.chains import step_pairs
from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error and Brier score of a critic, over its answers or its steps.

    `overrating_...` is the mean score minus the share that is true. What it grows by from round to round, while the
    critic's scores are trained on, is the Goodhart gap: the judge is pleased more than the truth is served.

    Paper: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, Eq. 3 (ECE); Brier 1950,
    "Verification of forecasts expressed in terms of probability"; Liang et al. 2025, arXiv:2501.08617 (RLHS, the gap).
    Differs: the Brier score is the mean square for one of two outcomes, half of Brier's sum over both.

    Attributes:
        rank_by: the critic under test; its scores must lie in [0, 1].
        truth: the verifier, or for steps the critic that labels them.
        over: attempts, by their scores, or steps, by their step scores.
        bins: equal bins of (0, 1] for the ECE.

    Raises:
        ValueError: when a score is not in [0, 1].
    """

    rank_by: str = "prm"
    truth: str = "answer"
    over: Literal["attempts", "steps"] = "attempts"
    bins: Annotated[int, Range(1)] = 15

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        if self.over == "steps":
            pairs = step_pairs(groups, self.rank_by, self.truth)
        else:
            both = [zip(g.scores(self.rank_by), g.scores(self.truth), strict=True) for g in groups]
            pairs = [(p, t > 0) for scores in both for p, t in scores if p is not None and t is not None]
        odd = next((p for p, _ in pairs if not 0 <= p <= 1), None)
        if odd is not None:
            raise ValueError(f"critic '{self.rank_by}' scores {odd}: calibration is of probabilities, in [0, 1]")
        name = f"{self.rank_by}_{self.over}"
        return {
            f"ece_{name}": expected_calibration_error(pairs, self.bins),
            f"brier_{name}": brier(pairs),
            f"overrating_{name}": mean([p - true for p, true in pairs]),
        }


def expected_calibration_error(pairs: Sequence[tuple[float, bool]], bins: int = 15) -> float:
    """Mean over (probability, outcome) pairs of the gap between share true and mean probability in the pair's bin.

    Bin b of B holds the probabilities in (b/B, (b+1)/B]; the first also holds 0. NaN when there are no pairs.
    """
    held: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    edges = [b / bins for b in range(1, bins)]
    for p, true in pairs:
        held[sum(p > edge for edge in edges)].append((p, true))
    gaps = [abs(mean([t for _, t in b]) - mean([p for p, _ in b])) * len(b) for b in held if b]
    return sum(gaps) / len(pairs) if pairs else float("nan")


def brier(pairs: Sequence[tuple[float, bool]]) -> float:
    """Mean squared distance of probability and outcome; NaN when there are no pairs."""
    return mean([(p - true) ** 2 for p, true in pairs])
