"""Judgments that are themselves the attempt (samples of `data.judging`): what score they give, and how near it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.answers import judge_reply
from mmevolve.prompts.judging import gold_of
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class GivenScore:
    """The score that a judgment gives, its Likert number put to [0, 1]; none where it cannot be read or was cut.

    Attributes:
        low: lowest score of the scale that the judge was asked for.
        high: highest.
        name: the column other parts refer to.

    Raises:
        ValueError: when the scale is none.
    """

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = False

    low: int = 1
    high: int = 5
    name: str = "given"

    def __post_init__(self) -> None:
        _check(self.name, self.low, self.high)

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for _, t in items:
            number, error = read(t, self.low, self.high)
            score = None if number is None else (number - self.low) / (self.high - self.low)
            yield Critique(t.id, self.name, score, error=error)


@dataclass(frozen=True)
class NearGold:
    """1 - |given - gold| / (high - low): 1 where a judgment gives the score that the answer deserves.

    With `exact`, 1 where both are the same number, else 0; a judgment that cannot be read is then 0 as well, so that
    `metrics.Accuracy` counts it as wrong.

    Paper: Self-Rationalization, arXiv:2410.05495 (judgments compared with gold scores).

    Attributes:
        low: lowest score of the scale that the judge was asked for.
        high: highest.
        exact: count equality alone.
        name: the column other parts refer to.

    Raises:
        ValueError: when the scale is none, or a gold score is not on it.
    """

    sees_image: ClassVar[bool] = False
    sees_outcome: ClassVar[bool] = True

    low: int = 1
    high: int = 5
    exact: bool = False
    name: str = "gold"

    def __post_init__(self) -> None:
        _check(self.name, self.low, self.high)

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for sample, t in items:
            gold = gold_of(sample.meta)
            if gold is None:
                error = f"sample '{sample.id}' has no gold score on record: `data.judging` puts it there"
                yield Critique(t.id, self.name, None, error=error)
                continue
            if not self.low <= gold <= self.high:
                raise ValueError(
                    f"critic '{self.name}': sample '{sample.id}' deserves {gold}, expected {self.low} to {self.high}: "
                    "give this critic and data.judging the same scale"
                )
            number, error = read(t, self.low, self.high)
            if self.exact:
                yield Critique(t.id, self.name, float(number == gold), text=error or "")
            elif number is None:
                yield Critique(t.id, self.name, None, error=error)
            else:
                yield Critique(t.id, self.name, 1 - abs(number - gold) / (self.high - self.low))


def read(t: Trajectory, low: int, high: int) -> tuple[float | None, str | None]:
    """The number that a judgment gives, or why there is none."""
    if t.stop_reason == "length":
        return None, "the judgment was cut at the token limit"
    number = judge_reply.score(t.text, low, high)
    return number, None if number is not None else f"no number from {low} to {high} in the judgment: {t.text[-60:]!r}"


def _check(name: str, low: int, high: int) -> None:
    if not low < high:
        raise ValueError(f"critic '{name}': a scale from {low} to {high}, expected low below high")
