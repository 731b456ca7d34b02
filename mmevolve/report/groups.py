"""Groups worth reading, found by rule: what training mended and broke, and where critics are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from mmevolve.report.folder import At, RunFolder, open_run
from mmevolve.report.honesty import ORACLE, step_critics
from mmevolve.report.numbers import (
    accuracy_critic,
    benchmarks,
    ends,
    held_out,
    held_out_verdicts,
    main_evaluation,
    verifier,
)
from mmevolve.types import Critique, Demonstration, Labelled, Preference, Sample, Trajectory

MOST = 4  # attempts shown of one group


@dataclass(frozen=True)
class Attempt:
    """One attempt as it is shown.

    Attributes:
        where: when it was written, in words.
        trajectory: the attempt.
        critiques: what every critic said of it.
        right: the verifier's verdict; None when it gave none.
        kept: whether it became a training row.
    """

    where: str
    trajectory: Trajectory
    critiques: tuple[Critique, ...]
    right: bool | None
    kept: bool = False


@dataclass(frozen=True)
class Worth:
    """A group worth reading.

    Attributes:
        kind: what it is an example of.
        rule: how it was found, in one sentence.
        sample: the question; its text is empty when the run did not keep it.
        attempts: the attempts shown, the one that matters first or in the order of time.
    """

    kind: str
    rule: str
    sample: Sample
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Judged:
    """Everything about one set of attempts, by sample."""

    loop: str
    at: At
    samples: dict[str, Sample]
    attempts: dict[str, list[Attempt]]
    critiques: list[Critique]

    def worth(self, kind: str, rule: str, first: Sequence[Attempt]) -> Worth:
        """The group of these attempts, filled up with others at the same sample."""
        name = first[0].trajectory.sample_id
        others = [a for a in self.attempts[name] if a not in first]
        return Worth(kind, rule, self.samples.get(name, Sample(name, "")), (*first, *others)[:MOST])


def examples_worth_reading(path: str, loops: Sequence[str] | None = None, k: int = 10) -> list[Worth]:
    """Up to `k` groups of a run, found by rule; `loops` in the order they ran, or as the run's own files tell."""
    return worth_reading(open_run(path, loops), k=k)


def worth_reading(folder: RunFolder, *, k: int = 10) -> list[Worth]:
    """Every kind in its turn, no sample twice; kinds that a run has none of leave room for others."""
    kinds = [rule(folder) for rule in (_fixed, _broken, _wrong_step, _disagree, _kept)]
    chosen: list[list[Worth]] = [[] for _ in kinds]
    seen: set[str] = set()
    going = list(range(len(kinds)))
    while going and len(seen) < k:
        for i in tuple(going):
            worth = next((w for w in kinds[i] if w.sample.id not in seen), None)
            if worth is None:
                going.remove(i)
            elif len(seen) < k:
                seen.add(worth.sample.id)
                chosen[i].append(worth)
    return [worth for alike in chosen for worth in alike]


def attempts_at(folder: RunFolder, sample: str) -> list[Worth]:
    """Every attempt of the run at one sample, one group a place, in order of time."""
    found = []
    names = dict.fromkeys((main_evaluation(folder), *benchmarks(folder), "samples", ""))
    for loop in folder.loops:
        for at in folder.points(loop):
            for name in names:
                tables = (
                    judged_at(folder, loop, at, name) if folder.has(loop, at, _table(name, "trajectories")) else None
                )
                if tables is not None and sample in tables.attempts:
                    what = f"{loop} {'round ' if isinstance(at, int) else ''}{at}" + (f", {name}" if name else "")
                    whole = tables.attempts[sample]
                    found.append(Worth(what, "", tables.samples.get(sample, Sample(sample, "")), tuple(whole)))
    return found


def _fixed(folder: RunFolder) -> Iterator[Worth]:
    yield from _changed(
        folder, "Fixed by training", "Held-out question, answered wrongly before and rightly at the end.", 0, 1
    )


def _broken(folder: RunFolder) -> Iterator[Worth]:
    yield from _changed(
        folder, "Broken by training", "Held-out question, answered rightly before and wrongly at the end.", 1, 0
    )


def _changed(folder: RunFolder, kind: str, rule: str, was: float, now: float) -> Iterator[Worth]:
    places = ends(folder)
    if len(places) < 2:
        return
    (before, after) = (held_out_verdicts(folder, *place) for place in places)
    first, last = (judged_at(folder, *place, main_evaluation(folder)) for place in places)
    samples = {**first.samples, **last.samples}
    by_family: dict[str, list[str]] = {}
    for name in before:
        if before[name] == was and after.get(name) == now:
            family = str(samples[name].meta.get("family", "")) if name in samples else ""
            by_family.setdefault(family, []).append(name)
    for turn in zip_longest(*by_family.values()):  # one of every family before the second of any
        for name in turn:
            if name is not None:
                pair = (first.attempts[name][0], last.attempts[name][0])
                yield Worth(kind, rule, samples.get(name, Sample(name, "")), pair)


def _wrong_step(folder: RunFolder) -> Iterator[Worth]:
    kind = "Right answer, wrong step"
    for tables in _rounds(folder):
        learned = step_critics(tables.critiques)
        judge = ORACLE if any(c.critic == ORACLE for c in tables.critiques) else learned[0] if learned else None
        who = "the oracle, which knows the picture," if judge == ORACLE else f"the critic '{judge}'"
        rule = f"The answer is right, yet {who} calls a step wrong. Attempts that were trained on come first."
        found = []
        for attempts in tables.attempts.values():
            bad = [a for a in attempts if a.right and judge and min(_steps(a, judge), default=1.0) < 0.5]
            if bad:
                found.append(max(bad, key=lambda a: (a.kept, *(min(_steps(a, n), default=0.0) for n in learned))))
        found.sort(key=lambda a: (not a.kept, *(-min(_steps(a, n), default=0.0) for n in learned)))
        if found:
            yield from (tables.worth(kind, rule, [a]) for a in found)
            return


def _disagree(folder: RunFolder) -> Iterator[Worth]:
    told = accuracy_critic(folder)
    for tables in _rounds(folder):
        truth = ORACLE if any(c.critic == ORACLE for c in tables.critiques) else verifier(tables.critiques, told)
        found: list[tuple[float, Attempt]] = []
        learned = step_critics(tables.critiques)
        for attempts in tables.attempts.values():
            gaps = [(_gap(a, name, truth), a) for a in attempts for name in learned]
            found += [max(gaps, key=lambda pair: pair[0])] if gaps else []
        found = sorted((pair for pair in found if pair[0] > 0.5), key=lambda pair: -pair[0])
        if found:
            rule = f"The learned critic and '{truth}' are furthest apart on the first attempt shown."
            yield from (tables.worth("Critics disagree", rule, [a]) for _, a in found)
            return


def _kept(folder: RunFolder) -> Iterator[Worth]:
    rule = "Became a training row in the last round; questions with the fewest right attempts come first."
    for tables in _rounds(folder):
        rows = folder.table(tables.loop, tables.at, "examples")
        if not any(isinstance(row, Demonstration | Preference) for row in rows):
            continue
        groups = [(sum(bool(a.right) for a in g), [a for a in g if a.kept]) for g in tables.attempts.values()]
        for _, kept in sorted((pair for pair in groups if pair[1]), key=lambda pair: pair[0]):
            yield tables.worth("Kept for training", rule, kept)
        return


def _gap(attempt: Attempt, critic: str, truth: str | None) -> float:
    """How far a critic's score is from a verdict of 0 or 1; nothing when either is missing."""
    score, verdict = (_score(attempt, name) for name in (critic, truth))
    return abs(min(1.0, max(0.0, score)) - verdict) if score is not None and verdict is not None else 0.0


def _score(attempt: Attempt, critic: str | None) -> float | None:
    return next((c.score for c in attempt.critiques if c.critic == critic), None)


def _steps(attempt: Attempt, critic: str) -> tuple[float, ...]:
    return next((c.step_scores for c in attempt.critiques if c.critic == critic), ())


def _rounds(folder: RunFolder) -> Iterator[Judged]:
    """Judged attempts: what the policy learned from, last round first; held-out ones; a reward model's data."""
    rounds = [(loop, at) for loop in folder.loops for at in folder.points(loop) if folder.has(loop, at, "critiques")]
    labels = [place for place in rounds if any(isinstance(r, Labelled) for r in folder.table(*place, "examples")[:1])]
    for place in reversed(rounds):
        if place not in labels:
            yield judged_at(folder, *place, "")
    for place in reversed(held_out(folder)):
        yield judged_at(folder, *place, main_evaluation(folder))
    for place in reversed(labels):
        yield judged_at(folder, *place, "")


def _table(evaluation: str, name: str) -> str:
    return f"{evaluation}_{name}" if evaluation else name


def judged_at(folder: RunFolder, loop: str, at: At, evaluation: str) -> Judged:
    """Attempts and critiques of one round's training (evaluation '') or of one evaluation."""
    measured = main_evaluation(folder)
    critiques = folder.table(loop, at, _table(evaluation, "critiques"))
    critic = verifier(critiques, accuracy_critic(folder))
    said: dict[str, list[Critique]] = {}
    for c in critiques:
        said.setdefault(c.trajectory_id, []).append(c)
    rows = [] if evaluation else folder.table(loop, at, "examples")
    kept = {row.source for row in rows if not isinstance(row, Labelled)}  # labels teach a reward model, not the policy
    samples = folder.questions(evaluation) if evaluation else {s.id: s for s in folder.table(loop, at, "samples")}
    attempts: dict[str, list[Attempt]] = {}
    for t in folder.table(loop, at, _table(evaluation, "trajectories")):
        mine = attempts.setdefault(t.sample_id, [])
        scores = [c.score for c in said.get(t.id, ()) if c.critic == critic]
        right = scores[0] > 0 if scores and scores[0] is not None else None
        when = "before training" if at == "before" else f"{loop} round {at}"
        where = f"{loop} {when}" if at == "before" and loop != folder.loops[0] else when
        name = where if evaluation == measured else f"{where}, attempt {len(mine) + 1}"
        if t.sampling.get("prompt", "question") != "question":
            name += f", prompt '{t.sampling['prompt']}'"
        mine.append(Attempt(name, t, tuple(said.get(t.id, ())), right, t.id in kept))
    return Judged(loop, at, samples, attempts, critiques)
