"""What each further turn is worth, and what voting or an oracle makes of the turns so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmevolve.metrics.best_of_n import classes
from mmevolve.metrics.mean import mean
from mmevolve.metrics.vote_curve import by_weight
from mmevolve.types import Group, Trajectory


@dataclass(frozen=True)
class OverTurns:
    """Accuracy after each number of turns: of the last turn, of a vote among the turns, and of an oracle.

    For t from 1 to the longest chain, means over questions of

    - `turn_acc@t`: the t-th turn is right.
    - `turn_vote@t`: the commonest answer of turns 1 to t is right; commonest ones share the win, a turn without an
      answer has no vote.
    - `turn_oracle@t`: one of turns 1 to t is right.

    A chain that ended earlier stands with its last turn, which votes once. An attempt that the verifier could not judge
    is not right. Of several revisions of one turn the first is followed.

    Paper: RISE, arXiv:2407.18219 (five turns, with majority vote or with an oracle).

    Attributes:
        critic: the verifier.

    Raises:
        ValueError: when a revision's parent is not among the sample's attempts.
    """

    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        rows = [self._row(group) for group in groups if group.trajectories]
        longest = max((len(right) for row in rows for _, right in row), default=0)
        numbers: dict[str, float] = {}
        for t in range(1, longest + 1):
            counted = {
                "acc": [mean([float(right[:t][-1]) for _, right in row]) for row in rows],
                "vote": [mean([_vote(answers[:t], right[:t]) for answers, right in row]) for row in rows],
                "oracle": [mean([float(any(right[:t])) for _, right in row]) for row in rows],
            }
            numbers |= {f"turn_{name}@{t}": mean(values) for name, values in counted.items()}
        return numbers

    def _row(self, group: Group) -> list[tuple[list[int | None], list[bool]]]:
        """(answers as classes, verdicts) of every chain."""
        scores = group.scores(self.critic)
        right = {t.id: s is not None and s > 0 for t, s in zip(group.trajectories, scores, strict=True)}
        return [
            (classes([t.answer for t in chain], group.sample.choices), [right[t.id] for t in chain])
            for chain in turns(group.trajectories)
        ]


def turns(trajectories: Sequence[Trajectory]) -> Iterator[list[Trajectory]]:
    """Each first attempt with the turns that follow it, in order.

    Raises:
        ValueError: when a revision's parent is not among the attempts.
    """
    known = {t.id for t in trajectories}
    after: dict[str, Trajectory] = {}
    for t in trajectories:
        if t.parent is not None:
            if t.parent not in known:
                raise ValueError(
                    f"trajectory '{t.id}' revises '{t.parent}', which is not among the {len(known)} attempts"
                )
            after.setdefault(t.parent, t)
    for first in trajectories:
        if first.parent is None:
            chain = [first]
            while chain[-1].id in after:
                chain.append(after[chain[-1].id])
            yield chain


def _vote(answers: Sequence[int | None], right: Sequence[bool]) -> float:
    return by_weight(answers, [1.0] * len(answers), right, len(answers))
