"""A reward model that writes a critique of an attempt, and scores the attempt after reading it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from mmevolve.config.ranges import Range
from mmevolve.critics.written import Written
from mmevolve.protocols import Critic
from mmevolve.types import Critique, Sample, Trajectory

_LINE = re.compile(
    r"(?:step|look)\s{0,3}(\d{1,3})\s{0,3}:([^;]*)(;\s{0,3}\S{1,20}\s{0,3}(?=;))?(?:;\s{0,3}(?:right|wrong))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CritiqueReward:
    """The score that a model gives an attempt with the critique it wrote itself, with a gold one, or with none.

    The score is any real number, of which only differences between attempts at one question mean something. An
    attempt without steps, with a critique that was cut at the token limit, or without a gold one has no score.

    Paper: Zhang et al. 2025, "MM-RLHF", arXiv:2502.10391 (gold critiques in training, generated ones at test; one
    critique: the mean over several hurt). `gold` is its upper bound: the oracle's words give the verdict away.
    Differs: with `verdicts: rule` the model writes each step as it sees it and `compared` says whether that is what the
    attempt says, since a small model sees better than it compares.

    Attributes:
        model: a `models.CritiqueRewardModel`.
        critique: `generated` by the model, `gold` by another critic, or `none`: scored where a critique would begin.
        gold: whose critique is read with `gold`; it must write.
        verdicts: who says of a step whether it is right in a generated critique: the model itself, or a rule that puts
            the step as the model wrote it beside the attempt's (`compared`).
        name: the column other parts refer to.
        words: template of the task, with `{question}` and `{steps}`; it may have `{answer}`: that of the training.
        regions: show the boxes that steps cite.
        temperature: of generated critiques; 0 is greedy.
        max_tokens: longest critique.
        seed: of the draws.

    Raises:
        ValueError: when the template lacks the steps, `gold` is given without need or needed and not given, or a rule
            is to compare critiques that are not generated.
    """

    sees_image: ClassVar[bool] = True

    model: Any
    critique: Literal["generated", "gold", "none"] = "generated"
    gold: Critic | None = None
    verdicts: Literal["model", "rule"] = "model"
    name: str = "reward"
    words: str = "critique"
    regions: bool = False
    temperature: Annotated[float, Range(0.0)] = 0.0
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.writer  # refuses a template without the steps
        if (self.critique == "gold") != (self.gold is not None):
            got = "none" if self.gold is None else f"'{self.gold.name}'"
            raise ValueError(
                f"critic '{self.name}' reads {self.critique} critiques and got {got} as the critic who writes gold "
                "ones: expected one with `critique: gold`, and only then"
            )
        if self.verdicts == "rule" and self.critique != "generated":
            raise ValueError(
                f"critic '{self.name}' has verdicts by rule on {self.critique} critiques: expected generated ones"
            )

    @property
    def writer(self) -> Written:
        """The same model as a critic in words."""
        return Written(
            self.model, name=self.name, words=self.words, regions=self.regions,
            temperature=self.temperature, max_tokens=self.max_tokens, seed=self.seed,
        )  # fmt: skip

    @property
    def sees_outcome(self) -> bool:
        return self.gold is not None and getattr(self.gold, "sees_outcome", True)

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        whole = [(s, t) for s, t in items if t.steps]
        texts = self._texts(whole)
        scored = [(*item, text) for item, (text, error) in zip(whole, texts, strict=True) if error is None]
        scores = iter(self.model.score([self.writer.chat(s, t) for s, t, _ in scored], [c for *_, c in scored]))
        written = iter(texts)
        for sample, t in items:
            text, error = next(written) if t.steps else (None, "the attempt has no steps")
            score = next(scores) if error is None else None
            yield Critique(t.id, self.name, score, text=text or "", sees_image=bool(sample.images), error=error)

    def _texts(self, items: Sequence[tuple[Sample, Trajectory]]) -> list[tuple[str | None, str | None]]:
        """What is read before the score, and why there is nothing to read."""
        if self.critique == "none":
            return [(None, None)] * len(items)
        if self.gold is not None:
            said = list(self.gold(items))
            missing = f"critic '{self.gold.name}' wrote no critique"
            return [(c.text, None) if c.text else (None, c.error or missing) for c in said]
        cut = f"the critique was cut at {self.max_tokens} tokens"
        said = [(r.text, cut if r.stop_reason == "length" else None) for r in self.writer.replies(items)]
        if self.verdicts == "model":
            return said
        by_rule = [compared(text, [s.text for s in t.steps]) for (_, t), (text, _) in zip(items, said, strict=True)]
        return [(text, error) for text, (_, error) in zip(by_rule, said, strict=True)]


def compared(text: str, steps: Sequence[str]) -> str:
    """A critique that writes steps anew, each with the verdict that follows from comparing it with what stands there.

    Lines that write no step of these stay as they are.

    >>> compared("look 1 : 2 + 2 = 4", ["2 + 2 = 5"])
    'step 1 : 2 + 2 = 4 ; wrong'
    """
    lines = []
    for line in map(str.strip, text.splitlines()):
        found = _LINE.fullmatch(line)
        k = int(found[1]) if found else 0
        if found is None or not 1 <= k <= len(steps):
            lines.append(line)
            continue
        seen, stated = " ".join(found[2].split()), " ".join(steps[k - 1].split())
        came_to = f" ; {stated.split()[-1]}" if found[3] and stated else ""  # of a critique that says it, too
        lines.append(f"step {k} : {seen}{came_to} ; {'right' if seen == stated else 'wrong'}")
    return "\n".join(lines)
