"""The contract that every part keeps, ours and a newcomer's alike: `check_part` says in sentences what a part breaks.

A part is a frozen dataclass with one `__call__`. The same inputs give the same outputs, in any order and any batch, and
the global random state is left alone. What kind of part it is, is told by the return annotation of its `__call__`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import math
import random
import sys
import typing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from mmevolve.data.shapes.dataset import gold, shapes
from mmevolve.losses.inputs import LossInput, LossOutput
from mmevolve.models.scripted import Scripted
from mmevolve.text import split_steps, stable_seed
from mmevolve.types import (
    Critique,
    Demonstration,
    Group,
    Labelled,
    Preference,
    Rollout,
    Sample,
    Step,
    Trajectory,
)

Kind = Literal["sampler", "critic", "selector", "loss", "metric", "schedule", "other"]
ROWS = (Demonstration, Preference, Labelled, Rollout)
FAMILIES = ("total", "place", "spatial", "two_hop")


def check_part(part: Any, *, kind: Kind | None = None) -> list[str]:
    """What a part breaks, one sentence each; empty when it keeps the contract.

    Args:
        part: a class whose settings all have defaults, or an instance.
        kind: what it is, where its annotations do not tell.
    """
    cls = part if isinstance(part, type) else type(part)
    broken = list(_form(cls))
    if broken:
        return [f"{cls.__name__} {sentence}" for sentence in broken]
    if isinstance(part, type):
        needed = [f.name for f in dataclasses.fields(cls) if _is_needed(f)]
        if needed:
            return [f"{cls.__name__} needs {', '.join(needed)}: give an instance"]
        part = cls()
    kind = kind or kind_of(cls)
    if kind is None:
        return [f"{cls.__name__} does not say what it gives: annotate what `__call__` returns"]
    before = random.getstate(), torch.random.get_rng_state()
    try:
        broken = list(CHECKS[kind](part))
    except Exception as error:  # a part may fail in any way: that is the finding
        broken = [f"fails on valid input: {type(error).__name__}: {error}"]
    if random.getstate() != before[0] or not torch.equal(torch.random.get_rng_state(), before[1]):
        broken.append("draws from the global random state: draw from its own seed")
    return [f"{cls.__name__} {sentence}" for sentence in dict.fromkeys(broken)]


def main(module: str) -> int:
    """Put every part of a module through the contract and print what it breaks; 0 when every part keeps it.

    Args:
        module: an importable name (`shortest`, `mypackage.critics`) or a file (`shortest.py`); the working directory is
            looked in too.
    """
    try:
        found = _module(module)
    except Exception as error:  # somebody's own code may fail in any way
        print(f"{module} cannot be imported: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    parts = [c for c in vars(found).values() if isinstance(c, type) and c.__module__ == found.__name__ and _is_part(c)]
    if not parts:
        print(f"{module} has no part: a part is a frozen dataclass with one `__call__`", file=sys.stderr)
        return 2
    worst = 0
    for cls in parts:
        needed = [f.name for f in dataclasses.fields(cls) if _is_needed(f)] if dataclasses.is_dataclass(cls) else []
        if needed:
            print(f"{cls.__name__}: not checked, it needs {', '.join(needed)}; call check_part on an instance of it")
            continue
        broken = check_part(cls)
        worst = 2 if broken else worst
        print("\n".join(broken) or f"{cls.__name__}: keeps the contract of a {kind_of(cls)}")
    return worst


def _module(name: str) -> Any:
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(name).stem, name)
        found = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        sys.modules[found.__name__] = found  # dataclasses look their module up
        spec.loader.exec_module(found)  # type: ignore[union-attr]
        return found
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def _is_part(cls: type) -> bool:
    return "__call__" in vars(cls) and dataclasses.is_dataclass(cls)


def kind_of(cls: type) -> Kind | None:
    """What kind of part a class is, by what its `__call__` gives; None when that is not annotated."""
    gives = typing.get_type_hints(cls.__call__).get("return")
    inner = typing.get_args(gives)
    if gives is LossOutput or (hasattr(cls, "needs_reference") and hasattr(cls, "example")):
        return "loss"
    if hasattr(cls, "example") or (inner and inner[0] in ROWS):
        return "selector"
    if gives is None:
        return None
    if inner[:1] == (Trajectory,):
        return "sampler"
    if inner[:1] == (Critique,):
        return "critic"
    if gives == dict[str, float]:
        return "metric"
    return "schedule" if gives == dict[str, Any] else "other"


def _form(cls: type) -> Iterator[str]:
    if not dataclasses.is_dataclass(cls):
        yield "is not a dataclass: a part is a frozen dataclass of its own settings"
    elif not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield "can be changed: write @dataclass(frozen=True)"
    if "__call__" not in vars(cls):
        yield "has no `__call__` of its own"


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def samples() -> list[Sample]:
    """Labelled questions of the embedded world, one a family."""
    return [s for f in FAMILIES for s in shapes(n=1, families=(f,), seed=stable_seed("contract", f))]


def policy() -> Scripted:
    """A policy whose every reply is different, some right and some without an answer."""
    return Scripted(_reply)


def _reply(said: str, seed: int, index: int) -> str:
    number = stable_seed(said, seed, index) % 7
    return f"shapes : a{1 + number % 4} = 1\n1 + {number} = {1 + number}" + (f"\nanswer : {number}" if number else "")


def attempts(sample: Sample) -> list[Trajectory]:
    """Gold, a repeat of it, a wrong answer, a missing step, no answer, no step at all."""
    steps = split_steps(gold(sample))
    written = [steps, steps, [*steps[:-1], "answer : 99"], steps[1:], steps[:-1], []]
    answers = (sample.answer, sample.answer, "99", sample.answer, None, None)
    return [
        Trajectory(
            f"{sample.id}/0/{i}",
            sample.id,
            "contract@base",
            tuple(map(Step, lines)),
            answer,
            token_ids=(*range(len(lines)), 0),
            logprobs=(-1.0,) * (len(lines) + 1),
        )
        for i, (lines, answer) in enumerate(zip(written, answers, strict=True))
    ]


def groups(critics: Sequence[str]) -> list[Group]:
    """Every sample's attempts, each judged by every critic: verdicts 0 and 1, steps between."""
    made = []
    for sample in samples():
        tried = attempts(sample)
        said = []
        for critic in critics:
            for t in tried:
                steps = tuple(stable_seed(critic, t.sample_id, s.text) % 5 / 4 for s in t.steps)
                said.append(Critique(t.id, critic, float(t.answer == sample.answer), steps))
        made.append(Group(sample, tuple(tried), tuple(said)))
    return made


def _check_sampler(part: Any) -> Iterator[str]:
    asked = samples()
    made = list(part(policy(), asked, round=3))
    yield from _same(made, list(part(policy(), asked, round=3)), "gives other trajectories when called again")
    yield from _same_set(made, list(part(policy(), asked[::-1], round=3)), "depends on the order of the samples")
    alone = [t for s in asked for t in part(policy(), [s], round=3)]
    yield from _same_set(made, alone, "depends on which samples are in a batch")
    ids = Counter(t.id for t in made)
    yield from (f"gives id '{i}' to {n} trajectories" for i, n in ids.items() if n > 1)
    known = {s.id for s in asked}
    yield from (
        f"gives trajectory '{t.id}' of an unknown sample '{t.sample_id}'" for t in made if t.sample_id not in known
    )
    yield from (f"gives no trajectory for sample '{s}'" for s in sorted(known - {t.sample_id for t in made}))
    yield from (f"gives trajectory '{t.id}' round {t.round}, expected 3" for t in made if t.round != 3)
    yield from (f"gives trajectory '{t.id}' no author" for t in made if not t.author)
    orphans = [t for t in made if t.parent is not None and t.parent not in ids]
    yield from (f"gives trajectory '{t.id}' the unknown parent '{t.parent}'" for t in orphans)


def _check_critic(part: Any) -> Iterator[str]:
    if not isinstance(getattr(part, "name", None), str) or not part.name:
        yield "has no `name`: the column that other parts refer to"
        return
    items = [(s, t) for s in samples() for t in attempts(s)]
    said = list(part(items))
    if [c.trajectory_id for c in said] != [t.id for _, t in items]:
        yield "does not give one critique an item, in the items' order, under the trajectories' ids"
        return
    yield from _same(said, list(part(items)), "says something else when asked again")
    yield from _same_set(said, list(part(items[::-1])), "depends on the order of the items")
    for (_, t), c in zip(items, said, strict=True):
        about = f"of trajectory '{t.id}'"
        if c.critic != part.name:
            yield f"signs as '{c.critic}', its name is '{part.name}'"
        if len(c.step_scores) not in (0, len(t.steps)):
            yield f"gives {len(c.step_scores)} step scores for {len(t.steps)} steps {about}"
        if (c.score is None) != (c.error is not None):
            yield f"gives score {c.score} and error {c.error!r} {about}: expected one of the two"
        if not all(math.isfinite(x) for x in (*c.step_scores, *(() if c.score is None else (c.score,)))):
            yield f"gives a score that is not a finite number {about}"


def _check_selector(part: Any) -> Iterator[str]:
    kind = getattr(type(part), "example", None)
    if kind not in ROWS:
        yield "does not declare `example`: the type of the rows it gives"
        return
    # Any text among the settings may be a critic's name.
    names = [v for f in dataclasses.fields(part) if isinstance(v := getattr(part, f.name), str)]
    given = groups(list(dict.fromkeys(("answer", *names))))
    if getattr(type(part), "turns", 1) > 1:
        given = [_with_second_turns(group) for group in given]
    rows = list(part(given))
    yield from _same(rows, list(part(iter(given))), "gives other rows when called again")
    yield from _same_set(rows, list(part(given[::-1])), "depends on the order of the groups")
    yield from _same(list(part([])), [], "gives rows of no groups")
    yield from (f"gives a {type(r).__name__}, its `example` is {kind.__name__}" for r in rows if type(r) is not kind)
    known = {t.id for g in given for t in g.trajectories}
    yield from (f"gives a row whose source '{r.source}' is no trajectory" for r in rows if r.source not in known)


def _with_second_turns(group: Group) -> Group:
    """Each attempt, and the next one as its revision: for a selector whose `turns` are 2."""
    first = group.trajectories
    later = [
        dataclasses.replace(t, id=f"{before.id}~1", parent=before.id)
        for before, t in zip(first, (*first[1:], first[0]), strict=True)
    ]
    names = list(dict.fromkeys(c.critic for c in group.critiques))
    said = [
        dataclasses.replace(group.by(name)[t.id], trajectory_id=revision.id)
        for name in names
        for revision, t in zip(later, (*first[1:], first[0]), strict=True)
    ]
    return dataclasses.replace(group, trajectories=(*first, *later), critiques=(*group.critiques, *said))


def _check_metric(part: Any) -> Iterator[str]:
    names = [v for f in dataclasses.fields(part) if isinstance(v := getattr(part, f.name), str)]
    small = {f.name: 2 for f in dataclasses.fields(part) if f.name == "k"}  # six attempts a group are given
    part = dataclasses.replace(part, **small)
    given = groups(list(dict.fromkeys(("answer", *names))))
    numbers = part(given)
    if not numbers or not all(isinstance(k, str) and isinstance(v, int | float) for k, v in numbers.items()):
        yield "does not give a dictionary of named numbers"
        return
    for again, when in ((part(given), "when called again"), (part(given[::-1]), "in another order of the groups")):
        if numbers.keys() != again.keys() or not all(_close(v, again[k]) for k, v in numbers.items()):
            yield f"gives other numbers {when}"


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))


def _check_loss(part: Any) -> Iterator[str]:
    if getattr(type(part), "example", None) not in ROWS:
        yield "does not declare `example`: the type of the rows it learns from"
    if not isinstance(getattr(type(part), "needs_reference", None), bool):
        yield "does not declare `needs_reference`"
    logps, given = _batch()
    out = part(given(logps))
    if out.loss.dim() or not torch.isfinite(out.loss):
        yield "does not give one finite number as loss"
        return
    if any(m.requires_grad for m in out.metrics.values()):
        yield "gives metrics that hold on to the graph: detach them"
    (gradient,) = torch.autograd.grad(out.loss, logps)
    if not torch.isfinite(gradient).all() or not gradient.any():
        yield "gives no useful gradient"
    if gradient[given(logps).mask == 0].any():
        yield "learns from what is masked"
    if not torch.equal(part(given(logps)).loss, out.loss):
        yield "gives another loss when called again"
    order = torch.tensor([1, 0, 3, 2])  # chosen among chosen, rejected among rejected
    if not torch.isclose(part(_permuted(given(logps), order)).loss, out.loss):
        yield "depends on the order of the rows"


def _batch() -> tuple[torch.Tensor, Callable[[torch.Tensor], LossInput]]:
    """Four rows (two pairs) of three tokens; the second half of the pairs is rejected. Shapes as `LossInput` says."""
    numbers = partial(torch.rand, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logps = -numbers(4, 3) - 0.1
    given = partial(
        LossInput,
        mask=torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]], dtype=torch.float64),
        weight=numbers(4) + 0.5,
        ref_logps=-numbers(4, 3) - 0.1,
        old_logps=-numbers(4, 3) - 0.1,
        advantages=numbers(4, 1) - 0.5,
        labels=numbers(4, 3),
        margin=numbers(2),
        p_win=0.5 + numbers(2) / 2,
        scores=numbers(4),
    )
    return logps.requires_grad_(), given


def _permuted(x: LossInput, order: torch.Tensor) -> LossInput:
    values = {f.name: getattr(x, f.name) for f in dataclasses.fields(x)}
    return LossInput(**{k: None if v is None else v[order[: len(v)]] for k, v in values.items()})


def _check_nothing(part: Any) -> Iterator[str]:
    """Schedules and other parts: their form is all that is known."""
    yield from ()


CHECKS: dict[Kind, Callable[[Any], Iterator[str]]] = {
    "sampler": _check_sampler,
    "critic": _check_critic,
    "selector": _check_selector,
    "metric": _check_metric,
    "loss": _check_loss,
    "schedule": _check_nothing,
    "other": _check_nothing,
}


def _same(first: Sequence[Any], second: Sequence[Any], sentence: str) -> Iterator[str]:
    if list(map(repr, first)) != list(map(repr, second)):
        yield sentence


def _same_set(first: Sequence[Any], second: Sequence[Any], sentence: str) -> Iterator[str]:
    if sorted(map(repr, first)) != sorted(map(repr, second)):
        yield sentence
