"""P(True): how likely a model finds that a proposed answer is true."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.critics.look_back_calls import Prompt
from mmevolve.critics.option_odds import Odds, odds_of
from mmevolve.critics.shown import by_sample, seen
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.text import ask, user
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class PTrue:
    """Probability of `(A) True` against `(B) False` when the model is asked whether the proposed answer is true.

    The score is p(true) / (p(true) + p(false)), in [0, 1], p over all tokens of the option. With `brainstorm` the model
    also sees other attempts at the question: its own samples, drawn at temperature 1, make it better calibrated.
    Nothing is written; attempts that say the same are asked about once. `metrics.Calibration` and `metrics.Honesty` say
    whether the probability is one (ECE, Brier score, AUROC).

    Paper: Kadavath et al. 2022, "Language Models (Mostly) Know What They Know", arXiv:2207.05221 (self-evaluation; with
    brainstormed samples).
    Differs: without examples in the prompt, whose words are ours; the brainstormed ideas are other attempts, the
    proposed one is not among them; renormalised over both options; the picture is seen.

    Attributes:
        judge: the model that is asked; the policy itself, in the paper.
        name: the column other parts refer to.
        words: template with `{question}` and `{attempt}`; `p_true_ideas` also has `{ideas}`.
        brainstorm: other first attempts at the question that are shown, at most, in sampling order.
        shows: what is proposed, and what an idea is: the whole attempt or its answer.
        true: the option that says that it is.
        false: the option that says that it is not.
        least: probability that both options must have together; below it there is no score.
        sees_image: show the judge the pictures; false for a judge that reads text alone.

    Raises:
        ValueError: when the template lacks the attempt, or has ideas and none are wanted, or lacks those that are.
    """

    sees_outcome: ClassVar[bool] = False

    judge: VLM
    name: str = "p_true"
    words: str = "p_true"
    brainstorm: Annotated[int, Range(0)] = 0
    shows: Literal["attempt", "answer"] = "attempt"
    true: str = "(A) True"
    false: str = "(B) False"
    least: Annotated[float, Range(0.0, 1.0)] = 0.0
    sees_image: bool = True

    def __post_init__(self) -> None:
        text = template(self.words)
        if "{attempt}" not in text:
            raise ValueError(f"prompt '{self.words}' has no field {{attempt}}: critic '{self.name}' would not see it")
        if ("{ideas}" in text) != (self.brainstorm > 0):
            has = "has a field" if "{ideas}" in text else "has no field"
            raise ValueError(
                f"critic '{self.name}': prompt '{self.words}' {has} {{ideas}} and brainstorm is {self.brainstorm}: "
                "expected `p_true_ideas` with brainstorm above 0, `p_true` with 0"
            )

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        others = by_sample(items) if self.brainstorm else {}
        prompts = [self._prompt(sample, t, others) for sample, t in items]
        asked = [p for p in dict.fromkeys(prompts) if p is not None]
        chats = [(user(prompt.text, prompt.images),) for prompt in asked]
        known = dict(zip(asked, odds_of(self.judge, chats, self.true, self.false), strict=True))
        for (sample, t), prompt in zip(items, prompts, strict=True):
            score, error = (None, f"the attempt has no {self._lacks}") if prompt is None else self._read(known[prompt])
            looked = self.sees_image and bool(sample.images)
            yield Critique(t.id, self.name, score, sees_image=looked, error=error)

    def _prompt(
        self, sample: Sample, t: Trajectory, others: dict[str, tuple[Sample, list[Trajectory]]]
    ) -> Prompt | None:
        proposed = self._shown(t)
        if not proposed:
            return None
        tried = others[sample.id][1] if others else []
        ideas = [self._shown(o) for o in tried if o.parent is None and o.id != t.id and self._shown(o)]
        text = "\n".join(f"- {idea}" for idea in ideas[: self.brainstorm]) or "- none"
        chat = ask(seen(sample, self.sees_image), template(self.words), attempt=proposed, ideas=text)
        return Prompt.of(chat)

    def _shown(self, t: Trajectory) -> str:
        return t.text if self.shows == "attempt" else t.answer or ""

    @property
    def _lacks(self) -> str:
        return "answer" if self.shows == "answer" else "steps"

    def _read(self, odds: Odds | None) -> tuple[float | None, str | None]:
        if odds is None:
            return None, f"'{self.true}' and '{self.false}' are the same tokens for this judge: give it other words"
        if math.isnan(odds.chance) or not odds.mass > self.least:
            return None, f"both options have {odds.mass:.2g} together, expected over {self.least:g}"
        return odds.chance, None
