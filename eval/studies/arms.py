"""What studies that compare runs share: running their arms, reading stored attempts, deciding by intervals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmevolve.statistics import Interval, paired_interval
from mmevolve.store import RunStore
from mmevolve.types import Group
from mmevolve.verbs import group

ROOT = Path(__file__).resolve().parents[2]
Arm = tuple[str, list[str]]  # a recipe and its overrides
Right = Mapping[str, float]  # question -> 1 right, 0 wrong, or any other number of the question


def run_arms(
    arms: Mapping[str, Arm], out: Path, seeds: int, jobs: int, shared: Mapping[str, tuple[str, Sequence[str]]]
) -> None:
    """Run all arms of every seed, seeds side by side; finished runs are left alone.

    Args:
        arms: by name, in the order in which they run.
        out: where run folders lie.
        seeds: how many.
        jobs: seeds run side by side, one thread each.
        shared: arm -> (arm that ran before it, its folders that are copied before the start). The store refuses them
            if the settings that made them differ.
    """

    def one_seed(seed: int) -> None:
        for name, arm in arms.items():
            giver, parts = shared.get(name, (name, ()))
            run_arm(arm, run_folder(out, name, seed), seed, run_folder(out, giver, seed), parts)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one_seed, range(seeds)))


def run_folder(out: Path, name: str, seed: int) -> Path:
    """Where an arm's run of one seed lies."""
    return out / f"{name.replace(' ', '_')}-{seed}"


def run_arm(arm: Arm, folder: Path, seed: int, giver: Path, parts: Sequence[str]) -> None:
    """One run, with the parts of another that are the same in both; `SEED` in an override is the seed."""
    recipe, overrides = arm
    if (folder / "summary.json").exists():
        return
    for part in parts:
        source, target = giver / part, folder / part
        if source.exists() and not target.exists():
            shutil.copytree(source, target)
    own = [word.replace("SEED", str(seed)) for word in overrides]
    command = [sys.executable, "-m", "mmevolve", "run", recipe, f"store.path={folder}", f"seed={seed}", *own]
    print(" ".join(command[3:]), flush=True)
    threads = {"OMP_NUM_THREADS": "1"}  # two processes with two threads each on two cores wait for each other
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **threads}, stdout=subprocess.DEVNULL)


def measured(folder: Path) -> list[dict]:
    """What a run measured before its rounds and after each, loop by loop."""
    return json.loads((folder / "summary.json").read_text())["rounds"]


def last_round(folder: Path, loop: str) -> str:
    return max(p.name for p in (folder / loop).glob("round=*"))


def stored(folder: Path, loop: str, at: str, evaluation: str = "held_out") -> list[Group]:
    """The attempts and critiques that an evaluation of a run kept."""
    store = RunStore(str(folder)).stage(loop)
    path = store.round_folder(at)
    tables = (store.read(path / f"{evaluation}_{name}.parquet") for name in ("samples", "trajectories", "critiques"))
    return group(*tables)


def right(folder: Path, loop: str, at: str) -> dict[str, float]:
    """Held-out question -> 1 right, 0 wrong."""
    return {g.sample.id: g.scores("answer")[0] or 0.0 for g in stored(folder, loop, at)}


def difference(before: Sequence[Right], after: Sequence[Right]) -> Interval:
    """After less before, seed by seed; paired over (seed, question), the seeds of a question resampled together.

    Raises:
        ValueError: when a question was asked on one side only.
    """
    for b, a in zip(before, after, strict=True):
        if odd := set(b) ^ set(a):
            raise ValueError(f"{len(odd)} questions are on one side only, '{min(odd)}' first: nothing to pair")
    keys = [(s, q) for s, run in enumerate(before) for q in run]
    return paired_interval(
        [before[s][q] for s, q in keys], [after[s][q] for s, q in keys], clusters=[q for _, q in keys]
    )


def decided(paper: float, ours: Interval) -> str:
    """Whether ours has the sign of the paper's difference: the interval alone decides."""
    if ours.low <= 0 <= ours.high:
        return "undecided"
    return "agrees" if (ours.low > 0) == (paper > 0) else "disagrees"


def points(gap: Interval) -> str:
    """A difference of shares in points, with its interval."""
    return f"{100 * gap.mean:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"


def head(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]


def cells(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"
