"""Labels for the two step judges of PARM: where an attempt becomes clear, and what it is worth from there."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from mmevolve.config.ranges import Range
from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory

_NUMBER = re.compile(r"\d")


@dataclass(frozen=True)
class ClarityLabels:
    """A label a step: 1 from where on the attempt can be judged, 0 before, NaN where the rule does not say.

    `variance`: a beginning can be judged when its rollout value differs from the question's own by more than `epsilon`:
    what was said has changed the odds. The question's value is the mean verdict of its attempts. `position`: not before
    the share `early` of the attempt's steps, surely after the share `late`, unlabelled between. `claim`: a step that
    says what is seen, or holds a number. The first clear step opens the gate and it stays open. The score is the share
    of labelled steps that are clear. `selectors.StepLabels` makes rows of them.

    Paper: PARM, arXiv:2501.13926 (clarity labels: steps after 11 of 18 yes, before 10 no).
    Differs: the rules `variance` and `claim` are ours, for reasoning in place of images.

    Attributes:
        values: rollout values, one a step, the last one the verdict (`critics.RolloutValue`); only `variance` needs it.
        rule: which rule.
        epsilon: for `variance`.
        early: for `position`, as a share of the steps.
        late: likewise.
        name: the column other parts refer to.

    Raises:
        ValueError: when the rule is `variance` and there are no values, or early is above late.
    """

    values: Critic | None = None
    rule: Literal["variance", "position", "claim"] = "variance"
    epsilon: Annotated[float, Range(0.0, 1.0)] = 0.2
    early: Annotated[float, Range(0.0, 1.0)] = 10 / 18
    late: Annotated[float, Range(0.0, 1.0)] = 11 / 18
    name: str = "clarity"

    def __post_init__(self) -> None:
        if self.rule == "variance" and self.values is None:
            raise ValueError("clarity by variance needs rollout values: give `values`, or another rule")
        if self.early > self.late:
            raise ValueError(f"clarity by position: early {self.early} is above late {self.late}")

    @property
    def sees_image(self) -> bool:
        return self.rule == "variance" and self.values is not None and self.values.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.rule == "variance" and self.values is not None and self.values.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        values = list(self.values(items)) if self.values is not None and self.rule == "variance" else None
        prior = _priors(items, values or ())
        for i, (sample, t) in enumerate(items):
            value = values[i] if values is not None else None
            if (value is not None and value.score is None) or not t.steps:
                error = value.error if value is not None and value.error else "the attempt has no steps"
                yield Critique(t.id, self.name, None, error=error)
                continue
            labels = latched(self._clear(t, value, prior.get(sample.id, math.nan)))
            known = [x for x in labels if not math.isnan(x)]
            yield Critique(t.id, self.name, sum(known) / len(known) if known else 0.0, labels)

    def _clear(self, t: Trajectory, value: Critique | None, prior: float) -> list[float]:
        if value is not None:
            return [v if math.isnan(v) else float(abs(v - prior) > self.epsilon) for v in value.step_scores]
        if self.rule == "claim":
            return [float(s.kind == "perception" or bool(_NUMBER.search(s.text))) for s in t.steps]
        shares = [(k + 1) / len(t.steps) for k in range(len(t.steps))]
        return [0.0 if x < self.early else 1.0 if x > self.late else math.nan for x in shares]


@dataclass(frozen=True)
class PotentialLabels:
    """A label a step: the rollout value from where on the attempt is clear, NaN, no label, before.

    The soft share is kept; `selectors.StepLabels` with kind hard makes it 1 when any rollout ended well.

    Paper: PARM, arXiv:2501.13926 (four continuations, any right); Math-Shepherd, arXiv:2312.08935, Eq. 2 and 3.

    Attributes:
        values: rollout values, one a step (`critics.RolloutValue`).
        clarity: labels or scores of clarity, one a step (`ClarityLabels`).
        clear: a step is clear above it.
        name: the column other parts refer to.
    """

    values: Critic
    clarity: Critic
    clear: float = 0.5
    name: str = "potential"

    @property
    def sees_image(self) -> bool:
        return self.values.sees_image or self.clarity.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.values.sees_outcome or self.clarity.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for (_, t), value, clarity in zip(items, self.values(items), self.clarity(items), strict=True):
            if value.score is None or clarity.score is None:
                yield Critique(t.id, self.name, None, error=value.error or clarity.error)
                continue
            marks = zip(value.step_scores, latched(clarity.step_scores, self.clear), strict=True)
            labels = tuple(v if c > self.clear else math.nan for v, c in marks)
            known = [x for x in labels if not math.isnan(x)]
            yield Critique(t.id, self.name, min(known, default=value.score), labels)


def latched(clear: Sequence[float], threshold: float = 0.5) -> tuple[float, ...]:
    """Marks of clarity after the gate has opened are 1: once an attempt can be judged, it can be from there on."""
    opens = next((k for k, c in enumerate(clear) if c > threshold), len(clear))
    return (*clear[:opens], *(1.0,) * (len(clear) - opens))


def _priors(items: Sequence[tuple[Sample, Trajectory]], values: Sequence[Critique]) -> dict[str, float]:
    """Each question's own value: the mean of its attempts' verdicts, which are their last step's values."""
    ends: dict[str, list[float]] = {}
    for (sample, _), value in zip(items, values, strict=False):
        if value.step_scores:
            ends.setdefault(sample.id, []).append(value.step_scores[-1])
    return {name: sum(found) / len(found) for name, found in ends.items()}
