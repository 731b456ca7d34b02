"""Is a reward better for a critique that is written first? MM-RLHF's reward model in miniature.

The tiny VLM first learns to criticise, once for all, as the makers' 7B model can. Two reward models then start from
its weights and see the same pairs in the same order: one learns to write a critique and to score after it, one learns
to score alone, for twice as many steps of half the price. Held-out pairs of answers with inserted errors, and right and
wrong attempts that the tiny VLM itself made, are then ranked with no critique, with the model's own, with its own whose
verdicts a rule has put (each step as the model wrote it beside the step of the answer), by the number of steps that
this rule calls wrong and nothing else, and with the oracle's. What the model's critiques are worth as such is told too:
how well they see, by what they write of each step, and how well they compare, by their verdicts.

    nice -n 5 python eval/studies/critique_reward.py --seeds 5     (resumes; CPU minutes: 3 a seed, 5 of lessons)
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

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
from mmevolve.prompts.error_list import ERRORS, parse
from mmevolve.results import record
from mmevolve.samplers.independent import Independent
from mmevolve.store import RunStore
from mmevolve.training.fit import Fit
from mmevolve.training.modules import CriticModule
from mmevolve.types import Critique, Group, Sample, Step, Trajectory
from mmevolve.verbs import group

MODEL = "mmevolve:tiny_vlm_dialogue"
FAMILIES = ("compare", "total", "removal", "two_hop")
FORM: dict[str, Any] = {"words": "world_critique", "form": "beside"}
LESSONS, LESSON_STEPS, LESSON_ROWS, LESSON_RATE = 4800, 600, 32, 1e-3
TAUGHT, PAIRS, RATE = 2400, 16, 5e-4
HELD, ATTEMPTS = 100, 4
# Arm -> where the head reads, weight of the language loss, steps, critiques that it is asked with.
ARMS = {
    "critique": ("critique", 1.0, 96, ("generated", "compared", "counted", "gold", "none")),
    "score alone": ("answer", 0.0, 192, ("none",)),
}
SETS = {"inserted": "answers with inserted errors", "own": "the tiny VLM's own attempts"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", type=int, help="one seed, beside which others may run; prints its numbers alone")
    parser.add_argument("--runs", default="runs/critique_reward")
    parser.add_argument("--dry", action="store_true", help="print, and leave eval/results.md as it is")
    args = parser.parse_args()
    taught_to_criticise(Path(args.runs))
    if args.only is not None:
        one_seed(Path(args.runs), args.only)
        return
    found = [one_seed(Path(args.runs), seed) for seed in range(args.seeds)]
    lines = [*accuracies(found), "", *step_f1s(found), "", *differences(found), "", *fine_print(found)]
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
                found: dict[str, Any] = {"ranks": {name: {} for name in sets}, "unranked": {}, "steps": {}}
                for critic in critics_of(arm, model):
                    for name, groups in sets.items():
                        key = f"{name}: {critic.name}"
                        said = {
                            c.trajectory_id: c for c in critic([(g.sample, t) for g in groups for t in g.trajectories])
                        }
                        ranks, found["unranked"][key] = judged(said, critic.name, groups)
                        found["ranks"][name][critic.name] = ranks
                        found["steps"][key] = wrong_steps(said, groups)
                        print(f"seed {seed}, {key}: {100 * mean([ranks]):.1f}, {found['steps'][key]}", flush=True)
                file.write_text(json.dumps({**found, "cpu": time.process_time() - begun}))
                begun = time.process_time()
    return joined([json.loads(file.read_text()) for file in files.values()])


def joined(arms: Sequence[dict]) -> dict:
    """The arms of one seed as one."""
    return {
        "ranks": {name: {k: v for arm in arms for k, v in arm["ranks"][name].items()} for name in SETS},
        **{key: {k: v for arm in arms for k, v in arm[key].items()} for key in ("unranked", "steps")},
        "cpu": sum(arm["cpu"] for arm in arms),
    }


def trained(arm: str, rows: Sequence[Any], runs: Path, seed: int) -> CritiqueRewardModel:
    """The arm's reward model after so many steps on the same pairs in the same order."""
    reads, words, steps, _ = ARMS[arm]
    if not words:  # it neither reads critiques nor learns from them: short ones, to save time
        rows = [replace(row, chosen="none", rejected="none") for row in rows]
    fit = fitting(Loss(critique=words, centre=0.01), RATE, PAIRS, steps, seed)
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


@dataclass(frozen=True)
class Counted:
    """What the rule makes of the model's critiques without the head: steps that it calls wrong, negated."""

    sees_image: ClassVar[bool] = True
    sees_outcome: ClassVar[bool] = False
    reward: CritiqueReward  # with verdicts by rule
    name: str

    def __call__(self, items: Sequence[tuple[Sample, Trajectory]]) -> Iterator[Critique]:
        for (_, t), c in zip(items, self.reward(items), strict=True):
            found = None if c.error else parse(c.text, [s.text for s in t.steps])
            yield replace(c, critic=self.name, score=None if found is None else -float(len(found)))


def critics_of(arm: str, model: CritiqueRewardModel) -> list[Any]:
    """The model as a critic with each kind of critique; `arm/critique` is its name."""
    made: Callable[..., CritiqueReward] = partial(CritiqueReward, model, words=FORM["words"], max_tokens=128)
    settings: dict[str, dict[str, Any]] = {
        "compared": {"critique": "generated", "verdicts": "rule"},
        "gold": {"critique": "gold", "gold": GoldCritique(form=FORM["form"])},
    }
    kinds = ARMS[arm][-1]
    found: list[Any] = [
        made(**settings.get(kind, {"critique": kind}), name=f"{arm}/{kind}") for kind in kinds if kind != "counted"
    ]
    if "counted" in kinds:
        found.append(Counted(made(**settings["compared"]), name=f"{arm}/counted"))
    return found


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


def judged(said: Mapping[str, Critique], name: str, groups: Sequence[Group]) -> tuple[dict[str, float], float]:
    """By question the share of its pairs that are ranked right, half of those that cannot; and the share of these."""
    shares, lost = {}, []
    for g in groups:
        own = Group(g.sample, g.trajectories, (*g.critiques, *(said[t.id] for t in g.trajectories)))
        pairs = list(ranked(own, name, "truth"))
        shares[g.sample.id] = sum(0.5 if p is None else p for p in pairs) / len(pairs)
        lost.append(sum(p is None for p in pairs) / len(pairs))
    return shares, sum(lost) / len(lost)


def wrong_steps(said: Mapping[str, Critique], groups: Sequence[Group]) -> tuple[int, int, int]:
    """Steps that are wrong and said to be, said to be, and wrong; of attempts with as many steps as their question."""
    both = found = known = 0
    for g in groups:
        for t, truth in zip(g.trajectories, GoldCritique()([(g.sample, t) for t in g.trajectories]), strict=True):
            if truth.error is None:
                wrong = {i for i, score in enumerate(truth.step_scores) if not score}
                listed = {d.step for d in parse(said[t.id].text, [s.text for s in t.steps]) or ()}
                both, found, known = both + len(wrong & listed), found + len(listed), known + len(wrong)
    return both, found, known


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


def step_f1s(found: Sequence[dict]) -> list[str]:
    """How well the model's critiques find wrong steps: by their verdicts, and by what they write of each step."""
    said = {"its verdicts": "critique/generated", "what it writes, compared by rule": "critique/compared"}
    lines = head("step F1 of its critiques", *said)
    for name, title in SETS.items():
        f1s = []
        for critic in said.values():
            counts = [f["steps"][f"{name}: {critic}"] for f in found]
            both, listed, known = (sum(c[i] for c in counts) for i in range(3))
            f1s.append(f"{2 * both / (listed + known):.3f}" if listed + known else "")
        lines.append(cells(title, *f1s))
    return lines


def differences(found: Sequence[dict]) -> list[str]:
    pairs = {
        "own critique, then score - score alone": ("score alone/none", "critique/generated"),
        "own critique compared by rule, then score - score alone": ("score alone/none", "critique/compared"),
        "own critique compared by rule, then score - the count of its wrong steps": (
            "critique/counted",
            "critique/compared",
        ),
        "own critique compared by rule - own critique": ("critique/generated", "critique/compared"),
        "gold critique - own critique compared by rule": ("critique/compared", "critique/gold"),
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
    steps = " and ".join(f"{n} steps ({arm})" for arm, (_, _, n, _) in ARMS.items())
    return [
        f"{LESSON_STEPS} steps of {LESSON_ROWS} critiques once, then {len(found)} seeds of "
        f"{steps} of {PAIRS} pairs, AdamW at {RATE:g}; intervals are paired over questions, the seeds of a "
        "question resampled together. A tie, and a pair with an attempt that is not scored, counts one half; not "
        f"scored: {said}. A right answer's gold critique finds no error, so gold is the ceiling of the head, not a "
        f"result. {cpu:,.0f} s of processor time a seed."
    ]


if __name__ == "__main__":
    main()
