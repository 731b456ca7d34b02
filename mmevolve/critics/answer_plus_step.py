"""One reward of a verifier and a step reward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class AnswerPlusStep:
    """r = 1[answer right] + r_prm, r_prm the step reward's score put from [0, 1] to [-1, 1].

    So a right answer has a reward from 0 to 2, a wrong one from -1 to 1. No reward where one of the two gave none. Its
    step scores are the step reward's.

    Paper: B-STaR, arXiv:2412.17256 (the reward function; r_prm is the minimum over the steps).

    Attributes:
        steps: the step reward, such as `critics.StepReward` with fold min; its scores must lie in [0, 1].
        verifier: says whether the answer is right.
        name: the column other parts refer to.

    Raises:
        ValueError: when a score of the step reward is not in [0, 1].
    """

    steps: Critic
    verifier: Critic
    name: str = "reward"

    @property
    def sees_image(self) -> bool:
        return self.steps.sees_image or self.verifier.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.steps.sees_outcome or self.verifier.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for verdict, said in zip(self.verifier(items), self.steps(items), strict=True):
            error = verdict.error if verdict.score is None else said.error if said.score is None else None
            if verdict.score is None or said.score is None:
                yield Critique(said.trajectory_id, self.name, None, sees_image=said.sees_image, error=error)
                continue
            if not 0 <= said.score <= 1:
                raise ValueError(
                    f"trajectory '{said.trajectory_id}': critic '{said.critic}' scores {said.score}, expected 0 to 1"
                )
            reward = float(verdict.score > 0) + 2 * said.score - 1
            yield Critique(said.trajectory_id, self.name, reward, said.step_scores, sees_image=said.sees_image)
