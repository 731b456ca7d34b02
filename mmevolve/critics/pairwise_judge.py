"""A model that says which of two attempts is better; a question's attempts become scores by how often they win."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Annotated, ClassVar

from mmevolve.answers import judge_reply
from mmevolve.answers.pair_verdicts import Compared, Outcome, written
from mmevolve.config.ranges import Range
from mmevolve.critics.judge import NOTHING, refuse_unfilled
from mmevolve.critics.look_back_calls import Calls, Draw, Prompt
from mmevolve.critics.shown import Items, by_sample, seen
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.text import ask, stable_seed
from mmevolve.types import Critique, Sample, Trajectory

_SIDES: dict[str | None, tuple[Outcome, Outcome]] = {  # what a verdict means for the one shown first, and the other
    "A": ("won", "lost"), "B": ("lost", "won"), "tie": ("tied", "tied"), None: ("unread", "unread"),
}  # fmt: skip


@dataclass(frozen=True)
class PairwiseJudge:
    """Share of its comparisons with other attempts at the question that an attempt wins, a tie being half a win.

    Each pair is put to the judge in both orders, and only where both replies say the same does it count: a judge that
    likes whatever stands first would otherwise rank by place. An attempt that no comparison speaks of has no score. The
    critique's text has a line a comparison and the replies; `metrics.PairVerdicts` counts agreement and position bias.
    Attempts that say the same are one, and which pairs are asked does not depend on the order of the items.

    Paper: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", arXiv:2306.05685 (pairwise
    comparison in both orders).
    Differs: the paper takes verdicts that differ for a tie, here they count for nothing; the judge sees the picture;
    the words of the prompt; the win rate over a question's own attempts, of a bounded number of pairs.

    Attributes:
        judge: the model that is asked.
        name: the column other parts refer to.
        words: template with `{question}`, `{first}` and `{second}`.
        most: pairs of a question that are compared, at most; each is two calls. All of n attempts are n (n - 1) / 2
            pairs; n / 2 pairs compare each attempt once.
        sees_image: show the judge the pictures; false for one that reads text alone.
        temperature: 0 is greedy.
        max_tokens: longest reply.
        seed: of the choice of pairs, with the sample's id, and of the draws.

    Raises:
        ValueError: when the template lacks one of the two.
    """

    sees_outcome: ClassVar[bool] = False

    judge: VLM
    name: str = "pairwise"
    words: str = "judge_pair"
    most: Annotated[int, Range(1)] = 28
    sees_image: bool = True
    temperature: Annotated[float, Range(0.0)] = 0.0
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("{first}", "{second}"):
            if field not in template(self.words):
                raise ValueError(f"prompt '{self.words}' has no field {field}: critic '{self.name}' would not see it")

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        yield from self.judged(items)

    @cached_property
    def calls(self) -> Calls:
        """What was asked of the model since this critic was made, and what was spared."""
        return Calls()

    def judged(self, items: Items, references: Mapping[str, str] = NOTHING) -> Iterator[Critique]:
        """A critique an item; `references` are answers to compare with, by sample id.

        Raises:
            ValueError: when the template wants a reference and there is none.
        """
        refuse_unfilled(self.name, self.words, items, references)
        shown = {t.id: sample for sample, t in items}  # a variant's id is not the one that its attempts name
        speaks: dict[tuple[str, str], Trajectory] = {}  # for all attempts that say the same: the first sampled
        rows: dict[str, list[Compared]] = {}
        pairs: list[tuple[Trajectory, Trajectory]] = []
        for sample, tried in by_sample(items).values():
            own: dict[str, Trajectory] = {}
            for t in tried:
                if t.steps:
                    own.setdefault(t.text, t)
            speaks |= {(sample.id, text): t for text, t in own.items()}
            rows |= {t.id: [] for t in own.values()}
            pairs += self._pairs(sample, list(own.values()))
        ordered = [pair for one, other in pairs for pair in ((one, other), (other, one))]
        prompts = [self._prompt(shown[a.id], a, b, references) for a, b in ordered]
        draw = Draw(1, self.temperature, self.max_tokens, self.seed)
        replies = self.calls.replies("comparisons", self.judge, prompts, draw)
        for (one, other), there, back in zip(pairs, replies[::2], replies[1::2], strict=True):
            (a1, b1), (b2, a2) = self._sides(there), self._sides(back)
            rows[one.id].append(Compared(other.id, a1, a2, "".join(there)))
            rows[other.id].append(Compared(one.id, b2, b1, "".join(back)))
        for sample, t in items:
            yield self._critique(sample, t, speaks.get((sample.id, t.text)), rows)

    def _pairs(self, sample: Sample, attempts: Sequence[Trajectory]) -> list[tuple[Trajectory, Trajectory]]:
        """The pairs that are compared: the rounds of a tournament in which everybody meets everybody.

        In a round each attempt is in one pair (of an odd number one sits out), so few pairs reach every attempt, and a
        bounded number compares each as often as the others, give or take one or two.
        """
        ring: list[Trajectory | None] = list(attempts)
        Random(stable_seed(self.seed, "pairs", sample.id)).shuffle(ring)
        ring += [None] * (len(ring) % 2)
        found = []
        for _ in ring[1:]:
            facing = zip(ring[: len(ring) // 2], reversed(ring), strict=False)
            found += [(one, other) for one, other in facing if one is not None and other is not None]
            ring = [ring[0], ring[-1], *ring[1:-1]]
        return found[: self.most]

    def _prompt(self, sample: Sample, one: Trajectory, other: Trajectory, references: Mapping[str, str]) -> Prompt:
        fields = {"reference": references.get(sample.id, ""), "first": one.text, "second": other.text}
        return Prompt.of(ask(seen(sample, self.sees_image), template(self.words), **fields))

    def _sides(self, reply: tuple[str, ...]) -> tuple[Outcome, Outcome]:
        verdict = judge_reply.better(reply[0]) if reply else None
        self.calls.unread["comparisons"] += verdict is None
        return _SIDES[verdict]

    def _critique(
        self, sample: Sample, t: Trajectory, speaker: Trajectory | None, rows: Mapping[str, list[Compared]]
    ) -> Critique:
        if speaker is None:
            return Critique(t.id, self.name, None, error="the attempt has no steps")
        own = rows[speaker.id]
        agreed = [row.agreed for row in own if row.agreed is not None]
        text = written(own) if speaker.id == t.id else f"the same as {speaker.id}"
        looked = self.sees_image and bool(sample.images)
        if agreed:
            score = (agreed.count("won") + agreed.count("tied") / 2) / len(agreed)
            return Critique(t.id, self.name, score, text=text, sees_image=looked)
        error = f"none of {len(own)} comparisons has one verdict in both orders"
        error = error if own else "there is no other attempt, or no pair left, to compare it with"
        return Critique(t.id, self.name, None, text=text, sees_image=looked, error=error)
