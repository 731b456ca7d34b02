"""What each critic says of each step, as marks that a page and a terminal both show."""

from __future__ import annotations

from dataclasses import dataclass

from mmevolve.report.groups import Attempt

PASS = 0.5
WORDS = {
    "follows": "worked out rightly, but from an earlier step that was wrong",
    "unparsable": "not a sentence that can be checked",
}


@dataclass(frozen=True)
class Mark:
    """One critic's opinion of one step, or of a whole attempt.

    Attributes:
        critic: who says it.
        shown: a sign for a verdict, the score with two digits otherwise.
        good: whether it is an approval: a score of at least one half.
        words: why, where the critic says so.
    """

    critic: str
    shown: str
    good: bool
    words: str = ""


def step_marks(attempt: Attempt) -> list[list[Mark]]:
    """Marks of every step, one a critic that scores steps; critics whose scores do not fit the steps say nothing."""
    steps = attempt.trajectory.steps
    marks: list[list[Mark]] = [[] for _ in steps]
    for said in attempt.critiques:
        if not steps or len(said.step_scores) != len(steps):
            continue
        reasons = said.text.splitlines()
        verdicts = all(score in (0.0, 1.0) for score in said.step_scores)
        for i, score in enumerate(said.step_scores):
            words = _reason(reasons[i]) if len(reasons) == len(steps) else ""
            marks[i].append(Mark(said.critic, _shown(score, verdicts), score >= PASS, words))
    return marks


def whole_marks(attempt: Attempt) -> list[Mark]:
    """What every critic says of the whole attempt."""
    marks = []
    for said in attempt.critiques:
        if said.score is None:
            marks.append(Mark(said.critic, "no score", False, said.error or ""))
        else:
            marks.append(Mark(said.critic, _shown(said.score, said.score in (0.0, 1.0)), said.score >= PASS))
    return marks


def _shown(score: float, verdict: bool) -> str:
    return ("✓" if score > 0 else "✗") if verdict else f"{score:.2f}"


def _reason(line: str) -> str:
    """The oracle's word for a step, as a clause; nothing for a right step."""
    status, _, detail = line.partition(": ")
    if status == "right":
        return ""
    if status in WORDS:
        return WORDS[status]
    fault = {"wrong (perception)": "misreads the picture", "wrong (logic)": "does not follow"}.get(status, status)
    return f"{fault}: {detail}" if detail else fault
