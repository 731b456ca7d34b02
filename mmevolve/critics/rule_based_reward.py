"""Critic-V's reward of a critique: the overlap of the errors that it lists with those that are there, and a judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from mmevolve.answers.same_point import same_point
from mmevolve.config.ranges import Range
from mmevolve.prompts.error_list import Detection, Error, errors_of, jaccard, matched, parse
from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class RuleBasedReward:
    """RBR = Jaccard + alpha x judge, of a critique that is itself the attempt (samples of `data.critiquing`).

    Jaccard = m / (|G| + |C| - m) over a largest one-to-one matching of m inserted errors G with detections C; 1 where
    both are empty. An error and a detection match when they are of the same step and, as `match` wants, of the same
    kind, or the detection's words make the error's point. A detection without a step is matched by words alone. A
    critique that cannot be read has no score and says so in `error`; so has one of a sample without known errors.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (RBR, alpha 0.1, judge 0 to 10; 3 inserted, 4 detected, 2 in
    common and a judge of 8 are 0.4 + 0.1 x 8 = 1.2 on the paper's scale).
    Differs: the judge is in [0, 1], as the makers' code divides it by 10, so the example is 0.48 here; the overlap is
    counted, where their code has GPT-4o-mini estimate it. A detection that leaves the kind open matches any.

    Attributes:
        judge: another critic, whose score of the critique is in [0, 1]; None for the overlap alone.
        alpha: its weight.
        match: what an error and a detection of the same step must share beside the step.
        name: the column other parts refer to.

    Raises:
        ValueError: when a judge's score is not in [0, 1].
    """

    sees_outcome: ClassVar[bool] = True

    judge: Critic | None = None
    alpha: Annotated[float, Range(0.0)] = 0.1
    match: Literal["step", "kind", "words"] = "step"
    name: str = "rbr"

    @property
    def sees_image(self) -> bool:
        return self.judge is not None and self.judge.sees_image  # type: ignore[attr-defined]

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        judged = [None] * len(items) if self.judge is None else list(self.judge(items))
        for (sample, t), verdict in zip(items, judged, strict=True):
            score, error = self._overlap(sample, t)
            if score is not None and verdict is not None:
                if verdict.score is None:
                    score, error = None, f"judge '{verdict.critic}' gives no score: {verdict.error}"
                elif not 0 <= verdict.score <= 1:
                    raise ValueError(
                        f"critique '{t.id}': judge '{verdict.critic}' scores {verdict.score}, expected 0 to 1"
                    )
                else:
                    score += self.alpha * verdict.score
            text = "" if verdict is None else verdict.text
            sees = verdict is not None and verdict.sees_image
            yield Critique(t.id, self.name, score, text=text, sees_image=sees, error=error)

    def _overlap(self, sample: Sample, t: Trajectory) -> tuple[float | None, str | None]:
        errors, said = errors_of(sample.meta), parse(t.text, sample.meta.get("steps"))
        if errors is None:
            return None, f"sample '{sample.id}' has no known errors on record: `data.critiquing` puts them in"
        if t.stop_reason == "length":
            return None, "the critique was cut at the token limit"
        if said is None:
            return None, f"the critique cannot be read: {t.text[:60]!r}"
        return jaccard(len(errors), len(said), len(matched(errors, said, self.same))), None

    def same(self, error: Error, said: Detection) -> bool:
        """Whether a detection is of this error."""
        if said.step is None:
            return same_point(said.words, f"{error.changed} {error.original}")
        if said.step != error.step:
            return False
        if self.match == "kind":
            return said.kind in (None, error.kind)
        return self.match == "step" or same_point(said.words, f"{error.changed} {error.original}")
