"""`mmevolve critique RUN|FILE.jsonl --critic "..."`: any critic on stored answers, measured and held to its picture.

A file of answers becomes a run folder first; from there on both are the same. What the critic says goes beside the
attempts, in the tables of `mmevolve score`, unit by unit, so that a second call reads it; its numbers go to
`critique_NAME.json`. With controls it judges the same attempts without their picture, or with another one: a critic
whose verdicts stay the same is not grounded.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmevolve import verbs
from mmevolve.benchmarks.critic_named import is_critic, named_critic
from mmevolve.config import ConfigError, Recipe, build
from mmevolve.config.nearest import hint
from mmevolve.config.read_yaml import parse
from mmevolve.config.tree import Entry, Keyed
from mmevolve.console import Console, shown_on
from mmevolve.controls import pictures
from mmevolve.controls.grounding import under
from mmevolve.critique_numbers import grounded, lines, measured
from mmevolve.critique_rows import LOOP, given
from mmevolve.durable import put_text
from mmevolve.labelled_steps import Patient
from mmevolve.launch import lock, quiet_libraries
from mmevolve.report.folder import is_run, open_run
from mmevolve.scoring import Place, judged, trained_critic
from mmevolve.store import RunStore, StoreError
from mmevolve.types import Critique

CONTROLS = {"blank": pictures.grey, "swapped": pictures.swapped, "permuted": pictures.permuted}


def critique(
    target: str,
    critic: str,
    *,
    controls: Sequence[str] = (),
    threshold: float = 0.5,
    out: str | None = None,
    allow: Collection[str] = (),
) -> int:
    """Put a critic to a run's attempts, or to a file's answers, and print what it is worth; 2 for a user's mistake.

    Args:
        target: a run folder, or a table of answers (`critique_rows`).
        critic: a critic of the run's recipe by its name; a part such as `critics.Vote`; a call in YAML's braces;
            `yes_no:MODEL`; or the folder of a step-reward model.
        controls: `blank` (an even grey picture), `swapped` (another sample's), `permuted` (its patches out of place).
        threshold: a step or an answer that scores below is called wrong.
        out: the run folder that a file becomes; by default `runs/critique/<the file's name>`.
        allow: packages that the recipe may call beside our own.
    """
    for name in controls:
        if name not in CONTROLS:
            print(f"no control '{name}'{hint(name, CONTROLS)}: there are {', '.join(CONTROLS)}", file=sys.stderr)
            return 2
    if Path(target).is_dir() and not is_run(target):
        print(f"'{target}' is not a run folder; runs are made by `mmevolve run RECIPE`", file=sys.stderr)
        return 2
    if Path(target).is_dir() and out is not None:
        print("--out is for a file of answers: of a run, critiques go into its own folder", file=sys.stderr)
        return 2
    quiet_libraries()
    folder = Path(target) if Path(target).is_dir() else Path(out or Path("runs/critique") / Path(target).stem)
    try:
        rows = None if Path(target).is_dir() else given(target)
        with lock(folder) as free, shown_on(Console()) as console:
            if not free:
                print(f"{folder} is in use by another process: wait for it", file=sys.stderr)
                return 2
            if rows is not None:
                keep(RunStore(str(folder), LOOP), rows)
            judge, trained = critic_of(folder, critic, allow)
            for line in trained:
                console.say(line)
            places = list(judged(open_run(str(folder)), Patient(judge)))
            apart = {p.label: {c: controlled(folder, p, judge, c) for c in controls} for p in places}
            numbers = {p.label: measured(p.groups, judge.name, threshold) for p in places}
            for p in places:
                numbers[p.label] |= grounded(p.groups, apart[p.label], judge.name, threshold)
    except (StoreError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        print(error, file=sys.stderr)
        return 2
    if not places:
        print(f"{folder} has no attempts yet: nothing to judge", file=sys.stderr)
        return 2
    file = folder / f"critique_{judge.name}.json"
    kept = {p: {k: v if math.isfinite(v) else None for k, v in own.items()} for p, own in numbers.items()}
    put_text(file, json.dumps(kept, indent=1) + "\n")
    print("\n".join(_about(judge)))
    for place in places:
        print("\n".join(["", f"{place.label}:", *lines(numbers[place.label], judge.name, controls)]))
    print(f"\nnumbers in {file}, every critique in round=*/score_{judge.name}*.parquet")
    return 0


def keep(store: RunStore, rows: Sequence[Any]) -> None:
    """A file's answers as the tables of a run; those that are there must be the same.

    Raises:
        StoreError: when the folder holds other answers.
    """
    store.once(0, "samples", _as_given, [row.sample for row in rows])
    store.once(0, "trajectories", _as_given, [row.attempt for row in rows])
    store.once(0, "critiques", _as_given, [label for row in rows for label in row.labels])


def critic_of(folder: Path, word: str, allow: Collection[str] = ()) -> tuple[Any, list[str]]:
    """The critic that a word means, and a line on each model that a run trained.

    Raises:
        ConfigError: when the run's recipe has no such critic, there is no recipe, or a call refuses its settings.
        ValueError: when a checkpoint belongs to another model.
    """
    braces = word.lstrip().startswith("{")
    if is_critic(word) and not braces:
        return named_critic(word).steps, []
    if (folder / "recipe.yaml").is_file():
        return trained_critic(str(folder), word, allow)
    if "." not in word:
        more = "name a part, such as critics.Vote, or write a call, {_target_: critics.YesNo, judge: ...}"
        raise ConfigError(f"'{word}' is no critic: {folder} has no recipe to take it from; {more}", "--critic")
    node = parse(word if braces else f"{{_target_: {word}}}", "--critic")
    if not isinstance(node, Keyed):
        raise ConfigError(f"'{word}' is no call, such as {{_target_: critics.YesNo, judge: ...}}", "--critic")
    nodes = replace(node, entries=(Entry("critic", node, node.place),))
    return build(Recipe("--critic", word, nodes), allow=allow)["critic"], []


def controlled(folder: Path, place: Place, judge: Any, control: str) -> list[Critique]:
    """What the critic says of the same attempts when their pictures are changed; kept beside the plain ones.

    Raises:
        ValueError: when no sample has a picture to change.
    """
    items = under(place.groups, CONTROLS[control])
    batch = list({sample.id: sample for sample, _ in items}.values())
    attempts = [replace(t, sample_id=sample.id) for sample, t in items]
    table = f"score_{judge.name}_{control}" + ("" if place.what == "sampled" else f"_{place.what}")
    store = RunStore(str(folder), place.loop)
    return store.once(place.at, table, verbs.critique, [Patient(judge)], attempts, batch)


def _about(judge: Any) -> list[str]:
    """Who judges, what it is given, and what was asked of its model."""
    words = {True: "yes", False: "no", None: "it does not say"}
    seen = [f"sees the {what}: {words[getattr(judge, f'sees_{what}', None)]}" for what in ("image", "outcome")]
    calls = getattr(judge, "calls", None)
    return [f"{judge.name}: {', '.join(seen)}", *([f"asked now: {calls}"] if calls is not None else [])]


def _as_given(rows: Sequence[Any]) -> Sequence[Any]:
    return rows
