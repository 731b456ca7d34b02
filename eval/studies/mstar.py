"""Studies of M-STaR in miniature: arms that differ in one thing, over seeds, paired by question.

Every arm starts from the same warm policy and, where it ranks by step reward, from the same step-reward model: the
tables and checkpoints of those stages are copied from the quickstart's run (the store refuses them if their settings
differ). All arms of a study take the same number of gradient steps on samples of the same number of questions.

    python eval/studies/mstar.py --study controls --seeds 5 --jobs 2      (resumes; about 45 minutes on 2 cores)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mmevolve.results import record
from mmevolve.statistics import paired_interval
from mmevolve.store import RunStore

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = "recipes/quickstart.yaml"
Arm = tuple[str, list[str]]  # a recipe and its overrides
FIRST: Arm = (QUICKSTART, [])


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        title: of its section in the results.
        arms: name -> recipe and overrides; the quickstart itself is `step_reward`, and runs first.
        differences: (a, b) pairs reported as a - b.
        distance: (low, high) arms between which the step reward's share is given.
    """

    title: str
    arms: dict[str, Arm]
    differences: list[tuple[str, str]]
    distance: tuple[str, str] | None = None


def ranked(k: int, above: float = 0.5) -> Arm:
    return QUICKSTART, [f"loop.2.selector.k={k}", f"loop.2.selector.above={above}"]


STUDIES = {
    "controls": Study(
        "Quickstart and its controls",
        {
            "step_reward": FIRST,
            "outcome_only": ("recipes/shapes/outcome_only.yaml", []),
            "random_2": ("recipes/shapes/random_2.yaml", []),
            "more_sft": ("recipes/shapes/more_sft.yaml", []),
            "oracle": ("recipes/shapes/oracle.yaml", []),
        },
        [
            *[("step_reward", b) for b in ("shipped model", "after warm-up", "outcome_only", "random_2", "more_sft")],
            ("oracle", "outcome_only"),
            ("oracle", "step_reward"),
        ],
        ("outcome_only", "oracle"),
    ),
    "carry": Study(
        "What lives on from round to round",
        {
            "step_reward": FIRST,
            "iterative_rft": (QUICKSTART, ["loop.2.train.carry=weights"]),
            "rest_em": (QUICKSTART, ["loop.2.train.carry=nothing"]),
        },
        [("step_reward", "iterative_rft"), ("iterative_rft", "rest_em"), ("step_reward", "rest_em")],
    ),
    "selectors": Study(
        "Which right attempts are trained on",
        {
            "step_reward": FIRST,
            "top_1": ranked(1),
            "top_4": ranked(4),
            "threshold": ranked(8),
            "top_2_no_floor": ranked(2, 0.0),
        },
        [("step_reward", b) for b in ("top_1", "top_4", "threshold", "top_2_no_floor")],
    ),
}
SHARED = ("warmup", "reward", "images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="controls", choices=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds run side by side, one thread each")
    parser.add_argument("--out", default="runs/study")
    args = parser.parse_args()
    study, out = STUDIES[args.study], Path(args.out)

    def all_arms(seed: int) -> None:
        for name, arm in study.arms.items():
            run_arm(name, arm, out, seed)

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(all_arms, range(args.seeds)))
    lines = table(study, out, args.seeds)
    print("\n".join(lines))
    record(study.title, lines, command=f"python eval/studies/mstar.py --study {args.study} --seeds {args.seeds}")


def run_arm(name: str, arm: Arm, out: Path, seed: int) -> None:
    """One run; a finished one is left alone."""
    recipe, overrides = arm
    folder = out / f"{name}-{seed}"
    if (folder / "summary.json").exists():
        return
    if name != "step_reward":
        for part in SHARED:
            source, target = out / f"step_reward-{seed}" / part, folder / part
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


def table(study: Study, out: Path, seeds: int) -> list[str]:
    """Markdown: accuracy of each arm by seed, and paired differences over seeds and questions."""
    folders = {arm: [out / f"{arm}-{s}" for s in range(seeds)] for arm in study.arms}
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
    for a, b in study.differences:
        gap = difference(points[b], points[a])
        each = [difference(points[b][s : s + 1], points[a][s : s + 1]).mean for s in range(seeds)]
        apart = ", ".join(f"{100 * g:+.1f}" for g in each)
        lines.append(f"| {a} - {b} | {100 * gap.mean:+.1f} | {100 * gap.low:+.1f} to {100 * gap.high:+.1f} | {apart} |")
    if study.distance is not None:
        low, high = study.distance
        won = difference(after[low], after["step_reward"]).mean
        room = difference(after[low], after[high]).mean
        lines += ["", f"Share of the distance from {low} to {high} that the step reward wins: {won / room:.2f}"]
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
