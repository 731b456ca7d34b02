"""Is a reward better for a critique that is written first? MM-RLHF's reward model in miniature.

The tiny VLM first learns to criticise, once for all, as the makers' 7B model can. Three reward models then start from
its weights and see the same pairs in the same order: one learns to write a critique and to score after it, one learns
to score alone, and, as a control, one learns to write the critique but scores before it, so that its words can only
help as lessons. Held-out pairs of answers with inserted errors, and right and wrong attempts that the tiny VLM itself
made, are then ranked with no critique, with the model's own, and with the oracle's.

    nice -n 5 python eval/studies/critique_reward.py --seeds 5          (resumes; about TODO CPU minutes a seed)
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from arms import cells, difference, head, points

from mmevolve.critics.answer import AnswerMatch
from mmevolve.critics.critique_reward import CritiqueReward
from mmevolve.critics.gold_critique import GoldCritique
from mmevolve.data.critique_pairs import better_and_worse, critique_pairs
from mmevolve.data.critiquing import critique_lessons, critiquing
from mmevolve.data.shapes.dataset import shapes
from mmevolve.losses.critique_reward import CritiqueReward as Loss
from mmevolve.losses.sft import SFT
from mmevolve.metrics.pairwise import ranked
from mmevolve.models.critique_reward import CritiqueRewardModel
from mmevolve.models.vlm import TransformersVLM
from mmevolve.prompts.error_list import ERRORS
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.store import RunStore
from mmevolve.training.fit import Fit
from mmevolve.training.modules import CriticModule
from mmevolve.types import Critique, Group, Sample, Step, Trajectory
from mmevolve.verbs import group

MODEL = "mmevolve:tiny_vlm_dialogue"
FAMILIES = ("compare", "total", "removal", "two_hop")
FORM: dict[str, Any] = {"words": "world_critique", "form": "verdicts"}
LESSONS, LESSON_STEPS, LESSON_ROWS, LESSON_RATE = 4800, 400, 32, 1e-3
TAUGHT, STEPS, PAIRS, RATE = 1600, 100, 16, 5e-4
HELD, ATTEMPTS = 150, 4
# Arm -> where the head reads, weight of the language loss, critiques that it is asked with.
ARMS = {
    "critique": ("critique", 1.0, ("generated", "gold", "none")),
    "score alone": ("answer", 0.0, ("none",)),
    "score before": ("answer", 1.0, ("none",)),
}
SETS = {"inserted": "answers with inserted errors", "own": "the tiny VLM's own attempts"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", default="runs/critique_reward")
    parser.add_argument("--dry", action="store_true", help="print, and leave eval/results.md as it is")
    args = parser.parse_args()
    taught_to_criticise(Path(args.runs))
    found = [one_seed(Path(args.runs), seed) for seed in range(args.seeds)]
    lines = [*accuracies(found), "", *differences(found), "", *fine_print(found)]
    print("\n".join(lines))
    if not args.dry:
        command = f"python eval/studies/critique_reward.py --seeds {args.seeds}"
        record("Critique-based reward models: critique then score, or score alone", lines, command=command)


def one_seed(runs: Path, seed: int) -> dict:
    """Everything of one seed, kept as JSON arm by arm; what is finished is not done again."""
    folder = runs / f"seed-{seed}"
    files = {arm: folder / f"{arm.replace(' ', '_')}.json" for arm in ARMS}
    if not all(file.exists() for file in files.values()):
        begun = time.process_time()
        rows = critique_pairs(shapes(n=TAUGHT, split="train", seed=100 + seed, families=FAMILIES), seed=seed, **FORM)
        sets = {"inserted": inserted(seed), "own": own(seed)}
        for arm, file in files.items():
            if not file.exists():
                model = trained(arm, rows, runs, seed)
                found: dict[str, Any] = {"ranks": {name: {} for name in sets}, "unranked": {}, "rows": len(rows)}
                for critic in critics_of(arm, model):
                    for name, groups in sets.items():
                        ranks, lost = judged(critic, groups)
                        found["ranks"][name][critic.name], found["unranked"][f"{name}: {critic.name}"] = ranks, lost
                        print(f"seed {seed}, {name}, {critic.name}: {100 * mean([ranks]):.1f}", flush=True)
                file.write_text(json.dumps({**found, "cpu": time.process_time() - begun}))
                begun = time.process_time()
    return joined([json.loads(file.read_text()) for file in files.values()])


def joined(arms: Sequence[dict]) -> dict:
    """The arms of one seed as one."""
    return {
        "ranks": {name: {k: v for arm in arms for k, v in arm["ranks"][name].items()} for name in SETS},
        "unranked": {k: v for arm in arms for k, v in arm["unranked"].items()},
        "rows": arms[0]["rows"],
        "cpu": sum(arm["cpu"] for arm in arms),
    }


def trained(arm: str, rows: Sequence[Any], runs: Path, seed: int) -> CritiqueRewardModel:
    """The arm's reward model after so many steps on the same pairs in the same order."""
    reads, words, _ = ARMS[arm]
    fit = fitting(Loss(critique=words, centre=0.01), RATE, PAIRS, STEPS, seed)
    store = RunStore(str(runs / f"seed-{seed}")).stage(arm.replace(" ", "_"))
    return fit(CritiqueRewardModel(str(taught_to_criticise(runs)), reads=reads), rows, store, round=0)


def taught_to_criticise(runs: Path) -> Path:
    """The checkpoint of the tiny VLM after lessons of critiques, shared by all seeds and arms."""
    store = RunStore(str(runs)).stage("lessons")
    if not store.checkpoint(0).exists():
        samples = shapes(n=LESSONS, split="train", seed=11, families=FAMILIES)
        rows = critique_lessons(critiquing(samples, clean=0.2, **FORM))
        fitting(SFT(), LESSON_RATE, LESSON_ROWS, LESSON_STEPS, 0)(CritiqueRewardModel(MODEL), rows, store, round=0)
    return store.checkpoint(0)


def fitting(loss: Any, rate: float, rows: int, steps: int, seed: int) -> Fit:
    import lightning  # after the models' room, which mends torchvision's imports
    import torch

    torch.set_num_threads(1)
    return Fit(
        loss,
        partial(torch.optim.AdamW, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
        partial(lightning.Trainer, accelerator="cpu", devices=1),
        batch_size=rows,
        steps=steps,
        module=CriticModule,
        seed=seed,
    )


def critics_of(arm: str, model: CritiqueRewardModel) -> list[CritiqueReward]:
    """The model as a critic with each kind of critique; `arm/critique` is its name."""
    made: Callable[..., CritiqueReward] = partial(CritiqueReward, model, words=FORM["words"], max_tokens=128)
    return [
        made(critique=kind, gold=GoldCritique(form=FORM["form"]) if kind == "gold" else None, name=f"{arm}/{kind}")
        for kind in ARMS[arm][2]
    ]


def inserted(seed: int) -> list[Group]:
    """Held-out questions with two corrupted answers each; the truth is how many errors they have, negated."""
    samples = {s.id: s for s in shapes(n=HELD, split="test", seed=0, families=FAMILIES)}
    groups = []
    for pair in better_and_worse(list(samples.values()), seed=1000 + seed, **FORM):
        sample = samples[pair[0].id.removeprefix("critique-")]
        both = [attempt(sample, task, k) for k, task in enumerate(pair)]
        truth = [Critique(t.id, "truth", -float(len(task.meta[ERRORS]))) for t, task in zip(both, pair, strict=True)]
        groups.append(Group(sample, tuple(both), tuple(truth)))
    return groups


def attempt(sample: Sample, task: Sample, index: int) -> Trajectory:
    steps = tuple(map(Step, task.meta["steps"]))
    return Trajectory(f"{sample.id}/0/{index}", sample.id, "inserted", steps, steps[-1].text.removeprefix("answer : "))


def own(seed: int) -> list[Group]:
    """Attempts of the model that all arms start from; the truth is whether the answer is right."""
    samples = shapes(n=HELD, split="test", seed=1, families=FAMILIES)
    sampler = Independent(n=ATTEMPTS, temperature=1.0, max_tokens=72, seed=seed)
    attempts = list(sampler(TransformersVLM(MODEL), samples, round=0))
    by_id = {s.id: s for s in samples}
    truth = AnswerMatch(name="truth")([(by_id[t.sample_id], t) for t in attempts])
    groups = group(samples, attempts, list(truth))
    return [g for g in groups if len(set(g.scores("truth"))) > 1]


def judged(critic: CritiqueReward, groups: Sequence[Group]) -> tuple[dict[str, float], float]:
    """By question the share of its pairs that are ranked right, half of those that cannot; and the share of these."""
    said = {c.trajectory_id: c for c in critic([(g.sample, t) for g in groups for t in g.trajectories])}
    shares, lost = {}, []
    for g in groups:
        own = Group(g.sample, g.trajectories, (*g.critiques, *(said[t.id] for t in g.trajectories)))
        pairs = list(ranked(own, critic.name, "truth"))
        shares[g.sample.id] = sum(0.5 if p is None else p for p in pairs) / len(pairs)
        lost.append(sum(p is None for p in pairs) / len(pairs))
    return shares, sum(lost) / len(lost)


def named(found: Sequence[dict], name: str, critic: str) -> list[dict[str, float]]:
    return [f["ranks"][name][critic] for f in found]


def mean(shares: Sequence[dict[str, float]]) -> float:
    values = [x for own in shares for x in own.values()]
    return sum(values) / len(values)


def accuracies(found: Sequence[dict]) -> list[str]:
    columns = {f"{arm}, {kind}": f"{arm}/{kind}" for arm, (*_, kinds) in ARMS.items() for kind in kinds}
    lines = head("pairwise accuracy", "questions", *columns)
    for name, title in SETS.items():
        first = named(found, name, "score alone/none")
        shares = [f"{100 * mean(named(found, name, critic)):.1f}" for critic in columns.values()]
        lines.append(cells(title, str(sum(map(len, first))), *shares))
    return lines


def differences(found: Sequence[dict]) -> list[str]:
    pairs = {
        "own critique, then score - score alone": ("score alone/none", "critique/generated"),
        "own critique, then score - score before the critique": ("score before/none", "critique/generated"),
        "score before the critique - score alone": ("score alone/none", "score before/none"),
        "gold critique - own critique": ("critique/generated", "critique/gold"),
        "own critique - the same model without one": ("critique/none", "critique/generated"),
    }
    lines = head("difference in points, 95 %", *SETS.values())
    for title, (before, after) in pairs.items():
        gaps = [points(difference(named(found, name, before), named(found, name, after))) for name in SETS]
        lines.append(cells(title, *gaps))
    return lines


def fine_print(found: Sequence[dict]) -> list[str]:
    lost = {key: sum(f["unranked"][key] for f in found) / len(found) for key in found[0]["unranked"]}
    said = ", ".join(f"{key} {100 * share:.1f} %" for key, share in lost.items() if share) or "none"
    cpu = sum(f["cpu"] for f in found) / len(found)
    return [
        f"{LESSON_STEPS} steps of {LESSON_ROWS} critiques once, then {len(found)} seeds of {found[0]['rows']} pairs, "
        f"{STEPS} steps of {PAIRS} pairs, AdamW at {RATE:g}; intervals are paired over questions, the seeds of a "
        "question resampled together. A tie, and a pair with an attempt that is not scored, counts one half; not "
        f"scored: {said}. A right answer's gold critique finds no error, so gold is the ceiling of the head, not a "
        f"result. {cpu:,.0f} s of processor time a seed."
    ]


if __name__ == "__main__":
    main()
