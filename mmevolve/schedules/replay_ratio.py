"""How often fresh data are trained on: once at first, more often when the learner has become steady."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.protocols import RoundState
from mmevolve.schedules.knobs import TRAIN


@dataclass(frozen=True)
class ReplayRatio:
    """A low number of passes over a round's rows until a monitor stands still, then a high one for good.

    Every `every` rounds the monitor is compared with what it was `every` rounds before; the first time that it changed
    by at most `tolerance` the number goes up, and never back. A monitor that was not measured, or is no number, has not
    stood still.

    Paper: Ma et al. 2024, "Revisiting Plasticity in Visual Reinforcement Learning", arXiv:2310.07418 (adaptive replay
    ratio: doubled once the critic's fraction of active units changes by at most 0.001).
    Differs: theirs is reinforcement learning on pixels with updates per environment step; here it is passes over the
    rows of a round, and any metric of the loop may be the monitor.

    Attributes:
        monitor: name of a number of the loop's metrics.
        low: passes at first.
        high: passes from then on.
        tolerance: the change that counts as standing still.
        every: rounds between two looks.
        field: the training's field; `steps` where a fixed number of batches is trained.

    Raises:
        ValueError: when no finished round has such a number, naming those there are.
    """

    monitor: str
    low: Annotated[int, Range(1)] = 1
    high: Annotated[int, Range(1)] = 2
    tolerance: Annotated[float, Range(0.0)] = 0.001
    every: Annotated[int, Range(1)] = 1
    field: str = "epochs"

    def __call__(self, state: RoundState) -> dict[str, Any]:
        rounds = state.history[1:]  # the first is what was measured before any round
        if rounds and not any(self.monitor in numbers for numbers in rounds):
            known = sorted({name for numbers in rounds for name in numbers})
            raise ValueError(
                f"no round has measured '{self.monitor}', which the replay ratio hangs on: there is {known}"
            )
        looks = [numbers.get(self.monitor, math.nan) for numbers in rounds[self.every - 1 :: self.every]]
        changes = [abs(b - a) for a, b in pairwise(looks)]
        steady = any(change <= self.tolerance for change in changes)
        return {f"{TRAIN}{self.field}": self.high if steady else self.low}
