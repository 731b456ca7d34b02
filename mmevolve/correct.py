"""`mmevolve correct RUN`: what the second turns of a stored run fixed and harmed, and whether they should be trusted.

Every place of a run where answers were revised, or drawn under the arms of `samplers.Feedback`, is counted again from
its tables; no model is opened. The page goes to `correction.html`, the numbers to `correction.json`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmevolve import verbs
from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.durable import put_text
from mmevolve.metrics.feedback_effect import FeedbackEffect, chains
from mmevolve.metrics.leave_alone import LeaveAlone, TooFew
from mmevolve.metrics.lucky_guess import LuckyGuess
from mmevolve.metrics.turns import pairs
from mmevolve.metrics.two_turns import TwoTurns
from mmevolve.report.folder import At, RunFolder, is_run, open_run
from mmevolve.report.turns_page import Place, lines, page
from mmevolve.store import RunStore
from mmevolve.types import Critique, Group, Sample, Trajectory

KNOWING = ("answer", "oracle")  # critics that read the reference answer: no features of a gate


@dataclass(frozen=True)
class Stored:
    """Revised answers of one loop, round and set of questions.

    Attributes:
        label: where they are.
        groups: attempts and critiques.
        critics: who said something of them.
    """

    label: str
    groups: tuple[Group, ...]
    critics: tuple[str, ...]


def correct(
    run: str,
    *,
    critic: str = "answer",
    steps: str = "oracle",
    gate: Sequence[str] | None = None,
    html: str | None = None,
) -> int:
    """Count the corrections of a run and print them; 2 for a mistake of the user's.

    Args:
        run: the run folder.
        critic: the verifier whose verdicts count.
        steps: the critic that scores steps, for the kind of the first wrong one; left out where it scored none.
        gate: critics that the do-no-harm gate reads; by default all that do not know the answer.
        html: where the page goes; by default into the run.
    """
    if not is_run(run):
        print(f"'{run}' is not a run folder; runs are made by `mmevolve run RECIPE`", file=sys.stderr)
        return 2
    folder = open_run(run)
    left_out: list[str] = []
    found = list(stored(folder, left_out))
    left_out += folder.damaged
    if not found:
        what = f"; left out: {left_out[0]}" if left_out else ""
        print(f"{run} holds no revised answers (samplers.Review, samplers.Feedback){what}", file=sys.stderr)
        return 2
    known = sorted({name for place in found for name in place.critics})
    for name in (critic, *(gate or ())):
        if name not in known:
            print(f"no critic '{name}' in {run}: its critics are {', '.join(known)}", file=sys.stderr)
            return 2
    try:
        places = [counted(place, critic=critic, steps=steps, gate=gate) for place in found]
    except (KeyError, ValueError) as error:
        print(error.args[0], file=sys.stderr)
        return 2
    file = Path(run) / "correction.json"
    numbers = {p.label: {k: v if math.isfinite(v) else None for k, v in p.numbers.items()} for p in places}
    put_text(file, json.dumps(numbers, indent=1) + "\n")
    where = Path(html) if html else Path(run) / "correction.html"
    put_text(where, page(Path(run).resolve().name, places, left_out))
    print("\n".join(lines(places)).lstrip("\n"))
    for what in left_out:
        print(f"left out: {what}", file=sys.stderr)
    print(f"\npage in {where}, numbers in {file}")
    return 0


def counted(place: Stored, *, critic: str = "answer", steps: str = "", gate: Sequence[str] | None = None) -> Place:
    """All correction metrics of one place.

    Raises:
        KeyError: when a critic said nothing about a sample's attempts.
        ValueError: when attempts, arms or scores do not fit together.
    """
    groups, notes = place.groups, []
    if any(chains(g) for g in groups):  # revisions of several arms are no one review
        return Place(place.label, FeedbackEffect(critic)(groups))
    kinds = steps if any(c.critic == steps and c.step_scores for g in groups for c in g.critiques) else ""
    numbers = TwoTurns(critic, steps=kinds)(groups) | LuckyGuess(critic)(groups)
    everywhere = [name for name in place.critics if all(g.by(name) for g in groups if g.trajectories)]
    reads = gate if gate is not None else [name for name in everywhere if name not in (*KNOWING, critic)]
    leave = LeaveAlone(tuple(reads), critic=critic)
    numbers |= leave(groups)
    try:
        leave.chances(pairs(groups, critic))
    except TooFew as error:
        notes.append(f"No gate: {error}.")
    undefined = [name.upper() for name in ("cl", "cs", "rss") if math.isnan(numbers[f"two_turns/{name}"])]
    if undefined:
        notes.append(f"Undefined: {', '.join(undefined)}, since first answers were all right or all wrong.")
    return Place(place.label, numbers, tuple(notes))


def stored(folder: RunFolder, left_out: list[str]) -> Iterator[Stored]:
    """Every place of a run with revised answers; what cannot be counted is added to `left_out`."""
    for loop in folder.loops:
        for at in folder.points(loop):
            for file in sorted(RunStore(folder.path, loop).round_folder(at).glob("*trajectories.parquet")):
                what = file.stem.removesuffix("trajectories").rstrip("_")
                attempts: list[Trajectory] = folder.table(loop, at, file.stem)
                if not any(t.parent is not None or "arms" in t.sampling for t in attempts):
                    continue
                label = f"{loop}/{at if isinstance(at, str) else f'round={at:03d}'}/{what or 'sampled'}"
                ids = {t.sample_id for t in attempts}
                batch = [s for s in _questions(folder, loop, at, what) if s.id in ids]
                if len(batch) < len(ids):
                    left_out.append(f"{label}: the questions of {len(ids) - len(batch)} of {len(ids)} were not kept")
                    continue
                said: list[Critique] = folder.table(loop, at, f"{what}_critiques" if what else "critiques")
                said = [*said, *_facts(said, batch, attempts)]
                names = tuple(dict.fromkeys(c.critic for c in said))
                yield Stored(label, tuple(verbs.group(batch, attempts, said)), names)


def _questions(folder: RunFolder, loop: str, at: At, what: str) -> list[Sample]:
    kept = folder.table(loop, at, f"{what}_samples" if what else "samples")
    return kept or (list(folder.questions(what).values()) if what else [])


def _facts(said: Sequence[Critique], batch: Sequence[Sample], attempts: Sequence[Trajectory]) -> list[Critique]:
    """What rules know where the run did not ask them: the answer, and the embedded world's oracle."""
    by_id = {s.id: s for s in batch}
    items = [(by_id[t.sample_id], t) for t in attempts]
    there = {c.critic for c in said}
    world = all(s.meta.get("world") == "shapes" for s in batch)
    facts = [c for c in (AnswerMatch(), *([Oracle()] if world else [])) if c.name not in there]
    return [c for critic in facts for c in critic(items)]
