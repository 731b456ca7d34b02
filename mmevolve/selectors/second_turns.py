"""Second turns to learn from: a first attempt stays in sight, a right answer follows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.selectors.kept import demonstration
from mmevolve.text import conversation, stable_seed
from mmevolve.types import Demonstration, Group, Trajectory


@dataclass(frozen=True)
class SecondTurns:
    """Rows that teach the turn after a review prompt: keep what was right, mend what was wrong.

    The row's chat is the question, the first attempt and the review prompt; its completion is right. A row whose first
    attempt was right keeps (CLT), one whose first attempt was wrong mends (CST).

    - kind `own`: revisions that the policy wrote itself and that came out right.
    - kind `pairs`: first attempts are paired with a right attempt at the same question, whoever wrote it after what:
      a wrong one with one of the right ones, a right one with itself, so that keeping is learned as keeping.

    Papers: STaR, arXiv:2203.14465, on two-turn traces (`own`, as SCoRe's baseline of that name); Welleck et al. 2023,
    "Generating Sequences by Learning to Self-Correct", arXiv:2211.00053 (`pairs` with `keep: 0`: Pair-SFT); Confidence
    v. Critique, arXiv:2412.19513 (CLT and CST mixed: about 40 % CLT was best there).

    Attributes:
        kind: whose second turns.
        keep: share of the rows that keep a right attempt, in [0, 1]; rows of the kind of which there are too many are
            left out, by chance. None leaves the shares as they come.
        require: the critic that must score above 0; an attempt that it could not judge makes no row.
        most: rows a first attempt at most, of kind `pairs`.
        first: teach each completion under the plain prompt as well, so that first answers are not forgotten.
        prompt: template of the first turn.
        review: template of the second.
        seed: which right attempt follows, and which rows are left out.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    kind: Literal["own", "pairs"] = "pairs"
    keep: Annotated[float, Range(0.0, 1.0)] | None = None
    require: str = "answer"
    most: Annotated[int, Range(1)] = 1
    first: bool = False
    prompt: str = "question"
    review: str = "review"
    seed: int = 0

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        turns = self._own if self.kind == "own" else self._pairs
        rows = [(group, *turn) for group in groups for turn in turns(group)]
        keeps, mends = ([row for row in rows if row[1] is was] for was in (True, False))
        wanted = [*self._some(keeps, len(mends), self.keep), *self._some(mends, len(keeps), self._mend)]
        places = {id(row): i for i, row in enumerate(rows)}
        for group, _, before, after in sorted(wanted, key=lambda row: places[id(row)]):
            yield self._row(group, before, after)
            if self.first:
                yield demonstration(group, after, self.prompt)

    @property
    def _mend(self) -> float | None:
        return None if self.keep is None else 1 - self.keep

    def _own(self, group: Group) -> Iterator[tuple[bool, Trajectory, Trajectory]]:
        """(first was right, first attempt, its right revision)."""
        verdicts = self._verdicts(group)
        by_id = {t.id: t for t in group.trajectories}
        seen: set[tuple[str, str]] = set()
        for after in group.trajectories:
            before = by_id.get(after.parent or "")
            if before is None or before.parent is not None or not verdicts[after.id] or verdicts[before.id] is None:
                continue
            if not _whole(before, after) or (before.text, after.text) in seen:
                continue
            seen.add((before.text, after.text))
            yield bool(verdicts[before.id]), before, after

    def _pairs(self, group: Group) -> Iterator[tuple[bool, Trajectory, Trajectory]]:
        verdicts = self._verdicts(group)
        first = list({t.text: t for t in group.trajectories if t.parent is None and _whole(t)}.values())
        right = [t for t in first if verdicts[t.id]]
        for before in first:
            if verdicts[before.id]:
                yield True, before, before
            elif verdicts[before.id] is False:
                order = sorted(right, key=lambda t: stable_seed(self.seed, "after", before.id, t.id))
                yield from ((False, before, after) for after in order[: self.most])

    def _verdicts(self, group: Group) -> dict[str, bool | None]:
        scores = group.scores(self.require)
        return {t.id: None if s is None else s > 0 for t, s in zip(group.trajectories, scores, strict=True)}

    def _some(self, rows: list, others: int, share: float | None) -> list:
        """As many of the rows as make up this share beside the others."""
        if share is None or share >= 1:
            return rows
        most = round(others * share / (1 - share))
        return sorted(rows, key=lambda row: stable_seed(self.seed, "some", row[2].id, row[3].id))[:most]

    def _row(self, group: Group, before: Trajectory, after: Trajectory) -> Demonstration:
        chat = conversation(group.sample, template(self.prompt), template(self.review), [before.text])
        return Demonstration(chat, after.text, 1.0, source=after.id)


def _whole(*attempts: Trajectory) -> bool:
    """Whether all can be learned from: text, and an end that the policy wrote."""
    return all(t.text and t.stop_reason != "length" for t in attempts)
