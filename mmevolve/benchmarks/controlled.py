"""Controls of an evaluation: the same questions asked again with the picture or the options changed, and compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mmevolve.benchmarks.figures import cluster
from mmevolve.benchmarks.load import VARIANT, Loaded
from mmevolve.benchmarks.read import shown
from mmevolve.benchmarks.score import Scored
from mmevolve.controls.control import Control, controls
from mmevolve.controls.pictures import with_images
from mmevolve.controls.resampling import Resampling
from mmevolve.controls.wordings import reworded
from mmevolve.types import Critique, Group, Sample, Step, Trajectory

CRITIC = "answer"
LOW, HIGH = "_low", "_high"
BLINDED = ("blind", "grey")
NEEDS_TWO = {"flips": "an answer in both", "position": "answers in two orders that name an option"}
COUNTS = ("n", "left_out", "layers")


@dataclass(frozen=True)
class Controlled:
    """A control's answers and what they show.

    Attributes:
        control: what was changed.
        scored: the responses to the variants.
        numbers: its readings by name, intervals as `_low` and `_high`; NaN where one could not be taken.
        notes: what could not be read at all, and why.
    """

    control: Control
    scored: tuple[Scored, ...]
    numbers: dict[str, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """One number of a control.

    Attributes:
        name: `<reading>/<figure>`.
        value: the number.
        low: lower end of its 95 % interval; None without one, or where every resample gives the same.
        high: upper end.
        resampled: whether it is a mean that an interval was drawn for.
        count: whether it counts something.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    resampled: bool
    count: bool = False


def named(names: str | None, seed: int) -> tuple[tuple[Control, ...], list[str]]:
    """Controls by the words of `--control`, and what is wrong with them."""
    try:
        return (controls(names, seed=seed) if names is not None else ()), []
    except ValueError as error:
        return (), [f"--control: {error}"]


def asked_plainly(loaded: Loaded) -> tuple[Sample, ...]:
    """The questions as the data have them, without the repeats that the spec asks for: those are variants already."""
    return tuple(s for s in loaded.samples if not s.meta.get(VARIANT))


def fitted(control: Control, loaded: Loaded) -> Control:
    """A control as this benchmark needs it: other words are made out of the spec's own."""
    if control.changes != "words":
        return control
    spec = loaded.spec
    listed = spec.show_choices and spec.kind != "pairwise"
    make = partial(reworded, prompt=spec.prompt, paraphrases=spec.paraphrases, options=listed)
    return replace(control, make=make)


def misfits(loaded: Loaded, wanted: Sequence[Control]) -> Iterator[str]:
    """One sentence a control that cannot be asked of a benchmark; no picture is changed to find out."""
    spec, samples = loaded.spec, asked_plainly(loaded)
    for control in wanted:
        word = f"--control {control.name}, {spec.name}"
        if control.changes == "options" and spec.kind != "answer":
            yield f"{word}: it changes the order of options, and this benchmark asks for a {spec.kind}"
        elif control.changes == "nothing" and spec.kind != "answer":
            yield f"{word}: it compares answers, and this benchmark asks for a {spec.kind}"
        elif control.changes == "options" and not spec.show_choices:
            yield f"{word}: its questions hold their options themselves (show_choices: false), in an order that stays"
        else:
            try:
                (with_images if control.changes == "pixels" else fitted(control, loaded))(samples)
            except ValueError as error:
                yield f"{word}: {error}"


def groups(scored: Sequence[Scored]) -> list[Group]:
    """Judged attempts as groups, one a question: the answer is what the spec's rules read, the score their verdict."""
    by_question: dict[str, list[Scored]] = {}
    for s in scored:
        by_question.setdefault(s.sample.id, []).append(s)
    return [_group(attempts) for attempts in by_question.values()]


def _group(attempts: Sequence[Scored]) -> Group:
    made = [
        Trajectory(
            id=f"{s.sample.id}/0/{s.index}", sample_id=s.sample.id, author="",
            steps=() if s.response is None else (Step(s.response, "answer"),), answer=shown(s.read),
            stop_reason="error" if s.response is None else "stop",
        )
        for s in attempts
    ]  # fmt: skip
    said = [Critique(t.id, CRITIC, float(s.outcome == "correct")) for t, s in zip(made, attempts, strict=True)]
    return Group(attempts[0].sample, tuple(made), tuple(said))


def compared(
    control: Control,
    loaded: Loaded,
    scored: Sequence[Scored],
    variants: Sequence[Scored],
    *,
    more: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> Controlled:
    """A control's readings of the originals and its variants, intervals by the clusters of the spec.

    Args:
        control: what was changed.
        loaded: the benchmark.
        scored: responses to the questions as they are asked.
        variants: responses to the control's variants.
        more: readings that need the model and not only its responses.
        notes: what could not be read, and why.
    """
    plain = {s.id for s in asked_plainly(loaded)}
    originals = groups([s for s in scored if s.sample.id in plain])
    found = control.read(originals, groups(variants), resampling=resampling_of(loaded))
    return Controlled(control, tuple(variants), {**found, **(more or {})}, tuple(notes))


def resampling_of(loaded: Loaded) -> Resampling:
    """Intervals by the clusters of the spec."""
    return Resampling(cluster=lambda sample: cluster(loaded.spec, sample))


def readings(done: Controlled) -> list[Reading]:
    """The numbers of a control that could be taken, in order; nothing is said of originals left out where none were."""
    found, prefix = [], f"{done.control.name}/"
    for name, value in done.numbers.items():
        end = next((end for end in (LOW, HIGH) if name.removesuffix(end) in done.numbers and name.endswith(end)), None)
        if end or math.isnan(value) or (name.endswith("/left_out") and not value):
            continue
        low, high = done.numbers.get(name + LOW), done.numbers.get(name + HIGH)
        told = low is not None and high is not None and math.isfinite(low) and math.isfinite(high) and high > low
        ends = (low, high) if told else (None, None)
        count = name.rpartition("/")[2] in COUNTS
        said = _said(done.control.name, name.removeprefix(prefix))
        found.append(Reading(said, value, *ends, resampled=low is not None, count=count))
    return found


def _said(control: str, name: str) -> str:
    """A reading's name for people: only where the picture was taken away is the model blind."""
    return name if control in BLINDED else name.replace("seeing", "unchanged").replace("blind", "changed")


def heading(done: Controlled) -> str:
    """What a control is called, and what it shows."""
    return f"control {done.control.name}: {done.control.says}"


def asked(done: Controlled) -> str:
    """How many responses it rests on."""
    same = done.control.changes == "nothing"
    return f"{len(done.scored):,} responses to {'the same questions, asked again' if same else 'changed questions'}"


def control_lines(done: Controlled) -> list[str]:
    """A control in words: a line a mean with its interval, then the other numbers of each reading."""
    found = readings(done)
    out = [f"  {heading(done)}; {asked(done)}"]
    means = [r for r in found if r.resampled]
    width = max((len(r.name) for r in means), default=0)
    for r in means:
        ends = "no interval" if r.low is None else f"95 % interval {r.low:.3f} to {r.high:.3f}"
        out.append(f"    {r.name:<{width}}  {r.value:>6.3f}   {ends}")
    others: dict[str, list[Reading]] = {}
    for r in (r for r in found if not r.resampled):
        others.setdefault(r.name.partition("/")[0], []).append(r)
    measured = {r.name.partition("/")[0] for r in means}
    for reading, told in others.items():
        if reading in NEEDS_TWO and reading not in measured and all(r.name.endswith("/left_out") for r in told):
            out.append(
                f"    {reading}: none of {told[0].value:,.0f} questions has {NEEDS_TWO[reading]}: nothing to compare"
            )
        else:
            out.append(f"    {reading}: {', '.join(_words(r) for r in told)}")
    return [*out, *(f"    {said}" for said in (*done.notes, *verdict(done)))]


def _words(r: Reading) -> str:
    """A number beside the means: `left out 3 questions, without two answers`, `p 0.031`."""
    reading, _, figure = r.name.partition("/")
    if figure == "left_out":
        return f"{r.value:,.0f} questions left out" + (
            f", without {NEEDS_TWO[reading]}" if reading in NEEDS_TWO else ""
        )
    if figure == "constant":
        return f"always giving the commonest answer scores {r.value:.3f}"
    return f"{figure.replace('_', ' ')} {f'{r.value:,.0f}' if r.count else f'{r.value:.3f}'}"


def verdict(done: Controlled) -> Iterator[str]:
    """Whether the model is shown to look, where the control takes what the picture says away."""
    p = done.numbers.get(f"{done.control.name}/wording/p")
    if p is not None and math.isfinite(p):
        yield (
            f"the wording {'matters' if p < 0.05 else 'is not shown to matter'}: so large a spread has chance {p:.3g} "
            "where it makes no difference"
        )
    low = done.numbers.get(f"{done.control.name}/accuracy/gain{LOW}")
    if low is not None and math.isfinite(low) and done.control.name != "augmented":
        yield (
            "the picture helps: the whole interval of the gain is above 0"
            if low > 0
            else "the picture is not shown to help: the interval of the gain is not above 0"
        )


def control_scores(done: Controlled, loaded: Loaded, author: str) -> dict[str, Any]:
    """What a control's `scores.json` holds; numbers that could not be taken are null."""
    return {
        "benchmark": loaded.spec.name, "called": loaded.label, "model": author, "control": done.control.name,
        "says": done.control.says, "responses": len(done.scored), "notes": list(done.notes),
        "numbers": {name: value if math.isfinite(value) else None for name, value in done.numbers.items()},
    }  # fmt: skip
