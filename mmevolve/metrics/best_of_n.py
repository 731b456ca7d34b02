"""Best-of-N curves: what picking one of k attempts is worth, by a critic, by majority and by an oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmevolve.answers import equal
from mmevolve.metrics.mean import mean
from mmevolve.types import Group


@dataclass(frozen=True)
class BestOfN:
    """Expected accuracy of picking one of k attempts, for each k: by the critic, by vote, by an oracle.

    Each is the mean over all ways to draw k of the sample's n attempts, computed exactly; so it is without bias and
    needs no resampling. Ties are broken evenly. An attempt that the critic did not score ranks below all that it did,
    one without an answer has no vote, and one that the verifier could not judge is not right. The oracle's curve is
    pass@k; at k = 1 all three are the accuracy.

    Paper: Chen et al. 2021, arXiv:2107.03374, Eq. 1 (the oracle's curve; the others follow the same average over
    subsets); Wang et al. 2023, arXiv:2203.11171 (majority); Lightman et al. 2023, arXiv:2305.20050 (by critic).

    Attributes:
        ks: attempts to pick from.
        rank_by: the ranking critic.
        critic: the verifier.

    Raises:
        ValueError: when a sample has fewer attempts than the largest k.
    """

    ks: tuple[int, ...] = (1, 2, 4, 8)
    rank_by: str = "prm"
    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        rows = [self._row(group) for group in groups]
        numbers: dict[str, float] = {}
        for k in self.ks:
            ranked = [by_critic(scores, right, k) for scores, right, _ in rows]
            voted = [by_majority(answers, right, k) for _, right, answers in rows]
            ideal = [by_oracle(right, k) for _, right, _ in rows]
            numbers |= {f"best_of@{k}_{self.rank_by}": mean(ranked)}
            numbers |= {f"majority@{k}": mean(voted), f"oracle@{k}": mean(ideal)}
        return numbers

    def _row(self, group: Group) -> tuple[list[float | None], list[bool], list[int | None]]:
        n, least, most = len(group.trajectories), min(self.ks, default=0), max(self.ks, default=0)
        if n < most or least < 1:
            raise ValueError(f"best-of-N with ks={self.ks} on {n} attempts (sample '{group.sample.id}'): 1 to {n} fit")
        right = [s is not None and s > 0 for s in group.scores(self.critic)]
        answers = [t.answer for t in group.trajectories]
        return group.scores(self.rank_by), right, classes(answers, group.sample.choices)


def by_oracle(right: Sequence[bool], k: int) -> float:
    """Chance that some of k drawn attempts is right."""
    n, c = len(right), sum(right)
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def by_critic(scores: Sequence[float | None], right: Sequence[bool], k: int) -> float:
    """Chance that the highest-scored of k drawn attempts is right.

    The top of a draw lies in a run of ties with b members and r attempts above it in
    (C(n - r, k) - C(n - r - b, k)) of the C(n, k) draws, and is then any of the b.
    """
    n, ways, above = len(scores), 0.0, 0
    for level in sorted({s for s in scores if s is not None}, reverse=True) + [None] * (None in scores):
        tied = [r for s, r in zip(scores, right, strict=True) if s == level]
        tops = math.comb(n - above, k) - math.comb(n - above - len(tied), k)
        ways += tops * mean(tied)
        above += len(tied)
    return ways / math.comb(n, k)


def by_majority(answers: Sequence[int | None], right: Sequence[bool], k: int) -> float:
    """Chance that the most frequent answer among k drawn attempts is right; answers are given as classes.

    For each answer and each number m of its votes the draws are counted in which every other answer has fewer votes, or
    as many in t of them, which then share the win evenly: an exact count over the classes' sizes, not over draws.
    """
    sizes = {a: sum(b == a for b in answers) for a in answers}
    silent = sizes.pop(None, 0)
    value = {a: mean([r for b, r in zip(answers, right, strict=True) if b == a]) for a in sizes}
    chance = 0.0
    for answer, worth in value.items():
        if worth:
            others = tuple(sorted(size for a, size in sizes.items() if a != answer))
            chance += worth * sum(
                math.comb(sizes[answer], m) * ways / (tied + 1)
                for m in range(1, min(k, sizes[answer]) + 1)
                for tied, ways in _rest(others, silent, k - m, m).items()
            )
    return chance / math.comb(len(answers), k)


def classes(answers: Sequence[str | None], choices: Sequence[str] = ()) -> list[int | None]:
    """Index of the first answer that each equals by the verifier's rule, so that `12` and `12.0` are one answer."""
    firsts: list[tuple[int, str]] = []
    found: list[int | None] = []
    for i, answer in enumerate(answers):
        same = None if answer is None else next((j for j, a in firsts if equal(a, answer, choices=choices)), i)
        if answer is not None and same == i:
            firsts.append((i, answer))
        found.append(same)
    return found


@lru_cache(maxsize=4_096)
def _rest(sizes: tuple[int, ...], silent: int, votes: int, most: int) -> dict[int, int]:
    """Ways to draw `votes` attempts of the other answers, none with over `most`: by how many answers have `most`."""
    ways = {(0, 0): 1}  # (drawn, answers with `most` votes) -> ways
    for size in sizes:
        grown: dict[tuple[int, int], int] = {}
        for (drawn, tied), count in ways.items():
            for take in range(min(size, most, votes - drawn) + 1):
                key = (drawn + take, tied + (take == most))
                grown[key] = grown.get(key, 0) + count * math.comb(size, take)
        ways = grown
    total: dict[int, int] = {}
    for (drawn, tied), count in ways.items():
        total[tied] = total.get(tied, 0) + count * math.comb(silent, votes - drawn)
    return total
