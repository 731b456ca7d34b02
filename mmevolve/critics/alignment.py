"""How well what an attempt says fits the picture, by an image-text embedder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from mmevolve.text import fill
from mmevolve.types import Critique, ImageRef, Sample, Trajectory

FOLDS = {"min": min, "mean": lambda scores: sum(scores) / len(scores)}


@dataclass(frozen=True)
class Alignment:
    """Cosine of picture and text, in [-1, 1]; of a sample's several pictures, the one that fits best counts.

    Paper: Hessel et al. 2021, CLIPScore, arXiv:2104.08718, Eq. 1.
    Differs: the cosine itself, neither cut at 0 nor multiplied by 2.5, which orders attempts the same way above 0. A
    step is read by itself. No score for a sample without a picture or an attempt without such a text.

    Attributes:
        embedder: whose `similarity(images, texts)` gives one cosine a pair (`models.ClipEmbedder`).
        name: the column other parts refer to.
        reads: `steps` (every step has its score, folded to one), `perception` (only the steps that say what is seen,
            without step scores), or `answer` (one text).
        fold: min or mean of the steps' cosines.
        caption: the text read for the answer: a template with `{answer}`, and `{question}` if it helps.
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False

    embedder: Any
    name: str = "alignment"
    reads: Literal["steps", "perception", "answer"] = "steps"
    fold: Literal["min", "mean"] = "mean"
    caption: str = "{answer}"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        said = [self._texts(sample, trajectory) if sample.images else [] for sample, trajectory in items]
        pairs: list[tuple[ImageRef, str]] = [
            (image, text)
            for (sample, _), texts in zip(items, said, strict=True)
            for text in texts
            for image in sample.images
        ]
        cosines = iter(self.embedder.similarity([image for image, _ in pairs], [text for _, text in pairs]))
        for (sample, trajectory), texts in zip(items, said, strict=True):
            scores = tuple(max(next(cosines) for _ in sample.images) for _ in texts)
            if not scores:
                yield Critique(trajectory.id, self.name, None, sees_image=True, error=self._missing(sample))
                continue
            steps = scores if self.reads == "steps" else ()
            yield Critique(trajectory.id, self.name, FOLDS[self.fold](scores), steps, sees_image=True)

    def _texts(self, sample: Sample, trajectory: Trajectory) -> list[str]:
        if self.reads == "answer":
            answer = trajectory.answer
            return [] if answer is None else [fill(self.caption, question=sample.question, answer=answer)]
        return [s.text for s in trajectory.steps if self.reads == "steps" or s.kind == "perception"]

    def _missing(self, sample: Sample) -> str:
        if not sample.images:
            return f"sample '{sample.id}' has no picture"
        what = {"steps": "steps", "perception": "step that says what is seen", "answer": "answer"}[self.reads]
        return f"the attempt has no {what}"
