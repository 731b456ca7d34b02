"""The temperature controller: every few rounds, the temperature that serves best on held-out samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from mmevolve.config.ranges import Range
from mmevolve.protocols import Metric, RoundState
from mmevolve.schedules.grid import attempts, grid, tried


@dataclass(frozen=True)
class Temperature:
    """Every `every` rounds, the temperature of a grid with the highest objective on the probe's samples.

    Between tunings the temperature stays. Of several with the same objective the one nearest to the present is taken,
    then the lower; so the temperature does not move without a reason. The row also holds the objective at every
    temperature tried (`tried/temperature=...`), that of the chosen one (`chosen/...`) and the attempts it took.

    Paper: M-STaR, arXiv:2412.17451 (automatic temperature): 0.3 to 1.6 by 0.1 every two rounds, highest Reward-Pass@2
    on 250 validation samples. Tuning on Pass@K is its control: `objective: {_target_: metrics.PassAtK, k: 16}`.
    Differs: how the paper breaks ties is not published.

    Attributes:
        objective: a metric that gives one number, such as `metrics.RewardPassAtK` with k 2; higher is better.
        low: lowest temperature of the grid.
        high: highest.
        step: between neighbours.
        every: rounds between two tunings; the first round is tuned.
        field: the sampler's field; another knob than the temperature is tuned just so.

    Raises:
        ValueError: for an empty grid, a probe without samples, or an objective that gives several numbers or none.
    """

    objective: Metric
    low: Annotated[float, Range(0.0)] = 0.3
    high: Annotated[float, Range(0.0)] = 1.6
    step: Annotated[float, Range(0.0)] = 0.1
    every: Annotated[int, Range(1)] = 2
    field: str = "temperature"

    def __call__(self, state: RoundState) -> dict[str, Any]:
        present = getattr(state.probe.sampler, self.field)
        if state.round % self.every:
            return {self.field: present}
        worth: dict[float, float] = {}
        cost, name = 0, ""
        for value in grid(self.low, self.high, self.step):
            groups = tried(state.probe, **{self.field: value})
            cost += attempts(groups)
            name, worth[value] = self._worth(groups)
        best = max(worth, key=lambda v: (worth[v], -abs(v - present), -v))
        return {
            self.field: best,
            f"chosen/{name}": worth[best],
            **{f"tried/{self.field}={v:g}": w for v, w in worth.items()},
            "tried/attempts": cost,
        }

    def _worth(self, groups: Any) -> tuple[str, float]:
        numbers = self.objective(groups)
        if len(numbers) != 1:
            raise ValueError(
                f"the objective {type(self.objective).__name__} gives {sorted(numbers)}: expected one number to "
                "choose by, as metrics.RewardPassAtK gives"
            )
        ((name, value),) = numbers.items()
        if math.isnan(value):
            raise ValueError(f"the objective '{name}' is not a number on the probe's samples: there is nothing to rank")
        return name, value
