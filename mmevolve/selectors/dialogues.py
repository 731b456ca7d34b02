"""Rows from which a model learns to read a conversation: its own attempts, with another one as the turn after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from mmevolve.prompts import template
from mmevolve.selectors.kept import demonstration
from mmevolve.text import ask, assistant, stable_seed
from mmevolve.types import Demonstration, Group, Trajectory

TOLD = ("binary", "first", "all")  # what feedback may name: nothing, the first wrong step, every wrong step


@dataclass(frozen=True)
class Dialogues:
    """Teach a model that knows single questions alone what a second turn is, and as little else as can be.

    Of every attempt at a question come up to three rows:

    - the attempt itself under the question, so that first answers stay what they are (self-distillation);
    - after a review prompt another attempt at the same question, whatever the verdict of either: a review becomes a
      second try, no better and no worse than the first;
    - of a wrong attempt, after feedback that says so and may name its wrong steps, a right attempt that repeats none of
      the steps named; attempts take the three kinds of feedback in turn.

    A large VLM has read such conversations before it is ever asked to review itself; this gives the tiny VLM the same
    start. Paper: none; the first kind of row is sequence-level distillation (Kim and Rush 2016, arXiv:1606.07947) of a
    model into itself.

    Attributes:
        require: the verifier that says which attempts are wrong, and which are right.
        steps: the critic whose step scores below 0.5 name the wrong steps.
        review: template of the review.
        words: the feedback's templates, `<words>_binary`, `<words>_first`, `<words>_all`, as in `samplers.Feedback`.
        prompt: template of the question.
        seed: which attempt follows which.

    Raises:
        KeyError: when one of the critics said nothing about a group.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    require: str = "answer"
    steps: str = "oracle"
    review: str = "review"
    words: str = "feedback"
    prompt: str = "question"
    seed: int = 0

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        for group in groups:
            verdict = dict(zip((t.id for t in group.trajectories), group.scores(self.require), strict=True))
            group.scores(self.steps)  # a critic that said nothing is a slip, and is named
            said = group.by(self.steps)
            attempts = list({t.text: t for t in group.trajectories if t.text and t.stop_reason != "length"}.values())
            right = [t for t in attempts if (verdict[t.id] or 0.0) > 0]
            for i, before in enumerate(attempts):
                yield demonstration(group, before, self.prompt)
                again = self._drawn(before, [t for t in attempts if t is not before])
                if again is not None:
                    yield self._row(group, before, again, template(self.review))
                wrong = _wrong(before, said[before.id].step_scores if before.id in said else ())
                if verdict[before.id] == 0 and wrong:
                    yield from self._mended(group, before, wrong, right, TOLD[i % len(TOLD)])

    def _mended(
        self, group: Group, before: Trajectory, wrong: tuple[str, ...], right: list[Trajectory], told: str
    ) -> Iterator[Demonstration]:
        named = {"binary": (), "first": wrong[:1], "all": wrong}[told]
        after = self._drawn(before, [t for t in right if not {s.text for s in t.steps} & set(named)])
        if after is not None:
            yield self._row(group, before, after, template(f"{self.words}_{told}"), steps="\n".join(named))

    def _drawn(self, before: Trajectory, others: list[Trajectory]) -> Trajectory | None:
        return min(others, key=lambda t: stable_seed(self.seed, "after", before.id, t.id), default=None)

    def _row(self, group: Group, before: Trajectory, after: Trajectory, words: str, **fields: str) -> Demonstration:
        again = ask(replace(group.sample, images=()), words, **fields)
        chat = (*ask(group.sample, template(self.prompt)), assistant(before.text), *again)
        return Demonstration(chat, after.text, 1.0, source=after.id)


def _wrong(attempt: Trajectory, scores: tuple[float, ...]) -> tuple[str, ...]:
    """Texts of its wrong steps; none where they were not scored."""
    if len(scores) != len(attempt.steps):
        return ()
    return tuple(step.text for step, score in zip(attempt.steps, scores, strict=True) if score < 0.5)
