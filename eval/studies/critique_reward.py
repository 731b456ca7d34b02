"""Is a reward better for a critique that is written first? MM-RLHF's reward model in miniature.

Three reward models start from the same weights and see the same pairs in the same order: one learns to write a critique
and to score after it, one learns to score alone, and, as a control, one learns to write the critique but scores before
it, so that its words can only help as lessons. Held-out pairs of answers with inserted errors, and right and wrong
attempts that the tiny VLM itself made, are then ranked with no critique, with the model's own, and with the oracle's.

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
from mmevolve.data.shapes.dataset import shapes
from mmevolve.losses.critique_reward import CritiqueReward as Loss
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
TAUGHT, STEPS, PAIRS, RATE = 2400, 150, 16, 1e-3
HELD, ATTEMPTS = 150, 4
# Arm -> where the head reads, weight of the language loss, critiques that it is asked with.
ARMS = {
    "critique": ("critique", 1.0, ("generated", "gold", "none")),
    "score alone": ("answer", 0.0, ("none",)),
    "score before": ("answer", 1.0, ("none",)),
}
SETS = {"inserted": "answers with inserted errors", "own": "the tiny VLM's own attempts"}
Ranks = dict[str, dict[str, dict[str, float]]]  # set -> arm/critique -> question -> share of its pairs ranked right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", default="runs/critique_reward")
    parser.add_argument("--dry", action="store_true", help="print, and leave eval/results.md as it is")
    args = parser.parse_args()
    found = [one_seed(Path(args.runs), seed) for seed in range(args.seeds)]
    lines = [*accuracies(found), "", *differences(found), "", *fine_print(found)]
    print("\n".join(lines))
    if not args.dry:
        command = f"python eval/studies/critique_reward.py --seeds {args.seeds}"
        record("Critique-based reward models: critique then score, or score alone", lines, command=command)


def one_seed(runs: Path, seed: int) -> dict:
    """Everything of one seed, kept as JSON; what is finished is not done again."""
    file = runs / f"seed-{seed}" / "ranks.json"
    if file.exists():
        return json.loads(file.read_text())
    begun = time.process_time()
    rows = critique_pairs(shapes(n=TAUGHT, split="train", seed=100 + seed, families=FAMILIES), seed=seed, **FORM)
    sets = {"inserted": inserted(seed), "own": own(seed)}
    ranks: Ranks = {name: {} for name in sets}
    unranked: dict[str, float] = {}
    for arm in ARMS:
        model = trained(arm, rows, runs / f"seed-{seed}", seed)
        for critic in critics_of(arm, model):
            for name, groups in sets.items():
                ranks[name][critic.name], unranked[f"{name}: {critic.name}"] = judged(critic, groups)
        print(f"seed {seed}, {arm}: {time.process_time() - begun:.0f} s of processor time", flush=True)
    found = {"ranks": ranks, "unranked": unranked, "rows": len(rows), "cpu": time.process_time() - begun}
    file.write_text(json.dumps(found))
    return found


def trained(arm: str, rows: Sequence[Any], folder: Path, seed: int) -> CritiqueRewardModel:
    """The arm's reward model after so many steps on the same pairs in the same order."""
    import lightning  # after the models' room, which mends torchvision's imports
    import torch

    torch.set_num_threads(1)
    reads, words, _ = ARMS[arm]
    fit = Fit(
        Loss(critique=words, centre=0.01),
        partial(torch.optim.AdamW, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0),
        partial(lightning.Trainer, accelerator="cpu", devices=1),
        batch_size=PAIRS,
        steps=STEPS,
        module=CriticModule,
        seed=seed,
    )
    model = CritiqueRewardModel(MODEL, reads=reads)
    return fit(model, rows, RunStore(str(folder)).stage(arm.replace(" ", "_")), round=0)


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
        f"{len(found)} seeds; {found[0]['rows']} pairs, {STEPS} steps of {PAIRS} pairs, AdamW at {RATE:g}; intervals "
        "are paired over questions, the seeds of a question resampled together. A tie, and a pair with an attempt that "
        f"is not scored, counts one half; not scored: {said}. A right answer's gold critique finds no error, so gold "
        f"is the ceiling of the head, not a result. {cpu:,.0f} s of processor time a seed."
    ]


if __name__ == "__main__":
    main()
