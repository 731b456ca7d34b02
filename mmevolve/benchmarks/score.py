"""Scoring, apart from asking: each response is correct, wrong, unparsed or an error; nothing is ever guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmevolve.answers import Outcome
from mmevolve.benchmarks.read import EXTRACTORS, Read, shown
from mmevolve.benchmarks.right import SCORERS
from mmevolve.benchmarks.spec import Benchmark
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class Scored:
    """One response and what became of it.

    Attributes:
        sample: the question as it was asked.
        index: number of the attempt.
        response: the text; None when there is none.
        read: what the rules found in it.
        rule: the extraction rule that found it.
        outcome: correct, wrong, unparsed (no rule finds an answer) or error (there is no text).
    """

    sample: Sample
    index: int
    response: str | None
    read: Read | None
    rule: str
    outcome: Outcome


def judge(spec: Benchmark, sample: Sample, response: str | None, index: int = 0) -> Scored:
    """One response by the spec's chain of rules."""
    if response is None:
        return Scored(sample, index, None, None, "", "error")
    for rule in spec.extract if response.strip() else ():
        read = EXTRACTORS[rule](response, sample)
        if read is not None:
            right = SCORERS[spec.score].right(read, sample)
            return Scored(sample, index, response, read, rule, "correct" if right else "wrong")
    return Scored(sample, index, response, None, "", "unparsed")


def response_of(trajectory: Trajectory) -> str | None:
    """The text of an attempt; None where generation failed."""
    return None if trajectory.stop_reason == "error" else trajectory.text


@dataclass(frozen=True)
class Rules:
    """A benchmark's rules as a verifier: 1 for correct; 0 for wrong and for unparsed; no score for an error.

    Attributes:
        spec: the benchmark.
        name: the column other parts refer to.
    """

    spec: Benchmark
    name: str = "answer"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for sample, trajectory in items:
            scored = judge(self.spec, sample, response_of(trajectory))
            if scored.outcome == "error":
                yield Critique(trajectory.id, self.name, None, error="generation gave no text")
                continue
            text = scored.outcome if scored.read is None else f"{scored.outcome}: {shown(scored.read)}"
            yield Critique(trajectory.id, self.name, float(scored.outcome == "correct"), text=text)
