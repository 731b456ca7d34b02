"""Studies of M-STaR in miniature: arms that differ in one thing, over seeds, paired by question.

Every arm starts from the same warm policy and, where it ranks by step reward, from the same step-reward model: the
tables and checkpoints of those stages are copied from the quickstart's run (the store refuses them if their settings
differ). All arms of a study take the same number of gradient steps on samples of the same number of questions.

    python eval/studies/mstar.py --study controls --seeds 5 --jobs 2      (resumes; about 45 minutes on 2 cores)
    python eval/studies/mstar.py --study all --jobs 2                     (all of them: about 3 hours)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from arms import decided, difference, last_round, measured, right, run_arms
from mstar_arms import STUDIES, Study

from mmevolve.results import record
from mmevolve.statistics import Interval, paired_interval
from mmevolve.store import RunStore

SHARED = ("warmup", "reward", "images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="controls", choices=[*STUDIES, "all"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="seeds run side by side, one thread each")
    parser.add_argument("--out", default="runs/study")
    args = parser.parse_args()
    for name in STUDIES if args.study == "all" else [args.study]:
        one_study(name, Path(args.out), args.seeds, args.jobs)


def one_study(name: str, out: Path, seeds: int, jobs: int) -> None:
    """Run its arms, seeds side by side, and write its section of the results."""
    study = STUDIES[name]
    shared = {arm: ("step_reward", SHARED) for arm in study.arms if arm != "step_reward"}
    run_arms(study.arms, out, seeds, jobs, shared)
    lines = table(study, out, seeds)
    print("\n".join(lines))
    record(study.title, lines, command=f"python eval/studies/mstar.py --study {name} --seeds {seeds}")


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
    heads = ["difference, paired by question", "points", "95 % interval", "seed by seed"]
    heads += ["paper, in and out of domain", "ours"] if study.paper else []
    lines += ["", f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for a, b in study.differences:
        gap = difference(points[b], points[a])
        each = [difference(points[b][s : s + 1], points[a][s : s + 1]).mean for s in range(seeds)]
        apart = ", ".join(f"{100 * g:+.1f}" for g in each)
        cells = [f"{a} - {b}", f"{100 * gap.mean:+.1f}", f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}", apart]
        lines.append(f"| {' | '.join([*cells, *(beside(study.paper.get((a, b)), gap) if study.paper else [])])} |")
    if study.distance is not None:
        low, high = study.distance
        won = difference(after[low], after["step_reward"]).mean
        room = difference(after[low], after[high]).mean
        lines += ["", f"Share of the distance from {low} to {high} that the step reward wins: {won / room:.2f}"]
    if study.rounds:
        runs = [evolved(f) for arm in list(study.arms)[1:] for f in folders[arm]]
        lines += ["", *by_round(runs), "", *late_changes(runs)]
    return [*lines, "", study.says] if study.says else lines


def beside(paper: tuple[float, float] | None, ours: Interval) -> list[str]:
    """The paper's two differences, and whether ours goes their way; a mean below a quarter point is none."""
    if paper is None:
        return ["", ""]
    said = f"{paper[0]:+.1f}, {paper[1]:+.1f}"
    if abs(sum(paper)) >= 0.5:
        return [said, decided(sum(paper), ours)]
    return [said, "no difference there" + ("" if ours.low <= 0 <= ours.high else ", one here")]


ROUND_BY_ROUND = {
    "accuracy": "accuracy",
    "pass@8": "pass@8",
    "right answer, wrong step": "right_answer_wrong_step",
    "distinct right texts": "samples/distinct_right_texts",
    "rows": "rows",
    "reward pass@2": "reward_pass@2",
    "step AUROC": "step_auroc_prm",
}


def evolved(folder: Path) -> list[dict]:
    """What a run measured before its rounds and after each."""
    return [row for row in measured(folder) if row["loop"] == "evolve"]


def late_changes(runs: list[list[dict]], last: int = 3) -> list[str]:
    """Markdown: how the mean of the last rounds differs from that of as many before, by seed, and from the start."""
    lines = [f"| rounds {len(runs[0]) - 1 - last} and later, less | the {last} rounds before | the start |"]
    lines.append("| --- | --- | --- |")
    for name, key in ROUND_BY_ROUND.items():
        ends = [[row.get(key) for row in (rows[0], *rows[-2 * last :])] for rows in runs]
        late = [sum(values[-last:]) / last for values in ends]
        before = [sum(values[1 : last + 1]) / last for values in ends]
        cells = [paired_interval(before, late)]
        cells += [paired_interval([v[0] for v in ends], late)] if all(v[0] is not None for v in ends) else []
        shown = [f"{i.mean:+.3f} ({i.low:+.3f} to {i.high:+.3f})" for i in cells]
        lines.append(f"| {name} | {' | '.join([*shown, ''][:2])} |")
    return lines


def by_round(runs: list[list[dict]]) -> list[str]:
    """Markdown: what was measured after each round, mean over the runs."""
    lines = [f"| round | {' | '.join(ROUND_BY_ROUND)} |", "|" + " --- |" * (len(ROUND_BY_ROUND) + 1)]
    for rows in zip(*runs, strict=True):
        means = [[row[key] for row in rows if row.get(key) is not None] for key in ROUND_BY_ROUND.values()]
        cells = [f"{sum(m) / len(m):.3f}" if m else "" for m in means]
        lines.append(f"| {rows[0]['round']} | {' | '.join(cells)} |")
    return lines


def wrong_step(folder: Path) -> float:
    rows = RunStore(str(folder)).stage("evolve").table(last_round(folder, "evolve"), "metrics")
    return rows[0]["samples/right_answer_wrong_step"]


if __name__ == "__main__":
    main()
