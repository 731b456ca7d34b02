"""Pairs of criticised solutions, for reward models that write a critique before they score."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Annotated

from mmevolve.config.ranges import Range
from mmevolve.data.critiquing import Form, Inserter, ShapeErrors, task
from mmevolve.prompts import template
from mmevolve.text import ask, stable_seed
from mmevolve.types import Preference, Sample


def critique_pairs(
    samples: Sequence[Sample],
    *,
    inserter: Inserter | None = None,
    most: Annotated[int, Range(1)] = 3,
    clean: Annotated[float, Range(0.0, 1.0)] = 0.5,
    words: str = "critique",
    form: Form = "list",
    regions: bool = False,
    seed: int = 0,
) -> list[Preference]:
    """Of each sample two solutions, the one with fewer inserted errors chosen, each side with its exact critique.

    A row's `prompt` shows question and solution and asks for a critique, `chosen` is the critique of that solution;
    `rejected_prompt` and `rejected` are the same of the worse solution. `losses.CritiqueReward` trains on them.

    Args:
        samples: questions with pictures.
        inserter: puts the errors in; `data.ShapeErrors` if not given.
        most: errors of the worse solution.
        clean: at least this share of chosen solutions has no error; any other has fewer than its worse one.
        words: template of the task, as for `data.critiquing`.
        form: of the critiques, likewise.
        regions: show the boxes that steps cite.
        seed: another seed puts other errors in.

    Raises:
        ValueError: when the template lacks the steps.
    """
    both = better_and_worse(
        samples, inserter=inserter, most=most, clean=clean, words=words, form=form, regions=regions, seed=seed
    )
    return [_row(good, bad) for good, bad in both]


def better_and_worse(
    samples: Sequence[Sample],
    *,
    inserter: Inserter | None = None,
    most: int = 3,
    clean: float = 0.5,
    words: str = "critique",
    form: Form = "list",
    regions: bool = False,
    seed: int = 0,
) -> list[tuple[Sample, Sample]]:
    """The tasks, as `data.critiquing` gives them, of criticising each solution of a pair: `critique_pairs` says which.

    A sample of which both solutions took the same number of errors is left out.
    """
    text = template(words)
    if "{steps}" not in text:
        raise ValueError(f"prompt '{words}' has no field {{steps}}: the critic would not see what it judges")
    draws = [Random(stable_seed("critique_pairs", seed, s.id)) for s in samples]
    worse = [d.randint(1, most) for d in draws]
    better = [0 if d.random() < clean else d.randint(0, n - 1) for d, n in zip(draws, worse, strict=True)]
    put = inserter or ShapeErrors()
    sides = [put(samples, counts, [d.getrandbits(62) for d in draws]) for counts in (better, worse)]
    found = []
    for sample, one, other in zip(samples, *sides, strict=True):
        if one is not None and other is not None and len(one.errors) < len(other.errors):
            found.append((task(sample, one, text, form, regions), task(sample, other, text, form, regions)))
    return found


def _row(good: Sample, bad: Sample) -> Preference:
    return Preference(
        ask(good, "{question}"), good.answer or "", bad.answer or "",
        rejected_prompt=ask(bad, "{question}"), scope="critique", source=good.id,
    )  # fmt: skip
