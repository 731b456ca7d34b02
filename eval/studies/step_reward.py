"""What the step reward is good for: finding wrong steps, verifying, ranking right answers, giving up early.

Runs on the finished seeds of `mstar.py` (`step_reward-0`, ...), whose step-reward models saw rollout labels alone.
Held-out attempts that those runs stored are judged; for the truncation, new ones are drawn step by step.

    python eval/studies/step_reward.py --seeds 5 --runs runs/study          (resumes; about 10 minutes on one core)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.oracle import Oracle
from mmevolve.critics.step_reward import StepReward
from mmevolve.data.shapes.dataset import shapes
from mmevolve.metrics.best_of_n import BestOfN, by_majority, classes
from mmevolve.metrics.by_kind import StepAUROCByKind
from mmevolve.metrics.pruning import Pruning
from mmevolve.metrics.reward import StepAUROC
from mmevolve.metrics.vote_curve import WeightedVote
from mmevolve.models.vlm import TransformersVLM
from mmevolve.results import record
from mmevolve.samplers.pruned_paths import PrunedPaths
from mmevolve.scoring import trained_critic
from mmevolve.statistics import paired_interval
from mmevolve.store import RunStore
from mmevolve.types import Group
from mmevolve.verbs import group

FAMILIES = ("compare", "total", "removal", "two_hop")
PLACES = {"warm policy": "before", "after four rounds": "round=003"}
PATHS, FLOORS = 8, (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.84, 0.88)
MARGIN = 0.01  # what accuracy on the validation questions may fall: their own chance is larger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", default="runs/study")
    args = parser.parse_args()
    for seed in range(args.seeds):
        one_seed(Path(args.runs), seed)
    found = [json.loads(kept(Path(args.runs), seed).read_text()) for seed in range(args.seeds)]
    lines = [*reading(found), "", *answering(found), "", *ranking(found), "", *giving_up(found)]
    print("\n".join(lines))
    record(
        "What the step reward is good for", lines, command=f"python eval/studies/step_reward.py --seeds {args.seeds}"
    )


def kept(runs: Path, seed: int) -> Path:
    return runs / f"step_reward-{seed}" / "study_step_reward.json"


def one_seed(runs: Path, seed: int) -> None:
    """Everything of one run, kept as JSON; a finished one is left alone."""
    file, run = kept(runs, seed), runs / f"step_reward-{seed}"
    if file.exists():
        return
    critic, _ = trained_critic(str(run), "prm")
    steps = replace(critic, so_far="product")
    found = {name: stored(run, at, steps) for name, at in PLACES.items()}
    checkpoints = {"warm policy": "warmup/round=000", "after four rounds": "evolve/round=003"}
    for name, at in checkpoints.items():
        policy = TransformersVLM(name=str(run / at / "checkpoint"))
        found[name] |= truncated(policy, steps, seed)
    file.write_text(json.dumps(found))
    print(f"seed {seed}: {found}", flush=True)


def stored(run: Path, at: str, steps: StepReward) -> dict:
    """What the step reward says of the stored held-out attempts, and by question who picks what."""
    store = RunStore(str(run)).stage("evolve")
    folder = store.round_folder(at)
    samples, attempts = (
        store.read(folder / "samples_samples.parquet"),
        store.read(folder / "samples_trajectories.parquet"),
    )
    known = store.read(folder / "samples_critiques.parquet")
    by_id = {s.id: s for s in samples}
    said = list(steps([(by_id[t.sample_id], t) for t in attempts]))
    groups = group(samples, attempts, [*known, *said])
    metrics = (StepAUROC("prm"), StepAUROCByKind("prm"), BestOfN((1, PATHS)), WeightedVote((PATHS,)))
    numbers = {key: value for metric in metrics for key, value in metric(groups).items()}
    return {"numbers": numbers, "verifier": pick_answers(groups), "sound": pick_sound(groups)}


def pick_answers(groups: Sequence[Group]) -> dict[str, list[float]]:
    """By question: share of right answers of a random attempt, of the best by step reward, and of the majority."""
    rows: dict[str, list[float]] = {"random": [], "step reward": [], "majority": []}
    for g in groups:
        right = [bool(s) for s in g.scores("answer")]
        scores = [-1.0 if s is None else s for s in g.scores("prm")]
        rows["random"].append(sum(right) / len(right))
        rows["step reward"].append(best(scores, right))
        rows["majority"].append(
            by_majority(classes([t.answer for t in g.trajectories], g.sample.choices), right, len(right))
        )
    return rows


def pick_sound(groups: Sequence[Group]) -> dict[str, list[float]]:
    """By question with a right answer: share of sound chains, of a random right attempt and of the best one."""
    rows: dict[str, list[float]] = {"random": [], "step reward": []}
    for g in groups:
        trio = zip(g.scores("answer"), g.scores("prm"), g.scores("oracle"), strict=True)
        right = [(-1.0 if p is None else p, bool(o)) for a, p, o in trio if a]
        if right:
            sound = [o for _, o in right]
            rows["random"].append(sum(sound) / len(sound))
            rows["step reward"].append(best([p for p, _ in right], sound))
    return rows


def best(scores: Sequence[float], good: Sequence[bool]) -> float:
    """Share of good ones among those with the highest score."""
    top = [g for s, g in zip(scores, good, strict=True) if s == max(scores)]
    return sum(top) / len(top)


def truncated(policy: TransformersVLM, steps: StepReward, seed: int) -> dict:
    """Best of 8 with and without giving up, at the floor that saves most on validation questions at no loss there."""
    validation = shapes(n=200, split="validation", seed=1, families=FAMILIES)
    test = shapes(n=200, split="test", seed=1, families=FAMILIES)
    tried = {}
    whole = draw(policy, validation, steps, -1.0, seed)
    for floor in FLOORS:
        tried[floor] = simulated(whole, floor)
    base = simulated(whole, -1.0)[0]
    fit = [f for f in FLOORS if tried[f][0] >= base - MARGIN]
    floor = max(fit, key=lambda f: tried[f][1]) if fit else FLOORS[0]
    without, with_ = draw(policy, test, steps, -1.0, seed), draw(policy, test, steps, floor, seed)
    saved = Pruning()(with_)
    tokens = [sum(len(t.token_ids) for g in groups for t in g.trajectories) for groups in (without, with_)]
    return {"floor": floor, "whole": chosen(without), "cut": chosen(with_), "tokens": tokens, "pruning": saved}


def draw(policy: TransformersVLM, samples: Sequence, steps: StepReward, floor: float, seed: int) -> list[Group]:
    """8 paths a question, cut below the floor, with the verdicts."""
    sampler = PrunedPaths(
        clarity=steps,
        potential=steps,
        n=PATHS,
        clear=-1.0,
        hopeful=floor,
        assess="every",
        max_steps=10,
        step_tokens=32,
        seed=seed,
    )
    attempts = [t for i in range(0, len(samples), 25) for t in sampler(policy, samples[i : i + 25], round=0)]
    by_id = {s.id: s for s in samples}
    items = [(by_id[t.sample_id], t) for t in attempts]
    return group(samples, attempts, [c for critic in (AnswerMatch(), steps, Oracle()) for c in critic(items)])


def simulated(groups: Sequence[Group], floor: float) -> tuple[float, float]:
    """(accuracy of the best survivor, share of tokens saved) had these whole attempts been cut at the floor.

    Exact but for the revived path of a question whose paths are all cut, and for steps of unequal length: a step counts
    as many tokens as it has words, and one.
    """
    picked, spent, full = [], 0, 0
    for g in groups:
        rows = []
        said = g.by("prm")
        for t, right in zip(g.trajectories, g.scores("answer"), strict=True):
            words = [len(s.text.split()) + 1 for s in t.steps]
            shares = said[t.id].step_scores
            cut = next((k + 1 for k, s in enumerate(shares) if not s > floor), None)
            rows.append((t, right, said[t.id].score or 0.0, cut, words))
        if rows and all(r[3] is not None for r in rows):
            i = max(range(len(rows)), key=lambda i: said[rows[i][0].id].step_scores[rows[i][3] - 1])
            rows[i] = (*rows[i][:3], None, rows[i][4])
        alive = [(score, bool(right)) for t, right, score, cut, _ in rows if cut is None and t.answer is not None]
        picked.append(best([s for s, _ in alive], [r for _, r in alive]) if alive else 0.0)
        spent += sum(sum(words[:cut]) for *_, cut, words in rows)
        full += sum(sum(words) for *_, words in rows)
    return sum(picked) / len(picked), 1 - spent / full


def chosen(groups: Sequence[Group]) -> list[float]:
    """By question: is the best by step reward of the attempts that were finished right?"""
    rows = []
    for g in groups:
        trio = zip(g.trajectories, g.scores("answer"), g.scores("prm"), strict=True)
        alive = [(score or 0.0, bool(right)) for t, right, score in trio if t.answer is not None]
        rows.append(best([s for s, _ in alive], [r for _, r in alive]) if alive else 0.0)
    return rows


def reading(found: list[dict]) -> list[str]:
    kinds = ("perception", "reasoning", "answer")
    keys = {"all steps": "step_auroc_prm", **{k: f"step_auroc_prm_{k}" for k in kinds}}
    lines = head("step AUROC against the oracle", *keys, "seed by seed, all steps")
    for place in PLACES:
        own = [f[place]["numbers"] for f in found]
        cells = [f"{sum(n[k] for n in own) / len(own):.3f}" for k in keys.values()]
        each = ", ".join(f"{n['step_auroc_prm']:.3f}" for n in own)
        lines.append(f"| {place} | {' | '.join(cells)} | {each} |")
    return lines


def answering(found: list[dict]) -> list[str]:
    names = ("random", "step reward", "majority")
    lines = head("one answer from 8", "random attempt", "step reward", "majority", "step reward - majority, 95 %")
    return lines + [row(p, [f[p]["verifier"] for f in found], names, "majority", "step reward") for p in PLACES]


def ranking(found: list[dict]) -> list[str]:
    names = ("random", "step reward")
    lines = head("a right attempt's chain is sound", "random right attempt", "best by step reward", "difference, 95 %")
    return lines + [row(p, [f[p]["sound"] for f in found], names, *names) for p in PLACES]


def giving_up(found: list[dict]) -> list[str]:
    names = ("whole", "cut")
    columns = ("best of 8", "best of the survivors", "difference, 95 %", "tokens", "tokens, cut", "saved", "floors")
    lines = head("giving up hopeless paths", *columns)
    for place in PLACES:
        own = [f[place] for f in found]
        whole, cut = (sum(f["tokens"][i] for f in own) for i in (0, 1))
        floors = ", ".join(f"{f['floor']:g}" for f in own)
        cells = f"{whole:,} | {cut:,} | {100 * (1 - cut / whole):.1f} % | {floors} |"
        lines.append(f"{row(place, [{n: f[n] for n in names} for f in own], names, *names)} {cells}")
    return lines


def head(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]


def row(place: str, own: list[dict], names: Sequence[str], before: str, after: str) -> str:
    """Means over seeds and questions, and after - before, paired and resampled by question."""

    def flat(name: str) -> list[float]:
        return [x for f in own for x in f[name]]

    gap = paired_interval(flat(before), flat(after), clusters=[i for f in own for i in range(len(f[before]))])
    cells = " | ".join(f"{sum(flat(n)) / len(flat(n)):.3f}" for n in names)
    return f"| {place} | {cells} | {100 * gap.mean:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f}) |"


if __name__ == "__main__":
    main()
