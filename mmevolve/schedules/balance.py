"""The balance of exploring and exploiting: temperature and reward threshold chosen together, each round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mmevolve.config.ranges import Range
from mmevolve.protocols import RoundState
from mmevolve.schedules.grid import attempts, grid, tried
from mmevolve.schedules.knobs import SELECTOR
from mmevolve.types import Group


@dataclass(frozen=True)
class Balance:
    """The temperature and the threshold with the highest mean balance score on the probe's samples.

    Of a query's attempts those with a reward above the threshold are selected. Its score is
    bs = min(n' / n*, 1) * n' / n, n selected, n' distinct right texts among them, n* = ceil(N / M) the wanted number;
    0 where nothing is selected. Every temperature is drawn once; the thresholds are tried on the same draws. Of
    settings with the same score, the temperature nearest to the present is taken, then the lower, then the lowest
    threshold. The row holds the score of every setting tried (`tried/...`), of the chosen one
    (`chosen/balance`), and the share of the queries for which it selects nothing (`chosen/balance_empty`).

    Paper: B-STaR, arXiv:2412.17256 (query effect, n*, the mean over all queries; 600 queries; maths t 0.5 to 1.2, tau
    -1 to 1, N 67,500, M 11,500). The reward is r = 1[answer] + r_prm, which `critics.AnswerPlusStep` gives.
    Differs: the reference code fixes n* at 8 (`wanted: 8`), scores PRM / 5, adds the gold solution and takes the mean
    over the queries with survivors only; here it is as in the paper. Equal texts of right attempts are one.

    Attributes:
        budget: N, training rows wanted a round.
        queries: M, queries of a round.
        wanted: n* itself, instead of N and M.
        rank_by: the critic whose score is the reward.
        require: the verifier that says which attempts are right.
        low: lowest temperature.
        high: highest temperature.
        step: between temperatures.
        low_threshold: lowest threshold.
        high_threshold: highest threshold.
        step_threshold: between thresholds.
        every: rounds between two tunings; the first round is tuned.
        field: the selector's field that is the threshold.
        nothing: what to do when no setting selects anything that is right: stop the run, or stay with the present
            settings and note a balance of 0.

    Raises:
        ValueError: when neither n* nor both of N and M are given, for an empty grid, a probe without samples, or, with
            `nothing: stop`, when no setting selects anything that is right.
    """

    budget: Annotated[int, Range(1)] | None = None
    queries: Annotated[int, Range(1)] | None = None
    wanted: Annotated[int, Range(1)] | None = None
    rank_by: str = "reward"
    require: str = "answer"
    low: Annotated[float, Range(0.0)] = 0.5
    high: Annotated[float, Range(0.0)] = 1.2
    step: Annotated[float, Range(0.0)] = 0.1
    low_threshold: float = -1.0
    high_threshold: float = 1.0
    step_threshold: Annotated[float, Range(0.0)] = 0.1
    every: Annotated[int, Range(1)] = 1
    field: str = "above"
    nothing: Literal["stop", "stay"] = "stop"

    def __post_init__(self) -> None:
        self.target  # noqa: B018  (its complaint comes when the part is made)

    def __call__(self, state: RoundState) -> dict[str, Any]:
        present = state.probe.sampler.temperature
        if state.round % self.every:
            return {"temperature": present}  # the selector keeps its threshold, as the sampler does its temperature
        found: dict[tuple[float, float], float] = {}
        empty: dict[tuple[float, float], float] = {}
        cost = 0
        for temperature in grid(self.low, self.high, self.step):
            groups = tried(state.probe, temperature=temperature)
            cost += attempts(groups)
            judged = [judge(g, self.rank_by, self.require) for g in groups]
            for threshold in grid(self.low_threshold, self.high_threshold, self.step_threshold):
                counts = [select(rows, threshold) for rows in judged]
                found[temperature, threshold] = sum(balance_score(*c, self.target) for c in counts) / len(counts)
                empty[temperature, threshold] = sum(n == 0 for n, _ in counts) / len(counts)
        best = max(found, key=lambda s: (found[s], -abs(s[0] - present), -s[0], -s[1]))
        if not found[best] and self.nothing == "stop":
            raise ValueError(
                f"no temperature from {self.low} to {self.high} and no threshold from {self.low_threshold} to "
                f"{self.high_threshold} on '{self.rank_by}' selects an attempt that '{self.require}' passes: lower "
                "the thresholds, sample more, or start from a stronger policy"
            )
        chosen = {"temperature": best[0], f"{SELECTOR}{self.field}": best[1]}
        return {
            **(chosen if found[best] else {"temperature": present}),
            "chosen/balance": found[best],
            "chosen/balance_empty": empty[best],
            **{f"tried/temperature={t:g},{self.field}={a:g}": s for (t, a), s in found.items()},
            "tried/attempts": cost,
        }

    @property
    def target(self) -> int:
        """n*: the number of distinct right attempts that is wanted a query."""
        if self.wanted is not None:
            return self.wanted
        if not self.budget or not self.queries:
            raise ValueError(
                f"balance needs a label budget and a number of queries above 0 to set n* = ceil(N / M): got budget "
                f"{self.budget} and queries {self.queries}; or give n* as `wanted`"
            )
        return math.ceil(self.budget / self.queries)


Judged = tuple[float, bool, str]


def balance_score(selected: int, right: int, wanted: int) -> float:
    """Balance score of one query, min(right / wanted, 1) * right / selected; 0 when nothing is selected.

    Paper: B-STaR, arXiv:2412.17256.
    """
    return min(right / wanted, 1.0) * right / selected if selected else 0.0


def judge(group: Group, rank_by: str, require: str) -> list[Judged]:
    """(reward, is right, text) of the attempts that have a reward."""
    scores = zip(group.trajectories, group.scores(rank_by), group.scores(require), strict=True)
    return [(reward, right is not None and right > 0, t.text) for t, reward, right in scores if reward is not None]


def select(rows: Sequence[Judged], threshold: float) -> tuple[int, int]:
    """How many attempts have a reward above the threshold, and how many distinct right texts are among them."""
    kept = [(right, text) for reward, right, text in rows if reward > threshold]
    return len(kept), len({text for right, text in kept if right})
