"""Monitors: what a loop's numbers mean when they go wrong, and what is done then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mmevolve.config.nearest import hint
from mmevolve.config.ranges import Range
from mmevolve.keys import without_defaults

Action = Literal["warn", "pause", "roll back"]
Meaning = Literal["exploration", "exploitation", "honesty", "collapse", "plasticity", "grounding", "leak", "staleness"]
Rounds = Mapping[int, Mapping[str, float]]
BEFORE = -1  # what was measured before the first round stands under this number
MEANS: dict[str, str] = {
    "exploration": "the policy tries less than it did; what it does not try it cannot learn from",
    "exploitation": "the reward finds fewer of the right attempts that are there",
    "honesty": "the reward is served more than the truth",
    "collapse": "the attempts grow, shrink or repeat each other",
    "plasticity": "the network learns new things less easily",
    "grounding": "what is learned needs the picture less and less",
    "leak": "the prompts that are trained on say the answer",
    "staleness": "the weights that are used are not those that were trained",
}


@dataclass(frozen=True)
class Alarm:
    """What a monitor says of a round.

    Attributes:
        monitor: its meaning.
        action: what is to be done: `warn` says so, `pause` stops the run until its command is given again, `roll back`
            puts the learner back to what it was.
        why: one sentence with the numbers.
        to: the round whose learner comes back, -1 for the loop's start.
    """

    monitor: str
    action: Action
    why: str
    to: int


Monitor = Callable[[Rounds], Alarm | None]  # measured numbers by round, the present one last


def undone(alarms: Mapping[int, Iterable[Mapping[str, Any]]]) -> tuple[int, ...]:
    """Rounds that monitors undid, from what they said of each round, as the store keeps it."""
    found: set[int] = set()
    for round, said in alarms.items():
        back = [int(alarm["to"]) for alarm in said if alarm["action"] == "roll back"]
        found |= {*range(min(back) + 1, round + 1)} if back else set()
    return tuple(sorted(found))


@dataclass(frozen=True)
class Watch:
    """Sounds when a number falls or rises too far from its best, or leaves its bounds, in `rounds` rounds in a row.

    The best is the number's highest (for `fall`) or lowest (for `rise`) in the rounds before, that before the first
    round included; rounds that were undone do not count. A number that is NaN says nothing.

    Papers: M-STaR, arXiv:2412.17451, and B-STaR, arXiv:2412.17256 (what to watch: pass@k, reward-pass@k, reward@k-s);
    they watch and do not act.

    Attributes:
        number: name of a number of the loop's metrics, such as `samples/pass@8`.
        meaning: what it stands for; in the alarm's words.
        fall: it sounds when the number is more than this below its best.
        rise: it sounds when the number is more than this above its lowest.
        least: it sounds when the number is below.
        most: it sounds when the number is above.
        rounds: so many rounds in a row.
        then: what is done.
        back_to: a roll-back's aim: the round before, or the one in which the number was best.

    Raises:
        ValueError: without any bound, or when the present round has no such number, with the nearest.
    """

    number: str
    meaning: Meaning
    fall: Annotated[float, Range(0.0)] | None = None
    rise: Annotated[float, Range(0.0)] | None = None
    least: float | None = None
    most: float | None = None
    rounds: Annotated[int, Range(1)] = 1
    then: Action = "warn"
    back_to: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        if self.fall is self.rise is self.least is self.most is None:
            raise ValueError(f"the monitor of '{self.number}' has no bound: give it fall, rise, least or most")

    def __call__(self, rounds: Rounds) -> Alarm | None:
        seen = [r for r in rounds if r != BEFORE]
        said = self._said(rounds, seen[-1])
        if said is None or len(seen) < self.rounds:
            return None
        earlier = seen[len(seen) - self.rounds : -1]  # the rounds in a row before this one
        if any(self._said({k: v for k, v in rounds.items() if k <= r}, r) is None for r in earlier):
            return None
        row = f" for {self.rounds} rounds" if self.rounds > 1 else ""
        why = f"{self.meaning}: '{self.number}' {said}{row}: {MEANS[self.meaning]}"
        return Alarm(self.meaning, self.then, why, self._aim(rounds))

    def _said(self, rounds: Rounds, present: int) -> str | None:
        """What is wrong with the number of a round, in words; None when nothing is."""
        value = number(rounds, present, self.number)
        if math.isnan(value):
            return None
        if self.least is not None and value < self.least:
            return f"is {value:.4g}, expected at least {self.least:g}"
        if self.most is not None and value > self.most:
            return f"is {value:.4g}, expected at most {self.most:g}"
        known = self._known(rounds, present)
        if self.fall is not None and known and max(known.values()) - value > self.fall:
            best = max(known, key=lambda r: known[r])
            return f"fell from {known[best]:.4g} ({place(best)}) to {value:.4g}"
        if self.rise is not None and known and value - min(known.values()) > self.rise:
            best = min(known, key=lambda r: known[r])
            return f"rose from {known[best]:.4g} ({place(best)}) to {value:.4g}"
        return None

    def _known(self, rounds: Rounds, present: int) -> dict[int, float]:
        """The number in the rounds before, where there is one."""
        found = {r: float(n.get(self.number, math.nan)) for r, n in rounds.items() if r < present}
        return {r: v for r, v in found.items() if not math.isnan(v)}

    def _aim(self, rounds: Rounds) -> int:
        last = max((r for r in rounds if r < max(rounds)), default=BEFORE)
        known = self._known(rounds, max(rounds))
        if self.back_to == "last" or not known:
            return last
        low = self.rise is not None or (self.most is not None and self.least is None and self.fall is None)
        return min(known, key=lambda r: (known[r] if low else -known[r], -r))


@dataclass(frozen=True)
class Goodhart:
    """Sounds when a reward's own number climbs and the truth does not: the policy pleases its reward and nobody else.

    Both are compared with the first round in which both were measured: the proxy more than `by` higher, the truth not
    higher. With `fall`, also when the truth has come down by more than that from its best while the proxy stands higher
    than it did then: the truth of a reward that is optimised too far first climbs, then falls.

    Paper: Gao et al. 2022, "Scaling Laws for Reward Model Overoptimization", arXiv:2210.10760 (proxy and gold reward).

    Attributes:
        proxy: a number that the reward gives, such as `samples/proxy_top_prm_oracle` of `metrics.Honesty`.
        truth: the same attempts by a truth that the reward does not see, such as `samples/truth_top_prm_oracle`.
        by: how far the proxy must have climbed.
        fall: how far the truth must have come down from its best; None looks at the first round only.
        then: what is done.
    """

    proxy: str
    truth: str
    by: Annotated[float, Range(0.0)] = 0.02
    then: Action = "warn"
    fall: Annotated[float, Range(0.0)] | None = None

    def describe(self) -> dict[str, Any]:
        return without_defaults(self, ("fall",))

    def __call__(self, rounds: Rounds) -> Alarm | None:
        present = max(rounds)
        now = number(rounds, present, self.proxy), number(rounds, present, self.truth)
        both = {r: (float(n.get(self.proxy, math.nan)), float(n.get(self.truth, math.nan))) for r, n in rounds.items()}
        first = next((r for r, pair in both.items() if r < present and not any(map(math.isnan, pair))), None)
        if first is None or any(map(math.isnan, now)):
            return None
        climbed, gained = now[0] - both[first][0], now[1] - both[first][1]
        if not climbed > self.by or gained > 0:
            return self._past_its_best(rounds, both, present)
        why = (
            f"honesty: '{self.proxy}' rose by {climbed:.4g} since {place(first)}, '{self.truth}' by {gained:.4g}: "
            f"{MEANS['honesty']}"
        )
        return Alarm("honesty", self.then, why, max(r for r in rounds if r < present))

    def _past_its_best(self, rounds: Rounds, both: Mapping[int, tuple[float, float]], present: int) -> Alarm | None:
        known = [r for r in both if r < present and not any(map(math.isnan, both[r]))]
        best = max(known, key=lambda r: both[r][1])
        proxy, truth = (now - was for now, was in zip(both[present], both[best], strict=True))
        if self.fall is None or not -truth > self.fall or not proxy > 0:
            return None
        why = (
            f"honesty: '{self.truth}' fell by {-truth:.4g} from its best ({place(best)}) while '{self.proxy}' rose by "
            f"{proxy:.4g}: {MEANS['honesty']}"
        )
        return Alarm("honesty", self.then, why, max(r for r in rounds if r < present))


def number(rounds: Rounds, present: int, name: str) -> float:
    """A number of the present round.

    Raises:
        ValueError: when it has none of that name, with the nearest.
    """
    numbers = rounds[present]
    if name not in numbers:
        raise ValueError(
            f"a monitor watches '{name}', which {place(present)} did not measure{hint(name, numbers)}; it measured "
            f"{sorted(numbers)}"
        )
    return float(numbers[name])


def place(round: int) -> str:
    """A round in words."""
    return "before the first round" if round == BEFORE else f"round {round}"
