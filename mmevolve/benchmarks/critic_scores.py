"""A critic's scores as a response: lines that are kept like any model's words, read back, and counted.

`step 2: 0.31` is the score of a step, `answer: 0.4` that of the whole attempt, `response 1: 0.7` that of one of two
responses. So what a critic said is stored, shown, compared and scored again without it, as a model's words are.
"""

from __future__ import annotations

import re

from mmevolve.types import Critique

WRONG_BELOW = 0.5  # a step whose probability of being right is below is called wrong
_NUMBER = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"
_STEP = re.compile(rf"^step (\d{{1,4}}): {_NUMBER}$", re.MULTILINE)
_ANSWER = re.compile(rf"^answer: {_NUMBER}$", re.MULTILINE)
_RESPONSE = re.compile(rf"^response ([12]): {_NUMBER}$", re.MULTILINE)


def words(critique: Critique) -> str | None:
    """A critic's judgement of steps as lines; None where it could not judge."""
    if critique.score is None:
        return None
    steps = [f"step {k}: {score:.6g}" for k, score in enumerate(critique.step_scores, start=1)]
    return "\n".join([*steps, f"answer: {critique.score:.6g}"])


def pair_words(first: Critique, second: Critique) -> str | None:
    """A critic's scores of two responses as lines; None where it could not judge both."""
    if first.score is None or second.score is None:
        return None
    return f"response 1: {first.score:.6g}\nresponse 2: {second.score:.6g}"


def steps(text: str | None, count: int) -> tuple[float, ...] | None:
    """One score a step; None unless there is one for each."""
    said = {int(k): float(score) for k, score in _STEP.findall(text or "")}
    return tuple(said[k] for k in range(1, count + 1)) if said and set(said) == set(range(1, count + 1)) else None


def answer(text: str | None) -> float | None:
    """The score of the whole attempt."""
    found = _ANSWER.search(text or "")
    return None if found is None else float(found[1])


def verdicts(text: str, count: int) -> tuple[bool, ...] | None:
    """For each step whether its score calls it wrong."""
    scores = steps(text, count)
    return None if scores is None else tuple(score < WRONG_BELOW for score in scores)


def better(text: str) -> str | None:
    """The letter of the response with the higher score; None for a tie."""
    said = {number: float(score) for number, score in _RESPONSE.findall(text)}
    if len(said) < 2 or said["1"] == said["2"]:
        return None
    return "A" if said["1"] > said["2"] else "B"
