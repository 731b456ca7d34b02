"""How much of the answer space is still explored: several right ways, their number, and the entropy of the tokens."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.metrics.mean import mean
from mmevolve.types import Group, Trajectory

_WORKING = re.compile(r"[^=]*=[^=]*")


@dataclass(frozen=True)
class PassAtKS:
    """Chance that k attempts hold at least s different right ones (pass@k-s), without bias, from n >= k attempts.

    Texts are different when their words are; with s = 1 this is pass@k. It is exact over all ways to draw k of n.

    Paper: B-STaR, arXiv:2412.17256 (Pass@K-S: at least S unique correct responses among K); Chen et al. 2021,
    arXiv:2107.03374, Eq. 1 (the average over draws).

    Attributes:
        k: attempts allowed.
        s: different right attempts that must be among them.
        critic: the verifier.

    Raises:
        ValueError: when a sample has fewer than k attempts, or s is above k.
    """

    k: Annotated[int, Range(1)] = 8
    s: Annotated[int, Range(1)] = 2
    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        if self.s > self.k:
            raise ValueError(f"pass@{self.k}-{self.s}: {self.k} attempts cannot hold {self.s} different ones")
        chances = []
        for group in groups:
            n = len(group.trajectories)
            if n < self.k:
                raise ValueError(f"pass@{self.k}-{self.s} needs {self.k} attempts, sample '{group.sample.id}' has {n}")
            sizes = list(Counter(words(t) for t in right(group, self.critic)).values())
            chances.append(at_least(sizes, n, self.k, self.s))
        return {f"pass@{self.k}-{self.s}": mean(chances)}


@dataclass(frozen=True)
class DistinctPaths:
    """Mean number a sample of different right paths, by their words and by their workings.

    `distinct_right_paths` counts different texts, `distinct_right_workings` different sets of lines that hold an equals
    sign: two ways of saying the same sums are one working. Right attempts without such a line have no working.

    Paper: B-STaR, arXiv:2412.17256 (distinct equations).

    Attributes:
        critic: the verifier that says which are right.
    """

    critic: str = "answer"

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        passed = [right(group, self.critic) for group in groups]
        sums = [{frozenset(_workings(t)) for t in kept} - {frozenset()} for kept in passed]
        return {
            "distinct_right_paths": mean([len({words(t) for t in kept}) for kept in passed]),
            "distinct_right_workings": mean([len(found) for found in sums]),
        }


@dataclass(frozen=True)
class Entropy:
    """Mean surprise of the sampled tokens, in nats, from the log-probabilities that were stored with them.

    `token_entropy` is the mean of -log p over a sample's tokens, then over samples: an estimate, without bias at
    temperature 1, of the entropy of the policy's next token; at another temperature, and with top-k or top-p, it is the
    cross-entropy of what was drawn and the untempered policy. `sequence_entropy` is the same a whole attempt.
    `entropy_unknown` is the share of attempts without log-probabilities, which are left out.
    """

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        a_token, an_attempt, unknown = [], [], []
        for group in groups:
            known = [t for t in group.trajectories if t.logprobs]
            unknown += [not t.logprobs for t in group.trajectories]
            if known:
                a_token.append(mean([-p for t in known for p in t.logprobs]))
                an_attempt.append(mean([-sum(t.logprobs) for t in known]))
        return {
            "token_entropy": mean(a_token),
            "sequence_entropy": mean(an_attempt),
            "entropy_unknown": mean(unknown),
        }


def at_least(sizes: Sequence[int], n: int, k: int, s: int) -> float:
    """Chance that k of n things, drawn without putting back, hold members of at least s of the classes.

    Args:
        sizes: members of each class; the rest of the n belong to none.
        n: things.
        k: draws.
        s: classes wanted.
    """
    ways = {(0, 0): 1}  # (drawn, classes seen) -> ways
    for size in sizes:
        grown: dict[tuple[int, int], int] = {}
        for (drawn, seen), count in ways.items():
            for take in range(min(size, k - drawn) + 1):
                key = (drawn + take, seen + (take > 0))
                grown[key] = grown.get(key, 0) + count * math.comb(size, take)
        ways = grown
    others = n - sum(sizes)
    good = sum(count * math.comb(others, k - drawn) for (drawn, seen), count in ways.items() if seen >= s)
    return good / math.comb(n, k)


def right(group: Group, critic: str) -> list[Trajectory]:
    """The attempts that a critic passes, in order."""
    scores = zip(group.trajectories, group.scores(critic), strict=True)
    return [t for t, score in scores if score is not None and score > 0]


def words(trajectory: Trajectory) -> str:
    """An attempt's text without what makes no difference: case and white space."""
    return " ".join(trajectory.text.lower().split())


def _workings(trajectory: Trajectory) -> list[str]:
    lines = ("".join(step.text.lower().split()) for step in trajectory.steps)
    return [line for line in lines if _WORKING.fullmatch(line)]
