"""What a review without feedback does: accuracy before and after, and the confidence and critique behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mmevolve.metrics.correction import compared
from mmevolve.metrics.mean import mean
from mmevolve.metrics.turns import figures
from mmevolve.types import Group, Trajectory


@dataclass(frozen=True)
class SelfCorrection:
    """Two-turn accuracy, the four outcomes, CL, CS and RSS; every question counts alike.

    With a = `acc_t1`: `acc_t2` = a CL + (1 - a) CS; `delta` = `acc_t2` - a = `delta_i_to_c` - `delta_c_to_i`;
    `delta_i_to_c` = (1 - a) CS; `delta_c_to_i` = a (1 - CL); VISCO's correction score is CL + CS - 1.

    - `delta_i_to_c`, `delta_c_to_i`, `right_both`, `wrong_both`: shares of all attempts, the four outcomes of SCL.
    - `cl`: P(right after | right before); `cs`: P(right after | wrong before).
    - `rss`: (acc_t2 - a^2) / (2 a (1 - a)); above 1/2 the review helps. 0 is CL = a, CS = 0; 1 is CL = 1, CS = a.
    - `undefined`: how many of the three are undefined, and NaN: `cl` at a = 0, `cs` at a = 1, `rss` at both.
    - `unparsed_t1`, `unparsed_t2`: shares without an extractable answer, which count as wrong.

    Papers: SCoRe, arXiv:2409.12917 (the deltas); Yang et al. 2024, "Confidence v.s. Critique", arXiv:2412.19513 (CL,
    CS, RSS; with several attempts a question these are its sums over questions of P_a P_b and (1 - P_a) P_c); SCL,
    arXiv:2410.04055 (the four outcomes).

    Attributes:
        critic: the verifier; what it could not judge is not right.
        against: compare each revision with its parent, or the last of each chain with the attempt that began it.

    Raises:
        ValueError: when a revision's parent is not among the sample's attempts.
    """

    critic: str = "answer"
    against: Literal["parent", "first"] = "first"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        counted = [found for group in groups if (found := self._shares(group)) is not None]
        kept, fixed, broken, stuck, bare_1, bare_2 = (mean([f[i] for f in counted]) for i in range(6))
        numbers = figures((kept, broken, fixed, stuck))
        del numbers["visco_gain"]  # `TwoTurns` and `CorrectionGain` give it
        return {
            **numbers,
            "undefined": float(sum(math.isnan(numbers[name]) for name in ("cl", "cs", "rss"))),
            "unparsed_t1": bare_1,
            "unparsed_t2": bare_2,
        }

    def _shares(self, group: Group) -> tuple[float, ...] | None:
        """Of one sample: kept, fixed, broken, stuck, unparsed before and after; None without a revision."""
        pairs = list(compared(group.trajectories, self.against))
        if not pairs:
            return None
        scores = group.scores(self.critic)
        right = {t.id: s is not None and s > 0 for t, s in zip(group.trajectories, scores, strict=True)}

        def share(before: bool, after: bool) -> float:
            return mean([right[b.id] is before and right[a.id] is after for b, a in pairs])

        def bare(side: Sequence[Trajectory]) -> float:
            return mean([t.answer is None for t in side])

        outcomes = (share(True, True), share(False, True), share(True, False), share(False, False))
        return (*outcomes, bare([b for b, _ in pairs]), bare([a for _, a in pairs]))
