"""What a critic is worth on answers that are there: the best of k by its scores, beside majority and an oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mmevolve.benchmarks.ask import OneByOne
from mmevolve.benchmarks.critic_named import NamedCritic, judged
from mmevolve.benchmarks.figures import Figure, cluster
from mmevolve.benchmarks.load import Loaded
from mmevolve.benchmarks.read import shown
from mmevolve.benchmarks.score import Scored
from mmevolve.metrics.best_of_n import by_critic, by_majority, by_oracle, classes
from mmevolve.statistics import mean_interval
from mmevolve.store import RunStore
from mmevolve.text import split_steps
from mmevolve.types import Sample, Step, Trajectory


@dataclass(frozen=True)
class Rank:
    """Asks a critic for the score of each stored response.

    Attributes:
        given: the responses as attempts, one a step a line.
        n: responses a question.
    """

    given: tuple[Trajectory, ...]
    n: int

    def attempts(self, critic: NamedCritic, asked: Sequence[tuple[Sample, int]]) -> list[Trajectory]:
        """The same attempts with the score in `sampling`; None where the critic could not judge."""
        by_id = {t.id: t for t in self.given}
        items = [(replace(s, choices=()), by_id[_name(s.id, j)]) for s, j in asked]
        said = judged(critic.whole, items)
        return [
            replace(t, sampling={"score": c.score, "error": c.error}) for (_, t), c in zip(items, said, strict=True)
        ]


def best_of(critic: NamedCritic, loaded: Loaded, scored: Sequence[Scored], store: RunStore, batch: int) -> list[Figure]:
    """Accuracy of picking one of k responses for k = 1, 2, 4, ...: by the critic, by majority, by an oracle.

    Each is the exact mean over all ways to draw k of the n responses, and then over questions, with its interval.

    Raises:
        ValueError: when questions have only one response each.
    """
    questions: dict[str, list[Scored]] = {}
    for s in scored:
        questions.setdefault(s.sample.id, []).append(s)
    n = min(map(len, questions.values()))
    if n < 2:
        raise ValueError(f"{loaded.spec.name}: one response a question, the best of several needs at least two (--n)")
    by_id = {s.id: s for s in loaded.samples}
    given = tuple(_attempt(s, j) for name in questions for j, s in enumerate(questions[name]))
    asked = [by_id[name] for name in questions]
    made = store.once("", "ranked", OneByOne(batch), critic, Rank(given, n), asked)
    score = {t.id: t.sampling["score"] for t in made}
    clusters = [cluster(loaded.spec, by_id[name]) for name in questions]
    found = []
    for k in _sizes(n):
        rows = [_row(answers[:n], [score[_name(name, j)] for j in range(n)], k) for name, answers in questions.items()]
        for word, values in zip(("best_of", "majority", "oracle"), zip(*rows, strict=True), strict=True):
            found.append(_figure(f"{word}@{k}", values, clusters))
    return found


def _row(answers: Sequence[Scored], scores: Sequence[float | None], k: int) -> tuple[float, float, float]:
    """Of one question: by the critic, by majority, by an oracle."""
    right = [s.outcome == "correct" for s in answers]
    said = classes([shown(s.read) for s in answers], answers[0].sample.choices)
    return by_critic(scores, right, k), by_majority(said, right, k), by_oracle(right, k)


def _figure(name: str, values: Sequence[float], clusters: Sequence[object]) -> Figure:
    ends = mean_interval(values, clusters=clusters)  # type: ignore[arg-type]
    told = math.isfinite(ends.low) and ends.high > ends.low
    low, high = (ends.low, ends.high) if told else (None, None)
    return Figure(name, ends.mean, low, high, len(values), len(set(clusters)), ends.mean, ends.mean)


def _attempt(s: Scored, number: int) -> Trajectory:
    steps = tuple(Step(line) for line in split_steps(s.response or "")) or (Step("-"),)
    return Trajectory(_name(s.sample.id, number), s.sample.id, "stored", steps, answer=shown(s.read))


def _name(question: str, number: int) -> str:
    return f"{question}/0/{number}"


def _sizes(n: int) -> Iterator[int]:
    k = 1
    while k <= n:
        yield k
        k *= 2
