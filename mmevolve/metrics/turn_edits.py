"""Does a second turn change anything? The sign that self-correction has collapsed into saying the same again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mmevolve.answers import equal
from mmevolve.answers.edit import distance
from mmevolve.metrics.correction import compared
from mmevolve.metrics.mean import mean
from mmevolve.types import Group, Trajectory


@dataclass(frozen=True)
class TurnEdits:
    """How far revisions are from what they revise; means over questions.

    - `turn_edit_ratio`: Levenshtein distance of the two texts, in characters, over their lengths together: 0 for the
      same text, 1 against an empty one.
    - `turn_unchanged`: share of revisions that repeat the text word for word.
    - `turn_same_answer`: share whose answer is the same by the verifier's rule; no answer twice is the same.

    A policy that learned not to correct itself has a ratio near 0 and a share of unchanged turns near 1, while its
    accuracies may look well: watch them with `schedules.Watch`.

    Paper: SCoRe, arXiv:2409.12917, Section 4 (edit distance ratios of base, STaR and SFT). Differs: the two shares are
    ours.

    Attributes:
        against: compare each revision with its parent, or the last of each chain with the attempt that began it.

    Raises:
        ValueError: when a revision's parent is not among the sample's attempts.
    """

    against: Literal["parent", "first"] = "parent"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        found = [(g.sample, pairs) for g in groups if (pairs := list(compared(g.trajectories, self.against)))]
        return {
            "turn_edit_ratio": mean([mean([edit_ratio(b.text, a.text) for b, a in pairs]) for _, pairs in found]),
            "turn_unchanged": mean([mean([b.text == a.text for b, a in pairs]) for _, pairs in found]),
            "turn_same_answer": mean([mean([_same(b, a, s.choices) for b, a in pairs]) for s, pairs in found]),
        }


def edit_ratio(before: str, after: str) -> float:
    """Levenshtein distance over the sum of lengths; 0 of two empty texts.

    >>> edit_ratio("kitten", "sitting") == 3 / 13
    True
    """
    return distance(before, after) / (len(before) + len(after)) if before or after else 0.0


def _same(before: Trajectory, after: Trajectory, choices: Sequence[str]) -> bool:
    if before.answer is None or after.answer is None:
        return before.answer is after.answer
    return equal(before.answer, after.answer, choices=choices)
