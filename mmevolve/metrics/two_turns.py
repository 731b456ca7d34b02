"""What a second turn does to answers, fixing told apart from harming, with intervals and by kind of question."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from mmevolve.config.ranges import Range
from mmevolve.metrics.turns import (
    RATIOS,
    Outcomes,
    Pair,
    by_question,
    figures,
    first_of_each,
    first_wrong_kind,
    pairs,
    split,
)
from mmevolve.statistics import Interval, function_interval, wilson
from mmevolve.types import Group

NAME = "two_turns"


@dataclass(frozen=True)
class TwoTurns:
    """Accuracy of both turns, SCoRe's deltas, CL, CS, RSS and VISCO's gain, each with a paired bootstrap interval.

    Each number of `turns.figures` stands as `two_turns/<number>`, with `_low` and `_high`. Three forms:

    - `two_turns/` : the soft form. A question's chances are shares of its attempts: CL = sum P_a P_b / sum P_a, CS =
      sum (1 - P_a) P_c / sum (1 - P_a). Questions count alike.
    - `two_turns/hard/` : a question's first attempt alone, right or wrong.
    - `two_turns/graded/` : chances that a critic gives (a probability of being right), where one is named.

    With one attempt a question, soft and hard agree. `two_turns/<by>=<value>/` and `two_turns/first_wrong=<kind>/` are
    the soft form of the questions of one family, and of the attempts whose first wrong step is of one kind.
    `undefined` counts which of CL, CS, RSS and the gain are undefined, and NaN: CL where nothing was right at first, CS
    where nothing was wrong, RSS and the gain in both cases. Where all resamples agree, a share has Wilson's ends, with
    clusters for trials, and RSS and the gain have none. `questions` and `pairs` say what a number rests on.

    Papers: Yang et al. 2024, "Confidence v.s. Critique", arXiv:2412.19513 (CL, CS, RSS); SCoRe, arXiv:2409.12917
    (deltas); VISCO, arXiv:2412.02172 (gain); SCL, arXiv:2410.04055 (the four outcomes). The intervals are ours: whole
    questions, or whole pictures, are resampled, so before and after stay paired.

    Attributes:
        critic: the verifier; what it could not judge is not right.
        against: compare each revision with its parent, or the last of each chain with the attempt that began it.
        graded: a critic whose scores are chances of being right; empty for none.
        steps: a critic with step scores, for the kind of the first wrong step; empty for none.
        threshold: a step is wrong below it.
        by: the key of a sample's `meta` that tells families of questions; samples without it are in none.
        cluster: what is resampled whole: a question, or all questions about the same pictures.
        level: share of intervals that should hold the true value.
        draws: resamples.
        seed: of the resampling.

    Raises:
        KeyError: when a named critic said nothing about a sample's attempts.
        ValueError: when a revision's parent is not among the attempts, a graded score is not a chance, or step scores
            are not one a step.
    """

    critic: str = "answer"
    against: Literal["parent", "first"] = "first"
    graded: str = ""
    steps: str = ""
    threshold: float = 0.5
    by: str = "family"
    cluster: Literal["question", "picture"] = "question"
    level: Annotated[float, Range(0.5, 0.999)] = 0.95
    draws: Annotated[int, Range(1)] = 2000
    seed: int = 0

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for name, found in self.forms(groups):
            prefix = f"{NAME}/{name}/" if name else f"{NAME}/"
            rows = self.intervals(found)
            for key, interval in rows.items():
                numbers |= {prefix + key: interval.mean, f"{prefix}{key}_low": interval.low}
                numbers[f"{prefix}{key}_high"] = interval.high
            numbers[f"{prefix}undefined"] = float(sum(math.isnan(rows[key].mean) for key in RATIOS))
            numbers[f"{prefix}questions"] = float(len(by_question(found)))
            numbers[f"{prefix}pairs"] = float(len(found))
        return numbers

    def forms(self, groups: Sequence[Group]) -> Iterator[tuple[str, list[Pair]]]:
        """(name, pairs) of every form and every part."""
        found = pairs(groups, self.critic, self.against)
        yield "", found
        yield "hard", first_of_each(found)
        if self.graded:
            yield "graded", pairs(groups, self.graded, self.against, graded=True)
        for name, own in split(found, self._family):
            yield f"{self.by}={name}", own
        if self.steps:
            for name, own in split(found, lambda pair: first_wrong_kind(pair, self.steps, self.threshold)):
                yield f"first_wrong={name}", own

    def intervals(self, found: Sequence[Pair]) -> dict[str, Interval]:
        """All figures of these pairs; NaN of none."""
        rows: Mapping[str, Outcomes] = by_question(found)
        if not rows:
            nan = math.nan
            return dict.fromkeys(figures((nan,) * 4), Interval(nan, nan, nan, 0))
        pictures = {p.group.sample.id: p.group.sample.images or p.group.sample.id for p in found}
        clusters = [name if self.cluster == "question" else pictures[name] for name in rows]
        drawn = function_interval(
            list(rows.values()), figures, clusters=clusters, level=self.level, draws=self.draws, seed=self.seed
        )
        return {key: self._doubted(key, one, rows, clusters) for key, one in drawn.items()}

    def _doubted(
        self, key: str, drawn: Interval, rows: Mapping[str, Outcomes], clusters: Sequence[Hashable]
    ) -> Interval:
        """Wilson's ends where all resamples are alike, with clusters for trials: that is no proof without doubt."""
        if drawn.low != drawn.high:
            return drawn
        asked = {"cl": (0, 1), "cs": (2, 3)}.get(key, (0, 1, 2, 3))  # CL rests on what was right, CS on what was wrong
        trials = len({c for c, row in zip(clusters, rows.values(), strict=True) if any(row[i] > 0 for i in asked)})
        if key in ("rss", "visco_gain") or not (drawn.mean in (0.0, 1.0) or key == "delta"):
            return Interval(drawn.mean, math.nan, math.nan, drawn.n)
        if key != "delta":
            sure = wilson(trials if drawn.mean else 0, trials, level=self.level)
            return Interval(drawn.mean, sure.low, sure.high, drawn.n)
        doubt = wilson(0, trials, level=self.level).high
        far = max(-1.0, drawn.mean - 2 * doubt), min(1.0, drawn.mean + 2 * doubt)
        low, high = (-doubt, doubt) if not drawn.mean else far
        return Interval(drawn.mean, low, high, drawn.n)

    def _family(self, pair: Pair) -> str | None:
        value = pair.group.sample.meta.get(self.by)
        return None if value is None else str(value)
