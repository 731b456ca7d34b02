"""Whether refinements bring the hard questions back that self-training loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Refilled:
    """How much of the hard tail refinements refill; hard is a question none of whose first attempts is right.

    - `hard`: share of questions that are hard;
    - `hard_refilled`: share of the hard ones with a right refinement;
    - `tail_share`: of the questions with any right attempt, and so of those that give rows, the share that is hard; 0
      without refinements, which is how self-training drifts to what is easy;
    - `refined_right`: share of the refinements that are right.

    Paper: AutoMathCritique, arXiv:2411.16579 (the narrowing of the tail, and critiques against it).

    Attributes:
        critic: the verifier.
    """

    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        hard: list[bool] = []
        refilled: list[bool] = []
        tail: list[bool] = []
        refined: list[bool] = []
        for group in groups:
            verdicts = [s is not None and s > 0 for s in group.scores(self.critic)]
            both = list(zip(group.trajectories, verdicts, strict=True))
            own = [right for t, right in both if t.parent is not None]
            hard.append(not any(right for t, right in both if t.parent is None))
            refined += own
            refilled += [any(own)] if hard[-1] else []
            tail += [hard[-1]] if any(verdicts) else []
        return {
            "hard": mean(hard), "hard_refilled": mean(refilled), "tail_share": mean(tail),
            "refined_right": mean(refined),
        }  # fmt: skip
