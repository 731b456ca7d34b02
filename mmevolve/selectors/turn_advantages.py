"""Rewards of two turns become advantages: the on-policy rows of SCoRe."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.selectors.advantages import advantages, check_sampled
from mmevolve.text import conversation
from mmevolve.types import Group, Rollout, Trajectory

log = logging.getLogger(__name__)
Chain = tuple[Trajectory, Trajectory]


@dataclass(frozen=True)
class TurnAdvantages:
    """Two rows an attempt and its review: each turn under its own chat, with its advantage and its KL weight.

    With r1 and r2 the rewards of the turns, a turn's own reward is

    - stage `first`: 0 and r2. The second turn learns to be right, the first is only held near the reference.
    - stage `second`: r1 and r2 + alpha (r2 - r1): the bonus pays for mending and takes more for breaking.

    A turn's advantage is its reward minus the mean of the same turn in the question's other chains (leave one out).
    Train with `losses.RLOO`, whose `beta` times the row's `kl` is the weight of KL(policy || reference): stage `first`
    with the paper's strict weight (0.1), stage `second` with its light one (0.01). Rows without advantage and without a
    KL weight say nothing and are left out; how many is logged, with the questions that a critic left fewer than two
    judged chains.

    Paper: Kumar et al. 2024, "Training Language Models to Self-Correct via Reinforcement Learning" (SCoRe),
    arXiv:2409.12917, Eqs. 2 to 4 and Section 5; leave-one-out: Ahmadian et al. 2024, arXiv:2402.14740.
    Differs: the paper keeps a light KL term on the second turn of stage I, too: `kl: [1.0, 0.1]`. It does not say
    whether a first turn is credited with what follows it: `discount`.

    Attributes:
        reward: the critic whose score is the reward; a chain with a turn that it could not judge is no row and counts
            in no mean.
        stage: `first` or `second`, the paper's Stage I and II.
        alpha: weight of the bonus in the second stage; 0 for none.
        kl: weights of the KL term on the first and the second turn; None for 1 and 0 in the first stage, 1 and 1 in the
            second.
        discount: share of the second turn's reward that the first turn is credited with as well.
        prompt: template of the first turn.
        review: template of the second.

    Raises:
        KeyError: when the critic said nothing about a group.
        ValueError: for alpha or a KL weight below 0; when an attempt has no second turn, or two, or is a third turn;
            for a question with fewer than two chains; when a turn was sampled with another prompt or keeps no token
            ids.
    """

    example: ClassVar[type[Rollout]] = Rollout
    turns: ClassVar[int] = 2
    reward: str = "answer"
    stage: Literal["first", "second"] = "second"
    alpha: Annotated[float, Range(0.0)] = 10.0
    kl: tuple[float, float] | None = None
    discount: Annotated[float, Range(0.0, 1.0)] = 0.0
    prompt: str = "question"
    review: str = "review"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"TurnAdvantages: alpha is {self.alpha}, expected a finite number of 0 or more")
        if not all(0 <= weight < math.inf for weight in self._held):
            raise ValueError(f"TurnAdvantages: kl is {list(self._held)}, expected two finite numbers of 0 or more")

    @property
    def _held(self) -> tuple[float, float]:
        """KL weights of the two turns."""
        if self.kl is not None:
            return self.kl
        return (1.0, 0.0) if self.stage == "first" else (1.0, 1.0)

    def __call__(self, groups: Iterable[Group]) -> Iterator[Rollout]:
        counts: Counter[str] = Counter()
        for group in groups:
            if group.trajectories:
                yield from self._rows(group, counts)
        for what, n in sorted(counts.items()):
            log.warning("turn advantages: %s: %d", what, n)

    def _rows(self, group: Group, counts: Counter[str]) -> Iterator[Rollout]:
        found = chains(group)
        if len(found) < 2:
            raise ValueError(
                f"sample '{group.sample.id}' has {len(found)} chain of two turns: a leave-one-out baseline needs 2 or "
                "more, sample with n: 2 or more"
            )
        rewards = dict(zip((t.id for t in group.trajectories), group.scores(self.reward), strict=True))
        judged = [(a, b, rewards[a.id], rewards[b.id]) for a, b in found]
        judged = [chain for chain in judged if chain[2] is not None and chain[3] is not None]
        if len(judged) < 2:
            counts["questions left out, fewer than two of their chains were judged"] += 1
            return
        own = [self._own(r1, r2) for *_, r1, r2 in judged]
        firsts = advantages([first + self.discount * second for first, second in own], "rloo")
        seconds = advantages([second for _, second in own], "rloo")
        for (before, after, *_), first, second in zip(judged, firsts, seconds, strict=True):
            for row in self._turns(group, before, after, first, second):
                if row.kl or row.advantages[0]:
                    yield row
                else:
                    counts["rows left out, without advantage and KL term"] += 1

    def _own(self, r1: float, r2: float) -> tuple[float, float]:
        """Each turn's own reward."""
        return (0.0, r2) if self.stage == "first" else (r1, r2 + self.alpha * (r2 - r1))

    def _turns(
        self, group: Group, before: Trajectory, after: Trajectory, first: float, second: float
    ) -> Iterator[Rollout]:
        check_sampled(before, self.prompt)
        check_sampled(after, self.review)
        asked, again = template(self.prompt), template(self.review)
        turns = ((before, [], first), (after, [before.text], second))
        for (t, said, advantage), held in zip(turns, self._held, strict=True):
            chat = conversation(group.sample, asked, again, said)
            yield Rollout(chat, t.token_ids, t.logprobs, (advantage,), source=t.id, kl=held)


def chains(group: Group) -> list[Chain]:
    """(first turn, second turn) of every attempt of a question.

    Raises:
        ValueError: when an attempt has no second turn or two, or a turn revises a second one.
    """
    first = {t.id: t for t in group.trajectories if t.parent is None}
    after: dict[str, list[Trajectory]] = {name: [] for name in first}
    for t in group.trajectories:
        if t.parent is not None:
            if t.parent not in first:
                raise ValueError(
                    f"trajectory '{t.id}' revises '{t.parent}', which is no first attempt at sample "
                    f"'{group.sample.id}': expected two turns, as samplers.Review writes with revisions: 1"
                )
            after[t.parent].append(t)
    return [(first[name], _only(group, name, turns)) for name, turns in after.items()]


def _only(group: Group, name: str, turns: Sequence[Trajectory]) -> Trajectory:
    if len(turns) != 1:
        found = f"{len(turns)} second turns" if turns else "no second turn"
        raise ValueError(
            f"attempt '{name}' at sample '{group.sample.id}' has {found}, expected one: sample with samplers.Review"
        )
    return turns[0]
