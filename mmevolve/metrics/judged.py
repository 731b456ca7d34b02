"""How a judge behaves: replies that could not be read, places that it prefers, items that its checklists hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmevolve.answers import checklist, pair_verdicts
from mmevolve.answers.pair_verdicts import Compared
from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class Unscored:
    """Share of attempts that a critic gave no score: its reply could not be read, or there was nothing to judge.

    Attributes:
        critic: whose scores are looked for.
    """

    critic: str = "judge"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        return {f"unscored_{self.critic}": mean([score is None for g in groups for score in g.scores(self.critic)])}


@dataclass(frozen=True)
class PairVerdicts:
    """Whether a pairwise judge judges attempts or their places. Every pair was asked in both orders and counts once.

    - `pairs_...`: pairs that were compared; `pairs_unread_...`: share of them in which a reply could not be read; all
      that follows is of the others.
    - `pairs_agree_...`: share with the same verdict in both orders, ties included; `pairs_tied_...`: of all, the share
      that both orders call a tie.
    - `position_bias_...`: share in which the same place won both times, whichever attempt stood there.
    - `prefers_first_...`: of the replies that name a winner, the share that names the one shown first; 0.5 is no
      preference, as both attempts of a pair were first once.

    Paper: Zheng et al. 2023, arXiv:2306.05685 (consistency and bias toward a position).

    Attributes:
        critic: a `critics.PairwiseJudge`, or a `critics.SelfReference` around one.
    """

    critic: str = "pairwise"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        pairs = [row for group in groups for row in self._pairs(group)]
        read = [row for row in pairs if "unread" not in (row.first, row.second)]
        winners = [won for row in read for won in ((row.first, "won"), (row.second, "lost")) if won[0] != "tied"]
        numbers = {
            "pairs": float(len(pairs)),
            "pairs_unread": mean(["unread" in (row.first, row.second) for row in pairs]),
            "pairs_agree": mean([row.agreed is not None for row in read]),
            "pairs_tied": mean([row.agreed == "tied" for row in read]),
            "position_bias": mean([{row.first, row.second} == {"won", "lost"} for row in read]),
            "prefers_first": mean([said == first for said, first in winners]),
        }
        return {f"{name}_{self.critic}": value for name, value in numbers.items()}

    def _pairs(self, group: Group) -> list[Compared]:
        """Each pair of a sample as the attempt with the lesser id tells it."""
        said = group.by(self.critic)
        return [row for name, c in said.items() for row in pair_verdicts.parse(c.text) if name < row.other]


@dataclass(frozen=True)
class ChecklistItems:
    """What checklists hold, and the pass rate over all of their items.

    - `items_passed_...`: of all items of all attempts that could be read, the share fulfilled; an attempt with a longer
      checklist counts for more, so this is not the mean score.
    - `items_unread_...`: share of items that were answered neither yes nor no.
    - `items_each_...`: items of an attempt's checklist, mean; `items_empty_...`: share of attempts without any.
    - `items_lines_left_...`: lines of an attempt's checklist that ask nothing, mean.

    Paper: Cook et al. 2024, arXiv:2410.03608 (TICK pools satisfied items over a data set).

    Attributes:
        critic: a `critics.Checklist`.
    """

    critic: str = "checklist"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        texts = [c.text for g in groups for c in g.by(self.critic).values()]
        lists = [[passes for _, passes in checklist.parse(text)] for text in texts]
        every = [passes for own in lists for passes in own]
        numbers = {
            "passed": mean([passes for passes in every if passes is not None]),
            "unread": mean([passes is None for passes in every]),
            "each": mean([len(own) for own in lists]),
            "empty": mean([not own for own in lists]),
            "lines_left": mean([checklist.not_read(text) for text in texts]),
        }
        return {f"items_{name}_{self.critic}": value for name, value in numbers.items()}
