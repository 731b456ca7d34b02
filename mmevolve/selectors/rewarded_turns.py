"""Turns to imitate by how good they are: the rows of RISE."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.text import conversation
from mmevolve.types import Demonstration, Group, Trajectory

LEAST = 0.02  # exp(1 / 0.02) still fits into a single-precision weight, with room for a sum


@dataclass(frozen=True)
class RewardedTurns:
    """One row a turn of each chain, the turns before it in sight, weighted exp(reward / tau).

    A chain goes from a first attempt through the best of each turn's candidates (the highest reward, of equals the
    first) until a turn is right. Only the turn itself is learned. Which turns make rows:

    - `all`: every turn.
    - `better`: the first, and those rewarded more than the turn before.
    - `best`: the first, and those that no earlier turn was rewarded more than.
    - `success`: those that are right; the first, too, must be.

    Paper: Qu et al. 2024, "Recursive Introspection" (RISE), arXiv:2407.18219, reward-weighted regression; tau 0.4 and
    the criteria as `workflow_convert.py` of cmu-mind/RISE has them.
    Differs: a turn that was cut or says nothing is no row; without a window a row's chat holds every turn, as there.

    Attributes:
        reward: the critic whose score is the reward, 1 for right and 0 for wrong from `critics.AnswerMatch`; a
            candidate that it could not judge is not in the chain.
        tau: temperature of the weights; exp(1 / tau) is the weight of what is right, 1 of what is wrong.
        criteria: which turns make rows.
        unparsed: the reward of a turn without an extractable answer.
        dedup: leave out a turn that repeats an earlier one of its chain, word for word.
        window: most turns of a row's chat, its completion included; None for all. As the policy will be asked.
        prompt: template of the first turn.
        review: template of the later turns.

    Raises:
        KeyError: when the critic said nothing about a group.
        ValueError: for a tau below 0.02 or a window below 2; when a wrong first attempt has no second turn, or a turn's
            parent is not among the question's attempts.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    turns: ClassVar[int] = 2
    reward: str = "answer"
    tau: Annotated[float, Range(0.02)] = 0.4
    criteria: Literal["all", "better", "best", "success"] = "all"
    unparsed: float = -1.0
    dedup: bool = True
    window: Annotated[int, Range(2)] | None = None
    prompt: str = "question"
    review: str = "review"

    def __post_init__(self) -> None:
        if not LEAST <= self.tau < math.inf:
            raise ValueError(
                f"RewardedTurns: tau is {self.tau}, expected {LEAST} or more: a right turn weighs exp(1 / tau)"
            )
        if self.window is not None and self.window < 2:
            raise ValueError(f"RewardedTurns: window is {self.window}, expected 2 or more: a turn and the one before")

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        asked, again = template(self.prompt), template(self.review)
        for group in groups:
            for chain in self._chains(group):
                before: list[str] = []
                for i, (t, reward) in enumerate(chain):
                    repeats = self.dedup and t.text in before
                    whole = t.text and t.stop_reason != "length"
                    if whole and not repeats and self._kept([r for _, r in chain[: i + 1]]):
                        chat = conversation(group.sample, asked, again, before, self.window)
                        yield Demonstration(chat, t.text, math.exp(reward / self.tau), source=t.id)
                    before.append(t.text)

    def _kept(self, rewards: Sequence[float]) -> bool:
        """Whether the turn makes a row that was rewarded last."""
        *earlier, own = rewards
        if self.criteria == "success":
            return own > 0
        if self.criteria == "all" or not earlier:
            return True
        return own > earlier[-1] if self.criteria == "better" else own >= max(earlier)

    def _chains(self, group: Group) -> Iterator[list[tuple[Trajectory, float]]]:
        """(turn, reward) along the best of every first attempt's revisions."""
        scores = group.scores(self.reward)
        rewards = {t.id: self._reward(t, s) for t, s in zip(group.trajectories, scores, strict=True) if s is not None}
        ids = {t.id for t in group.trajectories}
        after: dict[str | None, list[Trajectory]] = {}
        for t in group.trajectories:
            if t.parent is not None and t.parent not in ids:
                raise ValueError(
                    f"trajectory '{t.id}' revises '{t.parent}', which is not among the {len(ids)} attempts"
                )
            after.setdefault(t.parent, []).append(t)
        for first in after.get(None, ()):
            if first.id not in rewards:
                continue
            if first.id not in after and rewards[first.id] <= 0:
                raise ValueError(
                    f"attempt '{first.id}' at sample '{group.sample.id}' has no second turn, expected one or more: "
                    "sample with samplers.BestTurns or samplers.Review"
                )
            chain, turn = [], first
            while turn is not None:
                chain.append((turn, rewards[turn.id]))
                judged = [t for t in after.get(turn.id, ()) if t.id in rewards]
                right = rewards[turn.id] > 0
                turn = None if right else max(judged, key=lambda t: rewards[t.id], default=None)  # the first of equals
            yield chain

    def _reward(self, t: Trajectory, score: float) -> float:
        return self.unparsed if t.answer is None else score
