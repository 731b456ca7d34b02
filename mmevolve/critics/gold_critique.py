"""The embedded world's oracle as a writer: the exact critique of an attempt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmevolve.data.shapes.dataset import world_of
from mmevolve.data.shapes.mended import mended
from mmevolve.prompts.error_list import StepForm, stepwise
from mmevolve.types import Critique, Sample, Trajectory


@dataclass(frozen=True)
class GoldCritique:
    """Writes what each step should say given the steps before it, in a form that `data.critiquing` teaches.

    On inserted errors it writes what `data.critiquing` does. The score is 1 where every step says what it should, else
    0; the step scores are of each step. An attempt with more or fewer steps than its question has none, nor has one
    after whose wrong steps a number should stand that the world has no word for, such as -1. It reads the scene.

    Attributes:
        name: the column other parts refer to.
        form: `verdicts` (each step as it should be, and whether it is), `beside` (with what it came to before the
            verdict) or `looks` (without one).
    """

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = True

    name: str = "gold"
    form: StepForm = "verdicts"

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for sample, t in items:
            scene, program = world_of(sample)
            steps = [s.text for s in t.steps]
            should = mended(steps, program, scene)
            if should is None:
                why = f"the attempt has {len(steps)} steps, not as many as its question"
                yield Critique(t.id, self.name, None, sees_image=True, error=why)
                continue
            if wordless := re.search(r"-\d+|\d{3,}", " ".join(should)):  # no tokenizer of this world can write it
                why = f"a step should say {wordless[0]}, a number that the world has no word for"
                yield Critique(t.id, self.name, None, sees_image=True, error=why)
                continue
            scores = tuple(float(" ".join(a.split()) == b) for a, b in zip(steps, should, strict=True))
            text = stepwise(self.form, steps, should)
            yield Critique(t.id, self.name, min(scores), scores, text, sees_image=True)
