"""Right attempts, and right refinements of wrong ones: the rows of critique-in-the-loop self-training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.selectors.kept import demonstration, passing
from mmevolve.text import ask, assistant, user
from mmevolve.types import Demonstration, Group, Trajectory


@dataclass(frozen=True)
class Refined:
    """Of each sample the right first attempts, and at most `refinements` right refinements, without repeats.

    Both stand under the question's own prompt: the policy learns to answer, not to refine. With `chains`, each kept
    refinement also makes a row with the wrong attempt and what was told of it before it. `rows`, the set that the
    policy began with, go before a round's own rows, in every round that keeps any.

    Paper: AutoMathCritique, arXiv:2411.16579 (right originals and right refinements, one refinement a question, with
    the first set, from the base model in each round; chains as an option).

    Attributes:
        require: the critic that must score above 0.
        originals: right first attempts a sample at most, in sampling order; None keeps all.
        refinements: right refinements a sample at most.
        chains: also learn to refine; what was told is read from `samplers.CritiqueInTheLoop`'s attempts.
        rows: further rows, such as those of `data.worked_examples`.
        dedup: keep one of several attempts with the same text.
        whole: leave out attempts that were cut at the token limit.
        prompt: prompt template of the rows.

    Raises:
        ValueError: when a chain is wanted of a refinement that was told nothing, or whose parent is not there.
    """

    example: ClassVar[type[Demonstration]] = Demonstration
    require: str = "answer"
    originals: Annotated[int, Range(1)] | None = None
    refinements: Annotated[int, Range(0)] = 1
    chains: bool = False
    rows: Sequence[Demonstration] = ()
    dedup: bool = True
    whole: bool = True
    prompt: str = "question"

    def __call__(self, groups: Iterable[Group]) -> Iterator[Demonstration]:
        begun = False
        for group in groups:
            for row in self._rows(group):
                if not begun:
                    yield from self.rows
                    begun = True
                yield row

    def _rows(self, group: Group) -> Iterator[Demonstration]:
        right = passing(group, self.require, dedup=self.dedup, whole=self.whole)
        for t in [t for t in right if t.parent is None][: self.originals]:
            yield demonstration(group, t, self.prompt)
        for t in [t for t in right if t.parent is not None][: self.refinements]:
            yield demonstration(group, t, self.prompt)
            if self.chains:
                yield self._chain(group, t)

    def _chain(self, group: Group, t: Trajectory) -> Demonstration:
        """The refinement after the attempt that it refines and what was told."""
        before = next((o for o in group.trajectories if o.id == t.parent), None)
        told = t.sampling.get("critique")
        if before is None or not told:
            lacks = f"its parent '{t.parent}' is not among the attempts" if before is None else "it was told nothing"
            raise ValueError(f"trajectory '{t.id}': {lacks}: chains are of samplers.CritiqueInTheLoop's attempts")
        chat = (*ask(group.sample, template(self.prompt)), assistant(before.text), user(told))
        return Demonstration(chat, t.text, source=t.id)
