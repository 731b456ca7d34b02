"""VISCO's measures of a critique, over any attempts whose truth is known: answer, step and explanation F1, VISCore."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmevolve.answers.same_point import same_point
from mmevolve.answers.written_critique import parse
from mmevolve.answers.yes_no import parse as yes_or_no
from mmevolve.metrics.mean import mean
from mmevolve.protocols import VLM
from mmevolve.text import fill, user
from mmevolve.types import Critique, Group, Sample, Trajectory

EXPLANATIONS = "step_explanations"  # column of `meta`: for each step the references why it is wrong
ASKS = (
    "Question: {question}\nA step of a solution: {step}\nIt is wrong, because: {reference}\n"
    "A critic says: {said}\nDoes the critic name the same error? Answer yes or no."
)


@dataclass(frozen=True)
class Judged:
    """One attempt under the critic and under the truth; True means wrong, the positive class.

    Attributes:
        answer_wrong: the truth of the answer; None where it is not known.
        answer_said: what the critic says of it; None where it says nothing.
        wrong: the truth of each step; None for a step without a label.
        said: what the critic says of each.
        credit: for each step that is wrong and called so, the share of references whose point the critic makes;
            None where no reference is known, 0 for all others.
    """

    answer_wrong: bool | None
    answer_said: bool | None
    wrong: tuple[bool | None, ...]
    said: tuple[bool | None, ...]
    credit: tuple[float | None, ...]


@dataclass(frozen=True)
class VISCO:
    """Answer F1, step F1 and explanation F1 with `wrong` as the positive class, and the cube root of their product.

    What the critic does not say is None: it is no hit and no alarm, and what is wrong stays to be found. An explanation
    counts where a step is wrong and called wrong, with the share of the references (VISCO has three) that a judge finds
    in it; precision is over the steps called wrong, recall over the wrong ones. Steps and answers are pooled. NaN
    where there is nothing to find, or no truth.

    The judge is the offline rule of `answers.same_point` unless a model is given. Only with the judge of the paper is
    the number called `viscore`; with another it is `viscore_local`, or has that judge's name.

    Paper: Wu et al. 2024, "VISCO", arXiv:2412.02172; reference code PlusLabNLP/VISCO, gpt_evaluate.py.
    Differs: a wrong step that is called wrong without a word earns nothing, where the code asks the judge about `None`;
    a judge that says neither yes nor no earns nothing, where the code takes all but `incorrect` for yes.

    Attributes:
        rank_by: the critic under test: its score is of the answer, its step scores of the steps, its text explains,
            as `written_critique` reads it or one line a step.
        oracle: the critic that labels the steps; its text, a line a step, is the reference where the sample has none.
        answer: the verifier of answers.
        threshold: what scores below is called wrong.
        by: columns of `meta` by whose values all is counted again, such as `critic_superskill`.
        judge: a model that is asked of each explanation and reference, greedily; None for the offline rule.
        called: what VISCore is called with that judge; by default `local`, and for a model its name.
        asks: what the judge is asked.
    """

    rank_by: str = "judge"
    oracle: str = "oracle"
    answer: str = "answer"
    threshold: float = 0.5
    by: tuple[str, ...] = ()
    judge: VLM | None = None
    called: str | None = None
    asks: str = ASKS

    def __call__(self, groups: Sequence[Group]) -> dict[str, float]:
        known = [(group.sample, judged) for group in groups for judged in self._judged(group)]
        numbers = self._numbers([judged for _, judged in known], "")
        for column in self.by:
            parts: dict[str, list[Judged]] = {}
            for sample, judged in known:
                parts.setdefault(str(sample.meta.get(column)), []).append(judged)
            for value in sorted(parts):
                numbers |= self._numbers(parts[value], f"_{value.lower()}")
        return numbers

    def _numbers(self, judged: Sequence[Judged], word: str) -> dict[str, float]:
        end = f"_{self.rank_by}{word}"
        f1s = answer_f1(judged), step_f1(judged), explanation_f1(judged)
        numbers = dict(zip((f"answer_f1{end}", f"step_f1{end}", f"explanation_f1{end}"), f1s, strict=True))
        unsaid = [said is None for j in judged for said in j.said]
        return numbers | {f"{self._name()}{end}": viscore(*f1s), f"unsaid_steps{end}": mean(unsaid)}

    def _name(self) -> str:
        called = self.called if self.called is not None else getattr(self.judge, "name", "local")
        return "viscore" if called == "gpt-4o-2024-08-06" else f"viscore_{called}"

    def _judged(self, group: Group) -> list[Judged]:
        said, truth = group.by(self.rank_by), group.by(self.oracle)
        right = {c.trajectory_id: c.score for c in group.critiques if c.critic == self.answer}
        for name in (self.rank_by, self.oracle):
            group.scores(name)  # for its complaint
        labelled = [t for t in group.trajectories if t.id in truth and truth[t.id].step_scores]
        return [self._one(group.sample, t, said.get(t.id), truth[t.id], right.get(t.id)) for t in labelled]

    def _one(
        self, sample: Sample, t: Trajectory, said: Critique | None, truth: Critique, right: float | None
    ) -> Judged:
        wrong = tuple(None if math.isnan(label) else label <= 0 for label in truth.step_scores)
        none: tuple[bool | None, ...] = (None,) * len(wrong)
        if said is None:
            return Judged(None if right is None else right <= 0, None, wrong, none, (0.0,) * len(wrong))
        written = parse(said.text, len(wrong))
        steps = tuple(score < self.threshold for score in said.step_scores) or written.steps
        if len(steps) != len(wrong):
            raise ValueError(
                f"trajectory '{t.id}': {len(steps)} step scores by critic '{self.rank_by}' for {len(wrong)} steps"
            )
        answer = None if said.score is None else said.score < self.threshold
        references, why = _references(sample, truth, len(wrong)), _why(said.text, written.why)
        credit = tuple(
            self._credit(sample, t, k, why[k], references[k]) if wrong[k] and steps[k] else 0.0
            for k in range(len(wrong))
        )
        return Judged(None if right is None else right <= 0, answer, wrong, steps, credit)

    def _credit(self, sample: Sample, t: Trajectory, k: int, said: str, references: Sequence[str]) -> float | None:
        if not references:
            return None
        if not said:
            return 0.0
        if self.judge is None:
            return mean([same_point(said, reference) for reference in references])
        step = t.steps[k].text if k < len(t.steps) else ""
        words = [
            fill(self.asks, question=sample.question, step=step, reference=reference, said=said)
            for reference in references
        ]
        replies = self.judge.generate([(user(text),) for text in words], max_tokens=8)
        return mean([yes_or_no(reply.text) == "yes" for (reply,) in replies])


def answer_f1(judged: Iterable[Judged]) -> float:
    """F1 of finding the wrong answers, over attempts whose answer's truth is known."""
    known = [(j.answer_said, j.answer_wrong) for j in judged if j.answer_wrong is not None]
    return f1(sum(bool(s and w) for s, w in known), sum(bool(s) for s, _ in known), sum(bool(w) for _, w in known))


def step_f1(judged: Iterable[Judged]) -> float:
    """F1 of finding the wrong steps, pooled over all attempts."""
    known = [(s, w) for j in judged for s, w in zip(j.said, j.wrong, strict=True) if w is not None]
    return f1(sum(bool(s and w) for s, w in known), sum(bool(s) for s, _ in known), sum(bool(w) for _, w in known))


def explanation_f1(judged: Iterable[Judged]) -> float:
    """F1 of finding the wrong steps for the right reason; NaN where a hit has no reference to be held against."""
    known = [
        (s, w, credit) for j in judged for s, w, credit in zip(j.said, j.wrong, j.credit, strict=True) if w is not None
    ]
    if any(credit is None for _, _, credit in known):
        return math.nan
    return f1(
        sum(credit or 0.0 for _, _, credit in known),
        sum(bool(s) for s, _, _ in known),
        sum(bool(w) for _, w, _ in known),
    )


def f1(hits: float, said: float, true: float) -> float:
    """Harmonic mean of hits / said and hits / true; NaN where nothing is said and nothing is there."""
    return 2 * hits / (said + true) if said + true > 0 else math.nan


def viscore(answer: float, step: float, explanation: float) -> float:
    """Cube root of the product of the three F1s, each in [0, 1]; the paper writes it on a scale of 0 to 100.

    >>> round(viscore(0.6, 0.5, 0.4), 4)
    0.4932
    """
    product = answer * step * explanation
    return math.nan if math.isnan(product) else product ** (1 / 3)


def _references(sample: Sample, truth: Critique, steps: int) -> list[list[str]]:
    """Of each step the references; those of the sample, else the oracle's line of it."""
    given: Any = sample.meta.get(EXPLANATIONS)
    if isinstance(given, list | tuple) and not isinstance(given, Mapping):
        if len(given) != steps:
            raise ValueError(f"sample '{sample.id}': {len(given)} lists of {EXPLANATIONS} for {steps} steps")
        return [[str(words) for words in one if str(words).strip()] for one in given]
    lines = truth.text.split("\n")
    return [[line] if line.strip() else [] for line in lines] if len(lines) == steps else [[] for _ in range(steps)]


def _why(text: str, written: Sequence[str]) -> list[str]:
    """Of each step the critic's reason: as it was read, else a line a step."""
    lines = text.split("\n")
    return list(written) if any(written) or len(lines) != len(written) else [line.strip() for line in lines]
