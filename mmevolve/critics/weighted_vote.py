"""Votes weighted by a reward, and pseudo answers for questions without a label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from mmevolve.answers import equal
from mmevolve.config.ranges import Range
from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class WeightedVote:
    """Share of the weight of the sample's attempts that is behind the attempt's answer, in [0, 1].

    An attempt's weight is what another critic scores it; without a score or an answer it has none. When a sample's
    attempts have no weight at all, every one scores 0.

    Paper: M-STaR, arXiv:2412.17451 (pseudo answers by PRM-weighted vote); Li et al. 2023, arXiv:2206.02336.

    Attributes:
        weights: scores attempts with 0 or more, such as `critics.StepReward`.
        name: the column other parts refer to.

    Raises:
        ValueError: when a weight is below 0.
    """

    weights: Critic
    name: str = "weighted_vote"

    @property
    def sees_image(self) -> bool:
        return self.weights.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.weights.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        tally: dict[str, dict[str, list[float]]] = {}
        for (sample, t), said in zip(items, self.weights(items), strict=True):
            weight = said.score or 0.0
            if not weight >= 0:
                raise ValueError(
                    f"trajectory '{t.id}': critic '{said.critic}' scores {said.score}: a vote weighs 0 or more"
                )
            if t.answer is not None:
                votes = tally.setdefault(sample.id, {})
                votes.setdefault(_same(sample, t.answer, votes), []).append(weight)
        for sample, t in items:
            votes = tally.get(sample.id, {})
            total = math.fsum(w for own in votes.values() for w in own)
            own = [] if t.answer is None else votes[_same(sample, t.answer, votes)]
            yield Critique(t.id, self.name, math.fsum(own) / total if total else 0.0)


@dataclass(frozen=True)
class PseudoAnswer:
    """The verifier's verdict where there is a label, and 1 or 0 by a vote where there is none.

    An attempt at an unlabelled question is right when the vote gives its answer the highest score of the sample's
    attempts, and one above `least`; of several answers with that score the first sampled is the pseudo answer.
    Unlabelled is a sample without a reference answer, or with `unlabelled: true` in its `meta`: the latter for studies,
    where `unlabelled: oracle` judges by the hidden answer after all. Before round `mix_in` unlabelled questions have no
    score, so no row is made of them.

    Paper: M-STaR, arXiv:2412.17451 (prompt variation: pseudo labels, oracle, T_mix-in as a share of the training; here
    as a round).

    Attributes:
        vote: scores answers, such as `WeightedVote` or `critics.Vote`.
        verifier: judges labelled questions.
        unlabelled: judge them by vote, or by the hidden answer.
        mix_in: the first round in which unlabelled questions count.
        least: the pseudo answer's share of the vote must be above it.
        name: the column other parts refer to; `answer`, as it stands in for the verifier.
    """

    vote: Critic
    verifier: Critic
    unlabelled: Literal["vote", "oracle"] = "vote"
    mix_in: Annotated[int, Range(0)] = 0
    least: Annotated[float, Range(0.0, 1.0)] = 0.0
    name: str = "answer"

    @property
    def sees_image(self) -> bool:
        return self.vote.sees_image or self.verifier.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.vote.sees_outcome or self.verifier.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        open_ = [pair for pair in items if self._is_open(pair[0])]
        shares = {c.trajectory_id: c.score for c in self.vote(open_)} if open_ else {}
        winners: dict[str, tuple[float, str]] = {}
        for sample, t in sorted(open_, key=lambda pair: _index(pair[1])):
            share = shares[t.id]
            if t.answer is not None and share is not None and share > winners.get(sample.id, (self.least, ""))[0]:
                winners[sample.id] = share, t.answer
        verdicts = {c.trajectory_id: c for c in self.verifier([p for p in items if not self._is_open(p[0])])}
        for sample, t in items:
            if _is_unlabelled(sample) and t.round < self.mix_in:
                error = f"unlabelled questions count from round {self.mix_in} on"
                yield Critique(t.id, self.name, None, error=error)
            elif self._is_open(sample):
                answer = winners[sample.id][1] if sample.id in winners else None
                right = answer is not None and t.answer is not None and equal(t.answer, answer, choices=sample.choices)
                yield Critique(t.id, self.name, float(right), text="" if answer is None else f"pseudo answer {answer}")
            else:
                said = verdicts[t.id]
                yield Critique(t.id, self.name, said.score, said.step_scores, said.text, said.sees_image, said.error)

    def _is_open(self, sample: Sample) -> bool:
        """Whether a sample is judged by vote."""
        return _is_unlabelled(sample) and self.unlabelled == "vote"


def _is_unlabelled(sample: Sample) -> bool:
    return sample.answer is None or sample.meta.get("unlabelled") is True


def _index(trajectory: Trajectory) -> tuple[int, str]:
    """Sampling order, whatever the order of the items."""
    return len(trajectory.id), trajectory.id


def _same(sample: Sample, answer: str, answers: Sequence[str] | dict[str, list[float]]) -> str:
    """The first of the answers that equals this one by the verifier's rule, or else this one."""
    return next((a for a in answers if equal(a, answer, choices=sample.choices)), answer)
