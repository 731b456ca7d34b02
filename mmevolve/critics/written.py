"""A critic that is a policy whose task is critiquing: it reads a solution with the picture and writes what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from mmevolve.config.ranges import Range
from mmevolve.prompts import template
from mmevolve.prompts.error_list import listed, parse
from mmevolve.protocols import VLM
from mmevolve.text import ask, stable_seed
from mmevolve.types import Chat, Critique, Reply, Sample, Trajectory


@dataclass(frozen=True)
class Written:
    """The model's critique in words; a step score is 0 where it lists an error of the step, else 1.

    The score is 1 where it finds no error, else 0. A critique that cannot be read, was cut at the token limit or names
    a step that there is not has no score: its text is kept and `error` says why, so that it can be counted. An error
    without a step makes the score 0, and there are no step scores then.

    Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (the critic sees image, question and answer; near-greedy
    decoding). Differs: steps are numbered in the prompt, and the critique is read.

    Attributes:
        model: the critic's model; `loops.evolve` trains it on samples of `data.critiquing` with the same `words`.
        name: the column other parts refer to.
        words: template of the task, with `{question}` and `{steps}`; it may have `{answer}`.
        regions: show the boxes that steps cite.
        temperature: 0 is greedy.
        max_tokens: longest critique.
        seed: of the draws.

    Raises:
        ValueError: when the template lacks the steps.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False

    model: VLM
    name: str = "written"
    words: str = "critique"
    regions: bool = False
    temperature: Annotated[float, Range(0.0)] = 0.0
    max_tokens: Annotated[int, Range(1)] = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if "{steps}" not in template(self.words):
            raise ValueError(f"prompt '{self.words}' has no field {{steps}}: critic '{self.name}' would not see them")

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        whole = [(sample, t) for sample, t in items if t.steps]
        replies = iter(self.replies(whole))
        for sample, t in items:
            if t.steps:
                yield self._read(sample, t, next(replies))
            else:
                yield Critique(t.id, self.name, None, error="the attempt has no steps")

    def replies(self, items: Sequence[tuple[Sample, Trajectory]]) -> list[Reply]:
        """The critiques; attempts at one question that say the same are judged once."""
        if not items:
            return []
        keys = [
            (s.id, tuple(step.text for step in t.steps), t.answer, listed(t.steps, regions=self.regions))
            for s, t in items
        ]
        first = {key: item for key, item in reversed(list(zip(keys, items, strict=True)))}
        asked = list(dict.fromkeys(keys))
        chats = [self.chat(*first[key]) for key in asked]
        drawn = self.model.generate(
            chats, n=1, temperature=self.temperature, max_tokens=self.max_tokens,
            seeds=[stable_seed(self.seed, self.name, key[0], key[3]) for key in asked],
        )  # fmt: skip
        said = {key: reply for key, (reply,) in zip(asked, drawn, strict=True)}
        return [said[key] for key in keys]

    def chat(self, sample: Sample, t: Trajectory) -> Chat:
        """What asks for the critique of an attempt."""
        steps = listed(t.steps, regions=self.regions)
        return ask(sample, template(self.words), steps=steps, answer=t.answer or "none")

    def _read(self, sample: Sample, t: Trajectory, reply: Reply) -> Critique:
        found = parse(reply.text, [s.text for s in t.steps])
        odd = [d.step + 1 for d in found or () if d.step is not None and not 0 <= d.step < len(t.steps)]
        error = None
        if reply.stop_reason == "length":
            error = f"the critique was cut at {self.max_tokens} tokens"
        elif found is None:
            error = f"the critique cannot be read: {reply.text[:60]!r}"
        elif odd:
            error = f"the critique names step {odd[0]} of {len(t.steps)} steps"
        sees = bool(sample.images)
        if error is not None or found is None:
            return Critique(t.id, self.name, None, text=reply.text, sees_image=sees, error=error)
        wrong = {d.step for d in found}
        scores = () if None in wrong else tuple(float(k not in wrong) for k in range(len(t.steps)))
        return Critique(t.id, self.name, float(not found), scores, reply.text, sees)
