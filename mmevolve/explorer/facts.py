"""What the explorer's filters ask about an attempt: verdict, disagreement, harm, alarms."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.report.honesty import ORACLE, PASS
from mmevolve.types import Critique, Trajectory

SURE = 0.9  # a learned score from which a wrong answer is an alarm
AGAIN = 3  # a step said as often as this is an alarm

# Name in links, label, rule. An attempt's flags are bits in this order.
FILTERS: tuple[tuple[str, str, str], ...] = (
    ("right", "right", "The verifier scores the answer above 0."),
    ("wrong", "wrong", "The verifier scores the answer 0."),
    ("disagree", "critics disagree", "Two critics are on different sides of one half, of a step or of the whole."),
    ("lucky", "right answer, wrong step", "The answer is right, yet a step scores below one half: by the oracle where "
     "it judged, else by any critic that scores steps."),
    ("harmed", "harmed by critique", "A revision with a wrong answer of an attempt that was right."),
    ("mended", "mended by critique", "A revision with a right answer of an attempt that was wrong."),
    ("alarm", "alarms", "A critic failed, the attempt was cut off, repeats itself or has no answer, or a learned "
     f"critic scores a wrong answer {SURE} or more."),
    ("trained", "trained on", "Became a training row."),
    ("revision", "revisions", "Written to revise another attempt."),
)  # fmt: skip
NAMES = tuple(name for name, _, _ in FILTERS)


@dataclass(frozen=True)
class Facts:
    """Facts about one attempt.

    Attributes:
        right: the verifier's verdict; None when it gave none.
        disagree: whether two critics are on different sides.
        lucky: a right answer with a wrong step.
        was_right: the verdict on the attempt that this one revises; None when there is none.
        alarms: what is wrong with it, a sentence each.
        low: lowest step score by any critic; None when no step was scored.
        gap: largest difference between two critics, of a step or of the whole.
    """

    right: bool | None
    disagree: bool
    lucky: bool
    was_right: bool | None
    alarms: tuple[str, ...]
    low: float | None
    gap: float

    def bits(self, *, trained: bool, revision: bool) -> int:
        """The flags as one number, in the order of `FILTERS`."""
        harmed = self.was_right is True and self.right is False
        mended = self.was_right is False and self.right is True
        flags = (
            self.right is True, self.right is False, self.disagree, self.lucky, harmed, mended, bool(self.alarms),
            trained, revision,
        )  # fmt: skip
        return sum(1 << i for i, flag in enumerate(flags) if flag)


def of(
    trajectory: Trajectory,
    critiques: Sequence[Critique],
    verifier: str | None,
    learned: Sequence[str],
    was_right: bool | None,
) -> Facts:
    """The facts about an attempt.

    Args:
        trajectory: the attempt.
        critiques: what was said of it.
        verifier: the critic whose verdict is right or wrong.
        learned: critics that score steps by degrees.
        was_right: the verdict on the attempt that it revises.
    """
    by = {c.critic: c for c in critiques}
    verdict = by[verifier].score if verifier in by else None
    right = None if verdict is None else verdict > 0
    n = len(trajectory.steps)
    steps = {c.critic: c.step_scores for c in critiques if n and len(c.step_scores) == n}
    truth = [steps[ORACLE]] if ORACLE in steps else list(steps.values())
    low = min((s for scores in steps.values() for s in scores if not math.isnan(s)), default=None)
    sides = [[c.score for c in critiques if c.score is not None], *zip(*steps.values(), strict=True)]
    gap = max((_gap(scores) for scores in sides), default=0.0)
    disagree = any(min(s) < PASS <= max(s) for s in sides if len(s) > 1)
    lucky = right is True and any(s < PASS for scores in truth for s in scores)
    return Facts(
        right, disagree, lucky, was_right, tuple(_alarms(trajectory, critiques, right, learned)), low, round(gap, 4)
    )


def _gap(scores: Sequence[float]) -> float:
    """Largest difference of scores, each held within 0 and 1."""
    held = [min(1.0, max(0.0, s)) for s in scores if not math.isnan(s)]
    return max(held) - min(held) if len(held) > 1 else 0.0


def _alarms(
    trajectory: Trajectory, critiques: Sequence[Critique], right: bool | None, learned: Sequence[str]
) -> list[str]:
    found = []
    n = len(trajectory.steps)
    if trajectory.stop_reason != "stop":
        why = {"length": "Cut off at the token limit.", "error": "Writing ended in an error."}
        found.append(why.get(trajectory.stop_reason, f"Ended by '{trajectory.stop_reason}'."))
    if trajectory.answer is None:
        found.append("No answer was found in it.")
    text, times = Counter(s.text for s in trajectory.steps).most_common(1)[0] if n else ("", 0)
    if times >= AGAIN:
        found.append(f"Says the same step {times} times: {text[:60]}")
    for c in critiques:
        if c.score is None:
            found.append(f"{c.critic} gave no score: {c.error or 'no reason given'}.")
        elif not math.isfinite(c.score):
            found.append(f"{c.critic} gave {c.score}, which is no number.")
        elif right is False and c.critic in learned and c.score >= SURE:
            found.append(f"{c.critic} gives a wrong answer {c.score:.2f}.")
        if c.step_scores and len(c.step_scores) != n:
            found.append(f"{c.critic} scored {len(c.step_scores)} steps, the attempt has {n}.")
    return found
