"""Majority vote among the attempts that a check lets pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmevolve.answers import equal
from mmevolve.critics.shown import by_sample
from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class SelfCheckVote:
    """Share of the sample's attempts that pass the check and give the attempt's answer; others have no vote.

    Attempts that the check finds wrong, or cannot judge, are dropped, and the rest vote. A dropped attempt whose answer
    others still hold has their score: the vote is for answers. Where nothing passes, `nothing` decides: all attempts
    vote, as if there were no check, or all score 0. An attempt without an answer scores 0. To weigh votes by how sure
    the check is, instead of dropping some, use `critics.WeightedVote` with `critics.PTrue`.

    Paper: Luo et al. 2023, "Critique Ability of Large Language Models", arXiv:2310.04815 (self-check: the model judges
    its own samples, those that it calls wrong are left out of the vote).
    Differs: the fallback, and the threshold on the check's score, are ours.

    Attributes:
        check: judges each attempt; the policy itself in the paper, such as `critics.YesNo` or `critics.PTrue`.
        passes: an attempt passes with a score above it.
        nothing: what decides where no attempt passes.
        name: the column other parts refer to.
    """

    check: Critic
    passes: float = 0.5
    nothing: Literal["vote", "zero"] = "vote"
    name: str = "self_check_vote"

    @property
    def sees_image(self) -> bool:
        return self.check.sees_image  # type: ignore[attr-defined]

    @property
    def sees_outcome(self) -> bool:
        return self.check.sees_outcome  # type: ignore[attr-defined]

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        said = {c.trajectory_id: c for c in self.check(items)}
        passing = {name for name, c in said.items() if c.score is not None and c.score > self.passes}
        shares: dict[str, float] = {}
        kept: dict[str, str] = {}
        for sample, tried in by_sample(items).values():
            voters = [t for t in tried if t.id in passing]
            kept |= {t.id: f"{len(voters)} of {len(tried)} attempts pass" for t in tried}
            if not voters and self.nothing == "vote":
                voters = tried
            for t in tried:
                own = [v for v in voters if t.answer is not None and _same(sample, t.answer, v.answer)]
                shares[t.id] = len(own) / len(voters) if voters else 0.0
        for _, t in items:
            yield Critique(t.id, self.name, shares[t.id], text=kept[t.id], sees_image=said[t.id].sees_image)


def _same(sample: Sample, answer: str, other: str | None) -> bool:
    return other is not None and equal(other, answer, choices=sample.choices)
