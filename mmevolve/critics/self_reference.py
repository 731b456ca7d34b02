"""A judge that answers the question itself before it judges the answers of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from mmevolve.answers import extract
from mmevolve.config.ranges import Range
from mmevolve.critics.judge import Judge
from mmevolve.critics.look_back_calls import Draw, Prompt
from mmevolve.critics.pairwise_judge import PairwiseJudge
from mmevolve.critics.shown import seen
from mmevolve.prompts import template
from mmevolve.text import ask
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class SelfReference:
    """The scores of a judge that has its own answer to the question in sight, written before it saw any attempt.

    The judge is `critics.Judge` or `critics.PairwiseJudge` with a template that has `{reference}`. Its own answer is
    drawn once a question; the critique's text begins with what it came to. Where it has none, nothing is judged. Such a
    judge is as good as its own answers: where these are wrong it may be worse than one without.

    Paper: Bao et al. 2024, "Aligning Large Language Models from Self-Reference AI Feedback with one General Principle",
    arXiv:2406.11190 (the annotator answers, criticises both candidates in the light of its own answer, then prefers
    one; in both orders).
    Differs: one call criticises and judges; no strength of the preference from perplexities; one attempt can be judged
    by itself, too; the words of the prompts.

    Attributes:
        by: the judge, with `words: judge_reference` or `words: judge_pair_reference`.
        name: the column other parts refer to.
        prompt: template under which the judge answers the question itself.
        temperature: of its own answer; 0 is greedy.
        max_tokens: its longest own answer.
        seed: of the draws.

    Raises:
        ValueError: when the judge's template lacks the reference.
    """

    by: Judge | PairwiseJudge
    name: str = "self_reference"
    prompt: str = "reason"
    temperature: Annotated[float, Range(0.0)] = 0.0
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if "{reference}" not in template(self.by.words):
            near = "judge_pair_reference" if isinstance(self.by, PairwiseJudge) else "judge_reference"
            raise ValueError(
                f"prompt '{self.by.words}' of critic '{self.name}' has no field {{reference}}: the judge's own answer "
                f"would not be in sight, expected a template such as '{near}'"
            )

    @property
    def sees_image(self) -> bool:
        return self.by.sees_image

    @property
    def sees_outcome(self) -> bool:
        return self.by.sees_outcome

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        own = self._own({s.id: s for s, _ in items})
        judged = iter(
            self.by.judged([(s, t) for s, t in items if s.id in own], {k: text for k, (text, _) in own.items()})
        )
        for sample, t in items:
            if sample.id not in own:
                yield Critique(t.id, self.name, None, error="the judge gives no answer of its own")
                continue
            said = next(judged)
            text = f"own answer: {own[sample.id][1]}\n{said.text}".rstrip("\n")
            yield replace(said, critic=self.name, text=text)

    def _own(self, samples: dict[str, Sample]) -> dict[str, tuple[str, str]]:
        """The judge's own attempt at each question, and the answer in it; none where it wrote nothing."""
        looking = self.by.sees_image
        prompts = [Prompt.of(ask(seen(s, looking), template(self.prompt))) for s in samples.values()]
        draw = Draw(1, self.temperature, self.max_tokens, self.seed)
        replies = self.by.calls.replies("own answers", self.by.judge, prompts, draw)
        written = {s.id: (s, reply[0].strip()) for s, reply in zip(samples.values(), replies, strict=True) if reply}
        return {
            name: (text, extract(text, choices=s.choices) or "none could be read")
            for name, (s, text) in written.items()
            if text
        }
