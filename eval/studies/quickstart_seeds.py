"""The quickstart against its controls, over seeds, paired by question.

Every arm starts from the same warm policy and, where it ranks by step reward, from the same step-reward model: the
tables and checkpoints of those stages are copied from the quickstart's run (the store refuses them if their settings
differ). All arms take the same number of gradient steps on samples of the same number of questions.

    python eval/studies/quickstart_seeds.py --seeds 5 --jobs 2      (resumes; about 45 minutes on 2 cores)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmevolve.results import record
from mmevolve.statistics import paired_interval
from mmevolve.store import RunStore

ROOT = Path(__file__).resolve().parents[2]
ARMS = {
    "step_reward": "recipes/quickstart.yaml",
    "outcome_only": "recipes/shapes/outcome_only.yaml",
    "random_2": "recipes/shapes/random_2.yaml",
    "more_sft": "recipes/shapes/more_sft.yaml",
    "oracle": "recipes/shapes/oracle.yaml",
}
SHARED = ("warmup", "reward", "images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds run side by side, one thread each")
    parser.add_argument("--out", default="runs/study")
    parser.add_argument(
        "--arms", nargs="+", default=list(ARMS), choices=list(ARMS), help="which arms; step_reward first"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="a.b=value", help="overrides for every arm")
    args = parser.parse_args()
    out = Path(args.out)

    def all_arms(seed: int) -> None:
        for arm in args.arms:
            run_arm(arm, ARMS[arm], out, seed, args.set)

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(all_arms, range(args.seeds)))
    lines = table(out, args.seeds, args.arms)
    print("\n".join(lines))
    command = f"python eval/studies/quickstart_seeds.py --seeds {args.seeds} --arms {' '.join(args.arms)}"
    record("Quickstart and its controls", lines, command=command)


def run_arm(arm: str, recipe: str, out: Path, seed: int, overrides: list[str]) -> None:
    """One run; a finished one is left alone."""
    folder = out / f"{arm}-{seed}"
    if (folder / "summary.json").exists():
        return
    if arm != "step_reward":
        for name in SHARED:
            source, target = out / f"step_reward-{seed}" / name, folder / name
            if source.exists() and not target.exists():
                shutil.copytree(source, target)
    command = [sys.executable, "-m", "mmevolve", "run", recipe, f"store.path={folder}", f"seed={seed}", *overrides]
    print(" ".join(command[3:]), flush=True)
    threads = {"OMP_NUM_THREADS": "1"}  # two processes with two threads each on two cores wait for each other
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **threads}, stdout=subprocess.DEVNULL)


def right(folder: Path, loop: str, at: str) -> dict[str, float]:
    """Held-out question -> 1 right, 0 wrong."""
    store = RunStore(str(folder)).stage(loop)
    path = store.round_folder(at)
    scores = {c.trajectory_id: c.score for c in store.read(path / "held_out_critiques.parquet")}
    return {t.sample_id: scores[t.id] or 0.0 for t in store.read(path / "held_out_trajectories.parquet")}


def last_round(folder: Path, loop: str) -> str:
    return max(p.name for p in (folder / loop).glob("round=*"))


def table(out: Path, seeds: int, arms: list[str]) -> list[str]:
    """Markdown: accuracy of each arm by seed, and paired differences over seeds and questions."""
    folders = {arm: [out / f"{arm}-{s}" for s in range(seeds)] for arm in arms}
    after = {arm: [right(f, "evolve", last_round(f, "evolve")) for f in runs] for arm, runs in folders.items()}
    start = [right(out / f"step_reward-{s}", "warmup", "before") for s in range(seeds)]
    warm = [right(out / f"step_reward-{s}", "evolve", "before") for s in range(seeds)]
    honest = {arm: [wrong_step(f) for f in runs] for arm, runs in folders.items()}
    points = {"shipped model": start, "after warm-up": warm, **after}
    heads = " | ".join(f"seed {s}" for s in range(seeds))
    lines = [f"| arm | {heads} | mean | right answer, wrong step |", "|" + " --- |" * (seeds + 3)]
    for name, runs in points.items():
        means = [sum(r.values()) / len(r) for r in runs]
        steps = f"{sum(honest[name]) / seeds:.3f}" if name in honest else ""
        each = " | ".join(f"{m:.3f}" for m in means)
        lines.append(f"| {name} | {each} | {sum(means) / seeds:.3f} | {steps} |")
    lines += ["", "| difference, paired by question | points | 95 % interval | seed by seed |", "|" + " --- |" * 4]
    others = ("shipped model", "after warm-up", "outcome_only", "random_2", "more_sft")
    wanted = [("step_reward", other) for other in others] + [("oracle", "outcome_only"), ("oracle", "step_reward")]
    for a, b in [pair for pair in wanted if set(pair) <= set(points)]:
        gap = difference(points[b], points[a])
        each = [difference(points[b][s : s + 1], points[a][s : s + 1]).mean for s in range(seeds)]
        apart = ", ".join(f"{100 * g:+.1f}" for g in each)
        lines.append(f"| {a} - {b} | {100 * gap.mean:+.1f} | {100 * gap.low:+.1f} to {100 * gap.high:+.1f} | {apart} |")
    if {"outcome_only", "oracle"} <= set(arms):
        won = difference(after["outcome_only"], after["step_reward"]).mean
        room = difference(after["outcome_only"], after["oracle"]).mean
        lines += [
            "",
            f"Share of the distance from outcome-only to the oracle that the step reward wins: {won / room:.2f}",
        ]
    seconds = [json.loads((out / f"step_reward-{s}" / "summary.json").read_text())["seconds"] for s in range(seeds)]
    lines += [f"Quickstart's time over the seeds: {min(seconds):.0f} to {max(seconds):.0f} s"]
    return lines


def difference(before: list[dict[str, float]], after: list[dict[str, float]]):
    """Paired over (seed, question); resampled by question, whose seeds go together."""
    keys = [(s, q) for s, run in enumerate(before) for q in run]
    return paired_interval(
        [before[s][q] for s, q in keys], [after[s][q] for s, q in keys], clusters=[q for _, q in keys]
    )


def wrong_step(folder: Path) -> float:
    rows = RunStore(str(folder)).stage("evolve").table(last_round(folder, "evolve"), "metrics")
    return rows[0]["samples/right_answer_wrong_step"]


if __name__ == "__main__":
    main()
