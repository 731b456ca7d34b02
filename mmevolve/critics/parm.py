"""PARM-style judgement of reasoning: from which step on an attempt can be judged, and whether it can end well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from mmevolve.config.ranges import Range
from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory

NOT_ASKED = 1.0  # the score of a step that nothing is held against


@dataclass(frozen=True)
class PARM:
    """Ranks attempts for best-of-N': first those whose potential is good, then the rest; by outcome among themselves.

    The gate opens at the first step whose clarity is above `clear` and stays open. There the potential is assessed; an
    attempt whose potential is not above `hopeful` does not survive. The score is (2 * survives + outcome) / 3, which is
    2/3 to 1 for survivors and 0 to 1/3 for the others: the best of it is the best of the N' survivors or, when N' = 0,
    the attempt with the lowest probability of no. An attempt whose gate never opens survives. Step scores are the
    potential where it was asked and 1 elsewhere. Where one of the three judges gave no score there is none.

    Paper: PARM, arXiv:2501.13926 (clarity judgement, potential assessment, best-of-N' selection), here for reasoning
    steps in place of partial images. Truncation itself is the sampler's: `samplers.PrunedPaths`.

    Attributes:
        clarity: gives each step a score: can the attempt be judged from here? (`critics.StepReward`,
            `critics.EachPrefix` around `critics.YesNo`)
        potential: gives each step a score: can an attempt that begins so still end well?
        outcome: scores whole attempts in [0, 1].
        name: the column other parts refer to.
        clear: the gate opens above it.
        hopeful: an attempt survives above it.
        assess: the potential at the first clear step, or at every step from there on, where the least decides.

    Raises:
        ValueError: when a step judge does not give one score a step, or an outcome is not in [0, 1].
    """

    clarity: Critic
    potential: Critic
    outcome: Critic
    name: str = "parm"
    clear: float = 0.5
    hopeful: Annotated[float, Range(0, 1)] = 0.5
    assess: Literal["once", "every"] = "once"

    @property
    def sees_image(self) -> bool:
        return self.clarity.sees_image or self.potential.sees_image or self.outcome.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.clarity.sees_outcome or self.potential.sees_outcome or self.outcome.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        said = zip(items, self.clarity(items), self.potential(items), self.outcome(items), strict=True)
        for (_, t), clarity, potential, outcome in said:
            missing = next((c for c in (clarity, potential, outcome) if c.score is None), None)
            if missing is not None or outcome.score is None:
                error = f"{missing.critic}: {missing.error}" if missing is not None else ""
                yield Critique(t.id, self.name, None, sees_image=outcome.sees_image, error=error)
                continue
            for judge in (clarity, potential):
                if len(judge.step_scores) != len(t.steps):
                    raise ValueError(
                        f"trajectory '{t.id}': critic '{judge.critic}' gives {len(judge.step_scores)} step scores for "
                        f"{len(t.steps)} steps; wrap a critic of whole texts in critics.EachPrefix"
                    )
            if not 0 <= outcome.score <= 1:
                raise ValueError(f"trajectory '{t.id}': outcome {outcome.score} by '{outcome.critic}', expected 0 to 1")
            opens = gate(clarity.step_scores, self.clear)
            asked = () if opens is None else range(opens, len(t.steps) if self.assess == "every" else opens + 1)
            scores = tuple(potential.step_scores[k] if k in asked else NOT_ASKED for k in range(len(t.steps)))
            survives = all(potential.step_scores[k] > self.hopeful for k in asked)
            words = "never clear enough to judge" if opens is None else f"clear from step {opens + 1}"
            words += "" if survives else f", potential {min(scores):.2f}: given up"
            total = (2 * survives + outcome.score) / 3
            yield Critique(t.id, self.name, total, scores, words, sees_image=potential.sees_image)


def gate(clarity: Sequence[float], clear: float) -> int | None:
    """Index of the first step that is clear enough; all later ones count as clear. None when no step is."""
    return next((k for k, score in enumerate(clarity) if score > clear), None)
