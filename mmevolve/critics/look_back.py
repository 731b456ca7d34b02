"""A critic that looks again: each step is taken back to the picture before it is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from mmevolve.answers import equal, extract
from mmevolve.answers.written_critique import Said, parse
from mmevolve.config.ranges import Range
from mmevolve.critics import look_back_world as world
from mmevolve.critics.look_back_calls import Calls, Draw, Prompt
from mmevolve.critics.look_back_words import listed, looked_up, questions, world_written, written
from mmevolve.prompts import template
from mmevolve.protocols import VLM
from mmevolve.text import ask, fill
from mmevolve.types import Critique, Sample, Trajectory

Items = Sequence[tuple[Sample, Trajectory]]
AGAIN = 0.7  # temperature of another try: a greedy one would say the same


@dataclass(frozen=True)
class LookBack:
    """Asks what a step says of the picture, answers that from the picture alone, and judges the step by it.

    Four calls: visual questions of each step, with the steps before it in sight; each question answered by itself with
    the picture and nothing else; a fresh answer to the sample's own question; a critique of all steps and the answer in
    the light of these. `by: rule` is for the embedded world: a step's questions follow from its form, and a step is
    wrong where it differs from what was seen, is false as arithmetic, or stands on a wrong one. The score is then (2
    times the lowest step score + the share of fresh answers that are the same) / 3, and 0 without an answer; a step
    score is 1, 0, or 0.5 where nothing was seen. `by: prompt` takes score and step scores, 1 or 0, from the verdicts of
    the critique. The text has a line a step with the reason, and one for the answer; a corrector can be given it, and
    `answers.written_critique` reads it. A critique without a verdict on the answer has no score and stands in the text.

    With `look: false` it is its own baseline: by prompt one direct critique, by rule the same comparison with the steps
    of the fresh solution. No prompt is put to the model twice; `calls` counts what was asked and what was spared.

    Paper: LookBack of VISCO, Wu et al. 2024, arXiv:2412.02172, Section 5 (atomic visual questions, each answered on the
    image, a candidate answer, synthesis).
    Differs: greedy unless told, where the paper draws at 0.7; any number of steps; the prompts, the rules of the world
    and the weights of its score are ours; a step that is the answer line is not asked about.

    Attributes:
        model: asks, looks, answers and judges.
        name: the column other parts refer to.
        by: who asks and judges: the model, prompted, or the embedded world's rules.
        look: whether single facts are looked up at all.
        candidates: fresh answers to the question; more than one need a temperature.
        most: questions of a step that are looked up, at most.
        retries: further tries, at a temperature of at least 0.7, where a critique lacks a verdict.
        temperature: of all calls; 0 is greedy.
        max_tokens: longest critique and fresh answer.
        look_tokens: longest list of questions, and longest answer to one.
        prompt: template under which the sample's question is answered afresh; by rule also a step's questions.
        words: templates `<words>_questions`, `<words>_look`, `<words>_critique` and `<words>_direct`.
        seed: of the draws.

    Raises:
        ValueError: when several fresh answers are wanted at temperature 0: they would be one.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False
    model: VLM
    name: str = "look_back"
    by: Literal["prompt", "rule"] = "prompt"
    look: bool = True
    candidates: Annotated[int, Range(1)] = 1
    most: Annotated[int, Range(1)] = 3
    retries: Annotated[int, Range(0)] = 2
    temperature: Annotated[float, Range(0.0)] = 0.0
    max_tokens: Annotated[int, Range(1)] = 1024
    look_tokens: Annotated[int, Range(1)] = 96
    prompt: str = "question"
    words: str = "look_back"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("prompt", "rule"):
            raise ValueError(f"critic '{self.name}': by '{self.by}', expected 'prompt' or 'rule'")
        if self.candidates > 1 and not self.temperature > 0:
            raise ValueError(f"critic '{self.name}': {self.candidates} candidates at temperature 0 would all be one")

    def __call__(self, items: Items) -> Iterator[Critique]:
        whole = [(sample, t) for sample, t in items if t.steps]
        judge = self._rule if self.by == "rule" else self._prompt if self.look else self._direct
        said = judge(whole)
        for sample, t in items:
            if t.steps:
                yield next(said)
            else:
                yield self._critique(sample, t, None, error="the attempt has no steps")

    @cached_property
    def calls(self) -> Calls:
        """What was asked of the model since this critic was made, and what was spared."""
        return Calls()

    def _rule(self, items: Items) -> Iterator[Critique]:
        """The embedded world: questions and verdicts by form."""
        fresh = self._fresh(items)
        steps = [[" ".join(step.text.split()) for step in t.steps] for _, t in items]
        if self.look:
            seen = self._seen(items, [[world.questions(step) for step in own] for own in steps], self.prompt)
        else:
            seen = [
                world.from_solution(own, [line.strip() for line in new[0].split("\n")] if new else ())
                for own, new in zip(steps, fresh, strict=True)
            ]
        for (sample, t), own, looked, new in zip(items, steps, seen, fresh, strict=True):
            judged = world.judge(sample.question, own, looked)
            scores = tuple(0.5 if j.wrong is None else float(not j.wrong) for j in judged)
            answers = [extract(text, choices=sample.choices) for text in new]
            same = [
                a is not None and t.answer is not None and equal(a, t.answer, choices=sample.choices) for a in answers
            ]
            score = (2 * min(scores) + sum(same) / self.candidates) / 3 if t.answer is not None else 0.0
            said = Said(score < 0.5, tuple(j.wrong for j in judged), tuple(j.why for j in judged))
            yield self._critique(sample, t, score, scores, world_written(said))

    def _agreeing(self, sample: Sample, answer: str, fresh: Sequence[str]) -> float:
        """Share of the fresh answers that are the attempt's."""
        found = [extract(text, choices=sample.choices) for text in fresh]
        return sum(a is not None and equal(a, answer, choices=sample.choices) for a in found) / self.candidates

    def _prompt(self, items: Items) -> Iterator[Critique]:
        """The four calls."""
        asked = self._questions(items)
        seen = self._seen(items, asked, f"{self.words}_look")
        fresh = self._fresh(items)
        prompts = []
        for (sample, t), looked, new in zip(items, seen, fresh, strict=True):
            answers = [extract(text, choices=sample.choices) or " ".join(text.split()) for text in new]
            facts = {"seen": looked_up(list(looked.items())), "reference": " / ".join(answers) or "unknown"}
            prompts.append(self._whole(sample, t, "critique", **facts))
        return self._synthesis(items, prompts)

    def _direct(self, items: Items) -> Iterator[Critique]:
        """The critique alone."""
        return self._synthesis(items, [self._whole(sample, t, "direct") for sample, t in items])

    def _whole(self, sample: Sample, t: Trajectory, what: str, **facts: str) -> Prompt:
        steps = listed([step.text for step in t.steps])
        words = template(f"{self.words}_{what}")
        return Prompt.of(ask(sample, words, steps=steps, answer=t.answer or "none", **facts))

    def _questions(self, items: Items) -> list[list[tuple[str, ...]]]:
        """The visual questions of every step of every item; none of a step for which the model names none."""
        words = template(f"{self.words}_questions")
        places, prompts = [], []
        for i, (sample, t) in enumerate(items):
            for k, step in enumerate(t.steps, start=1):
                if step.kind == "answer":
                    continue
                so_far = listed([s.text for s in t.steps[:k]])
                places.append((i, k - 1))
                prompts.append(Prompt.of(ask(sample, words, steps=so_far, number=str(k), most=str(self.most))))
        replies = self.calls.replies("questions", self.model, prompts, self._draw(self.look_tokens))
        asked: list[list[tuple[str, ...]]] = [[() for _ in t.steps] for _, t in items]
        for (i, k), reply in zip(places, replies, strict=True):
            found = questions(reply[0], self.most) if reply else None
            self.calls.unread["questions"] += found is None
            asked[i][k] = found or ()
        return asked

    def _seen(self, items: Items, asked: Sequence[Sequence[tuple[str, ...]]], words: str) -> list[dict[str, str]]:
        """Of every item its questions with their answers, each from the picture alone."""
        put = template(words)
        wanted = [
            (i, question) for i, own in enumerate(asked) for question in dict.fromkeys(q for step in own for q in step)
        ]
        prompts = [Prompt(tuple(items[i][0].images), fill(put, question=question)) for i, question in wanted]
        replies = self.calls.replies("looks", self.model, prompts, self._draw(self.look_tokens))
        seen: list[dict[str, str]] = [{} for _ in items]
        for (i, question), reply in zip(wanted, replies, strict=True):
            if reply:
                seen[i][question] = reply[0]
        return seen

    def _fresh(self, items: Items) -> list[tuple[str, ...]]:
        """Fresh answers to each sample's question."""
        prompts = [Prompt.of(ask(sample, template(self.prompt))) for sample, _ in items]
        return self.calls.replies("candidates", self.model, prompts, self._draw(self.max_tokens, n=self.candidates))

    def _synthesis(self, items: Items, prompts: Sequence[Prompt]) -> Iterator[Critique]:
        """The critiques; those that lack a verdict are asked for again, and of all tries the fullest counts."""
        best: list[tuple[int, Said, str] | None] = [None] * len(items)
        for attempt in range(self.retries + 1):
            todo = [i for i, found in enumerate(best) if found is None or found[0] > 0]
            draw = self._draw(self.max_tokens, attempt=attempt)
            for i, reply in zip(
                todo, self.calls.replies("critiques", self.model, [prompts[i] for i in todo], draw), strict=True
            ):
                said = parse(reply[0] if reply else "", len(items[i][1].steps))
                lacks = said.steps.count(None) + (len(said.steps) + 1) * (said.answer is None)
                if best[i] is None or lacks < best[i][0]:  # type: ignore[index]
                    best[i] = lacks, said, reply[0] if reply else ""
        for (sample, t), found in zip(items, best, strict=True):
            assert found is not None  # there is one try at least
            lacks, said, text = found
            self.calls.unread["critiques"] += lacks > 0
            if said.answer is None:
                error = f"no verdict on the answer after {self.retries + 1} tries: {text[:60]!r}"
                yield self._critique(sample, t, None, (), text, error)
                continue
            scores = () if lacks else tuple(float(not wrong) for wrong in said.steps)
            yield self._critique(sample, t, float(not said.answer), scores, text if lacks else written(said))

    def _draw(self, max_tokens: int, *, n: int = 1, attempt: int = 0) -> Draw:
        warm = max(self.temperature, AGAIN) if attempt else self.temperature
        return Draw(n, warm, max_tokens, self.seed, attempt)

    def _critique(
        self, sample: Sample, t: Trajectory, score: float | None, scores: tuple[float, ...] = (), text: str = "",
        error: str | None = None,
    ) -> Critique:  # fmt: skip
        return Critique(t.id, self.name, score, scores, text, bool(sample.images), error)
