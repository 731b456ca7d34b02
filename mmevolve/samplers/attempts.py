"""From a reply to a trajectory: split into typed steps, extract the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmevolve.answers import extract
from mmevolve.text import split_steps
from mmevolve.types import Reply, Sample, Step, StepKind, Trajectory

_ANSWER = re.compile(r"\s*(?:the |final |so,? |therefore,? )*answer\b", re.IGNORECASE)
_WORKING = re.compile(r"[\d\s+\-*/=<>().:]+(?:yes|no)?")


def kind_of(line: str) -> StepKind:
    """Perception, reasoning or answer, by form.

    A line that opens with an answer marker is the answer; bare arithmetic or a comparison is reasoning; a line of
    the form `what : where` says what is seen; anything else is reasoning.
    """
    if _ANSWER.match(line):
        return "answer"
    if _WORKING.fullmatch(line):
        return "reasoning"
    return "perception" if ":" in line else "reasoning"


def attempt(
    sample: Sample,
    reply: Reply,
    *,
    id: str,
    round: int,
    sampling: Mapping[str, Any],
    parent: str | None = None,
    before: str = "",
) -> Trajectory:
    """A trajectory from one reply; `before` is what the assistant had already said and the reply continued."""
    steps = tuple(Step(line, kind_of(line)) for line in split_steps(f"{before}{reply.text}"))
    answer = extract("\n".join(s.text for s in steps), choices=sample.choices) if steps else None
    return Trajectory(
        id=id, sample_id=sample.id, author=reply.author, steps=steps, answer=answer, round=round, parent=parent,
        stop_reason=reply.stop_reason, sampling=sampling, token_ids=reply.token_ids, logprobs=reply.logprobs,
    )  # fmt: skip
