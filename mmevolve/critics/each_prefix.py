"""Step scores from a critic that judges whole texts: it is shown the attempt up to every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class EachPrefix:
    """The score of a step is what the critic says of the attempt as far as it; the last one is the attempt's own.

    Beginnings that several attempts share are judged once. No score where one of the beginnings got none.

    Attributes:
        critic: judges a text, such as `critics.YesNo`.
        name: the column other parts refer to.
    """

    critic: Critic
    name: str = "prefix"

    @property
    def sees_image(self) -> bool:
        return self.critic.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.critic.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        wanted: dict[tuple[str, tuple[str, ...]], tuple[Sample, Trajectory]] = {}
        for sample, t in items:
            for k in range(1, len(t.steps) + 1):
                part = replace(t, id=f"{t.id}#{k}", steps=t.steps[:k], answer=t.answer if k == len(t.steps) else None)
                wanted.setdefault(_key(part), (sample, part))
        said = dict(zip(wanted, self.critic(list(wanted.values())), strict=True)) if wanted else {}
        for _, t in items:
            found = [said[_key(replace(t, steps=t.steps[:k]))] for k in range(1, len(t.steps) + 1)]
            scores = tuple(c.score for c in found if c.score is not None)
            sees = any(c.sees_image for c in found)
            if len(scores) < len(found) or not found:
                error = next((c.error for c in found if c.score is None), None) or "the attempt has no steps"
                yield Critique(t.id, self.name, None, sees_image=sees, error=error)
            else:
                yield Critique(t.id, self.name, scores[-1], scores, found[-1].text, sees_image=sees)


def _key(trajectory: Trajectory) -> tuple[str, tuple[str, ...]]:
    return trajectory.sample_id, tuple(s.text for s in trajectory.steps)
