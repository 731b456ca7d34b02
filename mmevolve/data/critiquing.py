"""Critiquing as a task of its own: samples that ask for a critique of a solution with known errors, and rows from them.

A critic is then a policy like any other: it samples critiques, `critics.RuleBasedReward` scores them, `loops.evolve`
trains it.

Paper: Zhang et al. 2024, "Critic-V", arXiv:2411.18203 (critique-VQA: 1 to 5 errors put into right answers).
Differs: solutions without an error may be among them, so that finding none is learned too; the wording is ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Literal

from mmevolve.config.ranges import Range
from mmevolve.data.shapes.errors import Corrupted, corrupted
from mmevolve.prompts import template
from mmevolve.prompts.error_list import ERRORS, KINDS, ErrorKind, as_meta, listed, stepwise
from mmevolve.text import ask, assistant, split_steps, stable_seed
from mmevolve.types import Demonstration, Sample

log = logging.getLogger(__name__)
Form = Literal["list", "looks", "verdicts", "beside"]
# Puts so many errors into each sample's right solution, by a seed each; None where it could not.
Inserter = Callable[[Sequence[Sample], Sequence[int], Sequence[int]], list[Corrupted | None]]
SAID: tuple[ErrorKind, ...] = ("perception", "logic", "arithmetic", "hallucinated object")  # visible in a step's words


@dataclass(frozen=True)
class ShapeErrors:
    """Errors in the embedded world's gold rationales, exact by construction: `data.shapes`, `data.nlvr_questions`.

    Attributes:
        kinds: which may be put in; `region` moves a box and leaves the words, so a critic must be shown the boxes.

    Raises:
        ValueError: for a sample of another world, or a kind that there is not.
    """

    kinds: tuple[ErrorKind, ...] = SAID

    def __post_init__(self) -> None:
        odd = [kind for kind in self.kinds if kind not in KINDS]
        if odd or not self.kinds:
            raise ValueError(f"kinds of errors {list(self.kinds)}: expected some of {', '.join(KINDS)}")

    def __call__(
        self, samples: Sequence[Sample], counts: Sequence[int], seeds: Sequence[int]
    ) -> list[Corrupted | None]:
        rows = zip(samples, counts, seeds, strict=True)
        return [corrupted(sample, count, self.kinds, Random(seed)) for sample, count, seed in rows]


def critiquing(
    samples: Sequence[Sample],
    *,
    inserter: Inserter | None = None,
    fewest: Annotated[int, Range(1)] = 1,
    most: Annotated[int, Range(1)] = 5,
    clean: Annotated[float, Range(0.0, 1.0)] = 0.0,
    words: str = "critique",
    form: Form = "list",
    regions: bool = False,
    seed: int = 0,
) -> list[Sample]:
    """Samples whose question asks for a critique, and whose answer is the critique that lists the known errors.

    Their `meta` holds the errors, the `question` and right `solution` that they come from and the `steps` as they now
    stand. Numbers and places of errors depend on the sample and the seed alone.

    Args:
        samples: questions with pictures.
        inserter: puts the errors in; `ShapeErrors` if not given.
        fewest: errors of a solution.
        most: errors of a solution; one with fewer steps gets fewer.
        clean: share of solutions that are left right.
        words: template of the task, with `{question}` and `{steps}`; it may have `{answer}`.
        form: of the reference critique: a line an error; every step as it should be (`looks`): an error where that
            differs from what the step says; every step as it should be with whether it is (`verdicts`); or the same
            with what the step came to before the verdict (`beside`), which a small model learns to compare.
        regions: show the boxes that steps cite.
        seed: another seed puts other errors in.

    Raises:
        ValueError: when the template lacks the steps, `most` is below `fewest`, or no error could be put in anywhere.
    """
    text = template(words)
    if "{steps}" not in text:
        raise ValueError(f"prompt '{words}' has no field {{steps}}: the critic would not see what it judges")
    if most < fewest:
        raise ValueError(f"from {fewest} to {most} errors: expected `most` to be at least `fewest`")
    draws = [Random(stable_seed("critiquing", seed, s.id)) for s in samples]
    counts = [0 if d.random() < clean else d.randint(fewest, most) for d in draws]
    seeds = [d.getrandbits(62) for d in draws]
    made = (inserter or ShapeErrors())(samples, counts, seeds)
    lost = sum(one is None for one in made)
    if lost:
        log.warning("critiquing: no errors could be put into %d of %d solutions", lost, len(made))
    if samples and lost == len(made):
        raise ValueError(f"no errors could be put into any of {len(made)} solutions: nothing to critique")
    return [task(s, one, text, form, regions) for s, one in zip(samples, made, strict=True) if one is not None]


def critique_lessons(samples: Sequence[Sample]) -> list[Demonstration]:
    """Warm-up of a critic: each critiquing sample with its reference critique.

    Args:
        samples: what `critiquing` gives.
    """
    return [Demonstration(ask(s, "{question}"), s.answer or "", source=s.id) for s in samples]


def revision_lessons(
    samples: Sequence[Sample],
    *,
    prompt: str = "question",
    words: str = "reflection",
    first: bool = False,
    critiques: bool = False,
) -> list[Demonstration]:
    """Teaches a reasoner to use a critique: question, wrong solution, reference critique, then the right solution.

    Args:
        samples: what `critiquing` gives.
        prompt: template of the question.
        words: template of the turn that tells the critique, as `samplers.CritiqueRevise` uses it in conversation.
        first: teach each right solution under the plain prompt as well, so that first answers are not forgotten.
        critiques: teach the reference critiques as well, those of right solutions among them, so that the reasoner can
            criticise itself.
    """
    rows = critique_lessons(samples) if critiques else []
    for s in samples:
        if not s.meta[ERRORS]:
            continue
        asked = ask(Sample(s.id, s.meta["question"], s.images), template(prompt))
        told = ask(Sample(s.id, s.meta["question"]), template(words), critique=s.answer or "")
        rows.append(
            Demonstration((*asked, assistant("\n".join(s.meta["steps"])), *told), s.meta["solution"], source=s.id)
        )
        if first:
            rows.append(Demonstration(asked, s.meta["solution"], source=s.id))
    return rows


def task(sample: Sample, made: Corrupted, text: str, form: Form, regions: bool) -> Sample:
    """Asks for a critique of one solution by the template `text`; the answer is the reference critique."""
    answer = made.steps[-1].text if made.steps else ""
    (message,) = ask(sample, text, steps=listed(made.steps, regions=regions), answer=answer)
    (asked,) = ask(sample, "{question}")
    now = [s.text for s in made.steps]
    meta: dict[str, Any] = {
        ERRORS: as_meta(made.errors),
        "question": asked["content"][-1]["text"],
        "steps": now,
        "solution": "\n".join(split_steps(made.solution)),
        "family": sample.meta.get("family"),
    }
    gold = _list(made) if form == "list" else stepwise(form, now, made.originals)
    return Sample(
        f"critique-{sample.id}", message["content"][-1]["text"], sample.images, gold, source=sample.source, meta=meta
    )


def _list(made: Corrupted) -> str:
    """A line an error."""
    return "\n".join(f"Step {e.step + 1} ({e.kind}): it should be: {e.original}" for e in made.errors) or "No errors."
