"""Whether a judge still tells answers apart, or gives its highest score to everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Saturation:
    """`saturated_...`: of the scores that a critic gave, the share at the top of its scale.

    Beside it `floored_...`, the share at the bottom, `score_mean_...`, and `score_levels_...`, how many different
    scores a sample's attempts have, mean over samples with a score. For `schedules.Watch`, as a bound or a rise.

    Paper: Self-Rationalization, arXiv:2410.05495: its scores drift to the maximum as rounds go on, says the review of
    it; the monitor is ours.

    Attributes:
        critic: whose scores are read.
        low: lowest score of its scale.
        high: highest.

    Raises:
        ValueError: when a score is not on the scale.
    """

    critic: str = "given"
    low: float = 0.0
    high: float = 1.0

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        each = [[s for s in g.scores(self.critic) if s is not None] for g in groups if g.trajectories]
        scores = [s for own in each for s in own]
        odd = next((s for s in scores if not self.low <= s <= self.high), None)
        if odd is not None:
            raise ValueError(f"saturation: critic '{self.critic}' scores {odd}, expected {self.low:g} to {self.high:g}")
        numbers = {
            "saturated": mean([s == self.high for s in scores]),
            "floored": mean([s == self.low for s in scores]),
            "score_mean": mean(scores),
            "score_levels": mean([len(set(own)) for own in each if own]),
        }
        return {f"{name}_{self.critic}": value for name, value in numbers.items()}
